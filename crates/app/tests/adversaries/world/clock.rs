//! Time that passes only when a test says so.

use std::sync::atomic::{AtomicU64, Ordering};

use computepool_core::ports::{Clock, SystemClock};

/// A clock that is moved by hand, and never back.
pub(crate) struct Watch(AtomicU64);

impl Watch {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(SystemClock.now_ms()))
    }

    pub(crate) fn now_s(&self) -> u64 {
        self.now_ms() / 1000
    }

    /// It is at least that time now.
    pub(crate) fn reach(&self, time_s: u64) {
        self.0.fetch_max(time_s * 1000, Ordering::SeqCst);
    }

    /// Time that passes here and not on the chain.
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
