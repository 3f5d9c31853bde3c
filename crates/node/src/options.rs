//! What a node may use.

use std::time::Duration;

/// Bounds and patience of a node. The defaults fit a home connection.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Prefill rows of one session between their arrival and their departure. A frame that is larger passes alone.
    pub prefill_rows: u32,
    /// Rows of one prompt chunk at the entry; the ticket's limit is kept as well.
    pub chunk_rows: u32,
    /// Rows of one such chunk where nobody waits for it: what others may have to wait for it is in proportion.
    pub unhurried_rows: u32,
    /// Sessions open at once.
    pub max_sessions: usize,
    /// Generations open at once in one session; the ticket's limit is kept as well.
    pub max_generations: u32,
    /// Incoming lanes of open sessions held at once.
    pub max_lanes: usize,
    /// Incoming lanes that may wait for their session at once.
    pub max_waiting_lanes: usize,
    /// Incoming lanes of one neighbour that may wait for their session at once.
    pub max_waiting_lanes_per_peer: usize,
    /// Tokens that may wait for the control link before generations fail for it. Twice as many messages of any kind
    /// end the node: its orchestrator no longer listens.
    pub control_backlog: usize,
    /// How long an incoming lane may wait for its session to be opened, and an outgoing one to open.
    pub lane_patience: Duration,
    /// How long a drain waits for what is open.
    pub drain_patience: Duration,
    /// How long an ending node waits for its engine to free what it closed.
    pub close_patience: Duration,
    /// How often expired sessions are looked for.
    pub sweep: Duration,
    /// How often, at most, the orchestrator is told how far the weights of a shard are.
    pub fetch_report: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            prefill_rows: 512,
            chunk_rows: 64,
            unhurried_rows: 8,
            max_sessions: 320,
            max_generations: 256,
            max_lanes: 1024,
            max_waiting_lanes: 256,
            max_waiting_lanes_per_peer: 64,
            control_backlog: 4096,
            lane_patience: Duration::from_secs(10),
            drain_patience: Duration::from_secs(30),
            close_patience: Duration::from_secs(5),
            sweep: Duration::from_millis(250),
            fetch_report: Duration::from_millis(500),
        }
    }
}
