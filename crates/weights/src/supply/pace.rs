//! The limit on bytes a second.

use std::sync::{Mutex, PoisonError};

use computepool_core::Allowance;
use tokio::time::{Instant, sleep};

/// Makes downloads wait, all of them together, where the owner set a limit.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    allowance: Option<Mutex<Allowance>>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { began: Instant::now(), allowance: bytes_per_second.map(|rate| Mutex::new(Allowance::new(rate))) }
    }

    /// Waits until so many bytes may pass.
    pub(super) async fn wait(&self, bytes: u64) {
        if let Some(allowance) = &self.allowance {
            let now = self.began.elapsed();
            let pause = allowance.lock().unwrap_or_else(PoisonError::into_inner).take(now, bytes);
            sleep(pause).await;
        }
    }
}
