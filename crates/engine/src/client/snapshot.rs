//! What is known of an engine process.

use serde::Serialize;

use crate::pipe::EngineStats;

/// How far an engine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EnginePhase {
    /// Nothing was asked for, or it was stopped, or it could not be loaded.
    #[default]
    Idle,
    /// A process was started and is loading.
    Loading,
    /// A process times a model.
    Measuring,
    /// Serving.
    Ready,
    /// Lost; the next process waits for its turn.
    Waiting,
    /// Lost too often in a row; only another load tries again.
    GivenUp,
}

/// An engine at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EngineSnapshot {
    /// How far it is.
    pub phase: EnginePhase,
    /// The process, while there is one.
    pub pid: Option<u32>,
    /// Processes started so far.
    pub starts: u64,
    /// Processes lost so far.
    pub losses: u64,
    /// Bytes of memory the process uses, as it last reported.
    pub rss_bytes: u64,
    /// The most it ever used.
    pub peak_rss_bytes: u64,
    /// Tokens of KV reserved by open generations.
    pub kv_tokens_used: u64,
}

impl EngineSnapshot {
    /// Takes over what the process reported of itself.
    pub(super) fn report(&mut self, stats: EngineStats) {
        self.rss_bytes = stats.rss_bytes;
        self.peak_rss_bytes = stats.peak_rss_bytes;
        self.kv_tokens_used = stats.kv_tokens_used;
    }

    /// Forgets a process that is gone.
    pub(super) fn forget(&mut self, phase: EnginePhase) {
        let (starts, losses) = (self.starts, self.losses);
        *self = Self { phase, starts, losses, ..Self::default() };
    }
}
