//! How far a fetch is, and how fast it goes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use computepool_core::ports::FetchProgress;
use tokio::time::Instant;

/// What "lately" is.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts bytes.
#[derive(Debug)]
pub(super) struct Gauge(Mutex<State>);

#[derive(Debug)]
struct State {
    needed: u64,
    present: u64,
    from_peers: u64,
    /// When it was read, and what was present then; the first is as old as [`WINDOW`], or the start.
    read: VecDeque<(Instant, u64)>,
}

impl Gauge {
    pub(super) fn new(needed: u64, present: u64) -> Self {
        Self(Mutex::new(State { needed, present, from_peers: 0, read: VecDeque::new() }))
    }

    pub(super) fn add(&self, bytes: u32, from_peer: bool) {
        let mut state = self.lock();
        state.present += u64::from(bytes);
        state.from_peers += if from_peer { u64::from(bytes) } else { 0 };
    }

    pub(super) fn read(&self, now: Instant) -> FetchProgress {
        let mut state = self.lock();
        let present = state.present;
        state.read.push_back((now, present));
        while state.read.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            state.read.pop_front();
        }
        let (since, before) = state.read.front().copied().unwrap_or((now, present));
        let elapsed = now.duration_since(since).as_secs_f64();
        let rate = if elapsed > 0.0 { ((present - before) as f64 / elapsed) as u64 } else { 0 };
        FetchProgress { needed: state.needed, present, from_peers: state.from_peers, rate }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let gauge = Gauge::new(1000, 100);
        assert_eq!(gauge.read(at(0)).rate, 0);
        gauge.add(100, true);
        assert_eq!(gauge.read(at(1)).rate, 100);
        for second in 2..=20 {
            gauge.add(10, false);
            gauge.read(at(second));
        }
        let read = gauge.read(at(20));
        assert_eq!(read, FetchProgress { needed: 1000, present: 390, from_peers: 100, rate: 10 });
    }
}
