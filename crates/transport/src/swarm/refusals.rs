//! What was turned away, counted; and said in the log, though not once for every stranger of a flood.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the log names the same refusal.
const NAMED_EVERY: Duration = Duration::from_secs(5);

/// Why something was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A connection, beyond the limits in all, of one peer, or of one address.
    Connection,
    /// A stream, for which its protocol has no room or nobody to take it.
    Stream,
    /// A reservation at this relay.
    Reservation,
    /// A circuit through this relay.
    Circuit,
    /// A record for the table that is not what it says, or for which there is no room.
    Record,
}

impl Refusal {
    const ALL: [Self; 5] = [Self::Connection, Self::Stream, Self::Reservation, Self::Circuit, Self::Record];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connections",
            Self::Stream => "streams",
            Self::Reservation => "reservations",
            Self::Circuit => "circuits",
            Self::Record => "records",
        })
    }
}

/// How much a node has turned away since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Connections beyond a limit.
    pub connections: u64,
    /// Streams for which there was no room, or nobody to take them.
    pub streams: u64,
    /// Reservations beyond a relay's limits.
    pub reservations: u64,
    /// Circuits beyond a relay's limits, or to peers without a reservation.
    pub circuits: u64,
    /// Records that were not what they said, or for which there was no room.
    pub records: u64,
}

/// Counts refusals.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    counts: [AtomicU64; Refusal::ALL.len()],
    named: Mutex<[Option<Instant>; Refusal::ALL.len()]>,
}

impl Ledger {
    /// Counts one, and names it in the log unless that was done a moment ago.
    pub(crate) fn refused(&self, what: Refusal, why: &dyn fmt::Display) {
        let count = self.counts[what as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_news(what, Instant::now()) {
            tracing::warn!(refused = count, "{what} are being refused: {why}");
        }
    }

    fn is_news(&self, what: Refusal, now: Instant) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut named[what as usize];
        let news = last.is_none_or(|last| now.saturating_duration_since(last) >= NAMED_EVERY);
        if news {
            *last = Some(now);
        }
        news
    }

    pub(super) fn counts(&self) -> Refusals {
        let count = |what: Refusal| self.counts[what as usize].load(Ordering::Relaxed);
        Refusals {
            connections: count(Refusal::Connection),
            streams: count(Refusal::Stream),
            reservations: count(Refusal::Reservation),
            circuits: count(Refusal::Circuit),
            records: count(Refusal::Record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_counted_and_a_flood_is_named_once_in_a_while() {
        let ledger = Ledger::default();
        for (times, what) in Refusal::ALL.into_iter().enumerate() {
            for _ in 0..=times {
                ledger.refused(what, &"a test");
            }
        }
        let counts = Refusals { connections: 1, streams: 2, reservations: 3, circuits: 4, records: 5 };
        assert_eq!(ledger.counts(), counts);

        let (ledger, begun) = (Ledger::default(), Instant::now());
        assert!(ledger.is_news(Refusal::Stream, begun));
        assert!(!ledger.is_news(Refusal::Stream, begun + NAMED_EVERY / 2));
        assert!(ledger.is_news(Refusal::Circuit, begun), "another refusal is other news");
        assert!(ledger.is_news(Refusal::Stream, begun + NAMED_EVERY));
    }
}
