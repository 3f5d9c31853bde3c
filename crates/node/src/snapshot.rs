//! What can be seen of a node from outside.

use std::collections::HashMap;

use computepool_core::FaultCode;

/// The state of a node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSnapshot {
    /// Sessions whose ticket is held.
    pub sessions: usize,
    /// Generations that are open, or not yet accounted for.
    pub generations: usize,
    /// Prefill rows between arrival and departure, over all sessions.
    pub prefill_rows: u64,
    /// Faults since the node started, by code, each counted once where it arose: what neighbours did wrong on their
    /// lanes, sessions and generations refused, generations that failed here.
    pub faults: HashMap<FaultCode, u64>,
}

impl NodeSnapshot {
    /// How often `code` was counted.
    pub fn faults_of(&self, code: FaultCode) -> u64 {
        self.faults.get(&code).copied().unwrap_or(0)
    }
}
