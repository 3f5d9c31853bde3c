//! How a supply is set up.

use std::time::Duration;

/// How weights are fetched.
#[derive(Clone, Debug)]
pub struct SupplyOptions {
    /// Bytes a second, over all sources together; nothing where only the line sets a limit.
    pub bytes_per_second: Option<u64>,
    /// Peers asked at a time, those that have most of what is missing.
    pub max_peers: usize,
    /// Blocks asked of a peer at a time.
    pub requests_per_peer: usize,
    /// Requests to web servers at a time.
    pub web_requests: usize,
    /// Bytes of one request to a web server, rounded down to blocks (at least one block).
    pub run_bytes: u64,
    /// How long to look for peers before starting with those found.
    pub discovery: Duration,
    /// How long the web leaves to peers what peers have.
    pub peers_alone: Duration,
    /// How long a source may be silent. A peer's block may take this and a second for every 64 KiB.
    pub stall: Duration,
    /// How often a web server is tried again in a row after a failure that may pass.
    pub web_attempts: u32,
    /// The first pause before a web server is tried again; doubled each time.
    pub backoff: Duration,
    /// How often progress is told.
    pub progress_every: Duration,
}

impl Default for SupplyOptions {
    fn default() -> Self {
        Self {
            bytes_per_second: None,
            max_peers: 16,
            requests_per_peer: 2,
            web_requests: 4,
            run_bytes: 8 << 20,
            discovery: Duration::from_secs(5),
            peers_alone: Duration::from_secs(20),
            stall: Duration::from_secs(15),
            web_attempts: 5,
            backoff: Duration::from_millis(500),
            progress_every: Duration::from_millis(500),
        }
    }
}
