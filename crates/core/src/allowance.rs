//! Allowances: how many bytes a second may pass.

use std::time::Duration;

/// A rate that is kept on average: whoever passes bytes makes the next one wait until they are paid for. No credit is
/// saved up, so that a quiet hour does not excuse a burst.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    bytes_per_second: u64,
    free_at: Duration,
}

impl Allowance {
    /// So many bytes a second; at least one.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Duration::ZERO }
    }

    /// Books `bytes` at `now`, as time since any moment that stays the same, and says how long to wait before passing
    /// them. Callers that book while others wait are served in the order of their bookings.
    pub fn take(&mut self, now: Duration, bytes: u64) -> Duration {
        let free_at = self.free_at.max(now);
        self.free_at = free_at + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        free_at - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_on_average_and_rest_earns_nothing() {
        let at = Duration::from_millis;
        let mut allowance = Allowance::new(1000);
        assert_eq!(allowance.take(at(0), 500), Duration::ZERO);
        assert_eq!(allowance.take(at(0), 500), Duration::from_millis(500));
        assert_eq!(allowance.take(at(100), 1000), Duration::from_millis(900));
        assert_eq!(allowance.take(at(10_000), 1000), Duration::ZERO);
        assert_eq!(allowance.take(at(10_000), 1), Duration::from_secs(1));
    }
}
