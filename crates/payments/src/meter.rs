//! The meter: how long a session was served.
//!
//! A generation is paid from its first step to its last token, by what it delivers: a token pays for the time since the
//! token before it, though never for more than [`STALL_MS`]; the first pays for the whole wait since the beginning, as
//! that is the prompt's work, up to [`FIRST_TOKEN_MS`]. What nobody delivered after is not paid. Generations that run side
//! by side are paid once: a session has one rate.

mod coverage;

use std::collections::BTreeMap;

use computepool_core::GenerationId;

use coverage::Coverage;

/// Milliseconds without a token after which nothing flows, and that one token pays for at most.
pub const STALL_MS: u64 = 5_000;
/// Milliseconds that a first token pays for at most.
pub const FIRST_TOKEN_MS: u64 = 600_000;

/// Milliseconds that weigh so much that they are not left to the next look at the meters.
const HEAVY_MS: u64 = 200;

/// What a meter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Milliseconds served so far.
    pub served_ms: u64,
    /// Whether somebody is being served right now, so that the stream should flow.
    pub flowing: bool,
}

/// The meter of one session. Times are milliseconds of one clock; one that goes back counts as standing still.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    coverage: Coverage,
    running: BTreeMap<GenerationId, Running>,
    now_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    /// Paid up to then, as far as this one is concerned.
    since_ms: u64,
    delivered: bool,
    /// What its tokens paid for, others or not.
    served_ms: u64,
}

impl Meter {
    /// A meter that goes on from an earlier reading.
    pub fn from(served_ms: u64) -> Self {
        Self { coverage: Coverage::from(served_ms), ..Self::default() }
    }

    /// How many generations run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// A generation's first step.
    pub fn began(&mut self, generation: GenerationId, at_ms: u64) {
        let since_ms = self.at(at_ms);
        self.running.entry(generation).or_insert(Running { since_ms, delivered: false, served_ms: 0 });
    }

    /// A token of a generation. Unknown ones pay for nothing. True where it should be written down at once, and not at the
    /// next look: it is the first, or pays for `HEAVY_MS` and more, which a crash would forget.
    pub fn progressed(&mut self, generation: GenerationId, at_ms: u64) -> bool {
        let now = self.at(at_ms);
        let Some(running) = self.running.get_mut(&generation) else { return false };
        let first = !running.delivered;
        let most = if first { FIRST_TOKEN_MS } else { STALL_MS };
        let from = running.since_ms.max(now.saturating_sub(most));
        let served_ms = running.served_ms + (now - from);
        *running = Running { since_ms: now, delivered: true, served_ms };
        self.coverage.add(from, now);
        self.settle();
        first || now - from >= HEAVY_MS
    }

    /// A generation is over. Returns the milliseconds that it was paid for.
    pub fn ended(&mut self, generation: GenerationId) -> u64 {
        let served_ms = self.running.remove(&generation).map_or(0, |running| running.served_ms);
        self.settle();
        served_ms
    }

    /// What it shows.
    pub fn reading(&self, at_ms: u64) -> Reading {
        let now = self.now_ms.max(at_ms);
        let flowing = self.running.values().any(|running| now - running.since_ms.min(now) < STALL_MS);
        Reading { served_ms: self.coverage.total(), flowing }
    }

    fn at(&mut self, at_ms: u64) -> u64 {
        self.now_ms = self.now_ms.max(at_ms);
        self.now_ms
    }

    /// Nothing before the beginning of what runs can be added any more.
    fn settle(&mut self) {
        let oldest = self.running.values().map(|running| running.since_ms).min();
        self.coverage.close(oldest.unwrap_or(self.now_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> GenerationId {
        GenerationId([number; 16])
    }

    #[test]
    fn tokens_pay_for_the_time_between_them() {
        let mut meter = Meter::default();
        meter.began(id(1), 1_000);
        assert_eq!(meter.reading(1_500), Reading { served_ms: 0, flowing: true });
        meter.progressed(id(1), 2_000);
        meter.progressed(id(1), 2_300);
        assert_eq!(meter.reading(2_400), Reading { served_ms: 1_300, flowing: true });
        meter.ended(id(1));
        assert_eq!(meter.reading(9_000), Reading { served_ms: 1_300, flowing: false });
        meter.progressed(id(1), 9_500);
        assert_eq!(meter.reading(9_500).served_ms, 1_300, "it is over");
    }

    #[test]
    fn who_stops_producing_stops_being_paid() {
        let mut meter = Meter::default();
        meter.began(id(1), 0);
        meter.progressed(id(1), 100);
        assert!(meter.reading(5_000).flowing);
        assert!(!meter.reading(5_100).flowing);
        meter.progressed(id(1), 60_000);
        assert_eq!(meter.reading(60_000), Reading { served_ms: 100 + STALL_MS, flowing: true });
        meter.ended(id(1));
        assert_eq!(meter.reading(99_000).served_ms, 100 + STALL_MS);
    }

    #[test]
    fn what_pays_for_much_is_not_left_to_the_next_look() {
        let mut meter = Meter::default();
        meter.began(id(1), 0);
        assert!(meter.progressed(id(1), 1), "the first");
        assert!(!meter.progressed(id(1), 51) && !meter.progressed(id(1), 250));
        assert!(meter.progressed(id(1), 450), "after a pause");
        assert!(!meter.progressed(id(2), 9_000), "nobody's");
    }

    #[test]
    fn a_long_prompt_is_paid_once_it_bears_fruit() {
        let mut meter = Meter::default();
        meter.began(id(1), 0);
        meter.began(id(2), 0);
        assert_eq!(meter.reading(30_000), Reading { served_ms: 0, flowing: false });
        meter.progressed(id(1), 30_000);
        meter.ended(id(2));
        meter.ended(id(1));
        assert_eq!(meter.reading(30_000).served_ms, 30_000);
    }

    #[test]
    fn side_by_side_is_paid_once() {
        let mut meter = Meter::default();
        for number in 1..=4 {
            meter.began(id(number), 0);
        }
        for step in 1..=100_u64 {
            for number in 1..=4 {
                meter.progressed(id(number), step * 100 + u64::from(number));
            }
        }
        assert_eq!(meter.reading(10_004).served_ms, 10_004);
    }
}
