//! How fast bytes arrived.

use std::time::Duration;

use tokio::time::Instant;

/// When how many bytes had arrived. As many entries as there were chunks.
#[derive(Debug)]
pub(super) struct Meter {
    begun: Instant,
    arrivals: Vec<(Duration, u64)>,
}

/// Bytes, and the time in which they arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) bytes: u64,
    pub(super) nanos: u64,
}

impl Rate {
    /// Bytes a second.
    pub(super) fn per_second(self) -> u64 {
        let rate = u128::from(self.bytes) * 1_000_000_000 / u128::from(self.nanos.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

impl Meter {
    pub(super) fn start() -> Self {
        Self { begun: Instant::now(), arrivals: Vec::new() }
    }

    pub(super) fn arrived(&mut self, bytes: usize) {
        self.note(self.begun.elapsed(), bytes as u64);
    }

    pub(super) fn total(&self) -> u64 {
        self.arrivals.last().map_or(0, |(_, total)| *total)
    }

    fn note(&mut self, at: Duration, bytes: u64) {
        self.arrivals.push((at, self.total() + bytes));
    }

    /// The rate after the first quarter of the bytes; of all of them where they came in too few pieces to tell.
    pub(super) fn rate(&self) -> Rate {
        let total = self.total();
        let from = self.arrivals.iter().find(|(_, so_far)| so_far * 4 >= total);
        let (last, (at, before)) = match (self.arrivals.last(), from) {
            (Some(last), Some(from)) if from != last => (last, *from),
            (Some(last), _) => (last, (Duration::ZERO, 0)),
            _ => return Rate { bytes: 0, nanos: 0 },
        };
        let nanos = u64::try_from(last.0.saturating_sub(at).as_nanos()).unwrap_or(u64::MAX);
        Rate { bytes: total - before, nanos }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_start_does_not_count_and_neither_does_the_wait_before_it() {
        let mut meter = Meter::start();
        // 100 bytes a second for a quarter, then 1000 a second.
        for (ms, bytes) in [(5_000, 50), (5_500, 50), (5_600, 100), (5_700, 100), (5_800, 100)] {
            meter.note(Duration::from_millis(ms), bytes);
        }
        assert_eq!(meter.total(), 400);
        assert_eq!(meter.rate().per_second(), 1000);
    }

    #[test]
    fn what_comes_in_one_piece_is_timed_from_the_beginning() {
        let mut meter = Meter::start();
        assert_eq!(meter.rate().per_second(), 0);
        meter.note(Duration::from_millis(500), 100);
        assert_eq!(meter.rate().per_second(), 200);
        assert_eq!(Rate { bytes: u64::MAX, nanos: 0 }.per_second(), u64::MAX);
    }
}
