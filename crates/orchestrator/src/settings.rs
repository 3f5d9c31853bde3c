//! What an orchestrator is told before it starts.

use std::collections::BTreeSet;

use computepool_core::{Fault, FaultCode, ModelId, ModelSummary, WeightSource};

/// The most shards a pool may be cut into; it keeps every route ticket below core's `MAX_TICKET_BYTES`.
pub const MAX_SHARDS: usize = 64;

/// One offered model and how it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// The model.
    pub summary: ModelSummary,
    /// Into how many shards it is cut, 1 to [`MAX_SHARDS`] and at most one per layer. Nodes that insist on layer
    /// ranges which tile the whole model among themselves are taken as they are.
    pub shards: usize,
    /// The longest sequence served, in tokens; the model's own context bounds it too.
    pub max_context: u32,
    /// Bytes of KV each shard may use. A node that offers less beside its weights is granted less, down to one
    /// sequence of the longest length.
    pub kv_bytes: u64,
    /// Generations one client may have open at once.
    pub max_generations: u32,
    /// Rows in one activation frame.
    pub max_rows: u32,
    /// Where nodes that do not have the weights get them.
    pub source: Option<WeightSource>,
}

impl PoolSettings {
    /// A pool with a context of at most 4,096 tokens, 1 GiB of KV per shard, 64 generations per client and 512 rows
    /// per frame.
    pub fn new(summary: ModelSummary, shards: usize) -> Self {
        let max_context = summary.context.min(4096);
        Self { summary, shards, max_context, kv_bytes: 1 << 30, max_generations: 64, max_rows: 512, source: None }
    }

    /// The longest sequence served, in tokens.
    pub fn context(&self) -> u32 {
        self.max_context.min(self.summary.context)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let model = &self.summary.id;
        let layers = self.summary.layer_count;
        let broken = |what: &'static str| Err(SettingsError::Zero { model: model.clone(), what });
        if self.summary.layer_bytes.len() != layers as usize || layers == 0 {
            let (expected, got) = (layers, self.summary.layer_bytes.len());
            return Err(SettingsError::LayerBytes { model: model.clone(), expected, got });
        }
        if self.shards == 0 || self.shards > MAX_SHARDS.min(layers as usize) {
            let most = MAX_SHARDS.min(layers as usize);
            return Err(SettingsError::Shards { model: model.clone(), got: self.shards, most });
        }
        match () {
            () if self.context() == 0 => broken("context"),
            () if self.kv_bytes == 0 => broken("KV budget"),
            () if self.max_generations == 0 => broken("number of generations"),
            () if self.max_rows == 0 => broken("number of rows"),
            () if self.summary.hidden == 0 => broken("hidden size"),
            () => Ok(()),
        }
    }
}

/// What the whole orchestrator may hold, and how long it waits. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Links from nodes, registered or not. More are turned away.
    pub max_nodes: usize,
    /// Sessions open at once, over all clients. At that many, the one unused for longest makes room for another. Nodes
    /// must take as many, and two lanes for each.
    pub max_sessions: usize,
    /// Generations not yet accounted for, over all clients.
    pub max_generations: usize,
    /// Events a client may leave unread before its generation is cancelled.
    pub client_buffer: usize,
    /// Requests that may wait for the orchestrator's attention.
    pub command_buffer: usize,
    /// A node that has not said hello this long after connecting is disconnected.
    pub hello_ms: u64,
    /// A shard that has not loaded after this long counts as down.
    pub load_ms: u64,
    /// A shard may be down for this long before a spare takes its place; an engine that is restarted is back sooner.
    /// Where no spare fits, its holder is asked to load it again, after pauses that double from here to five minutes.
    pub down_ms: u64,
    /// All nodes must have opened a session within this time.
    pub session_open_ms: u64,
    /// How long a route ticket is good for.
    pub ticket_ms: u64,
    /// New generations get a fresh session once less than this is left of the old one's ticket; so it is also the time
    /// every generation is sure to have.
    pub renew_before_ms: u64,
    /// A session unused for this long is closed.
    pub session_idle_ms: u64,
    /// All nodes must have admitted or refused a generation within this time.
    pub generation_open_ms: u64,
    /// A generation without a token for this long has stalled…
    pub stall_ms: u64,
    /// … but before the first token it gets this much longer for every prompt token that is being worked on.
    pub prefill_ms_per_token: u64,
    /// A generation that loses its route goes on elsewhere if that can be had within this time after its last token; 0
    /// gives it up at once.
    pub failover_ms: u64,
    /// A generation is given up after so many routes in a row that gave it no token.
    pub max_legs: u32,
    /// A node that takes part in a generation and was not heard for this long is asked whether it is there…
    pub ping_after_ms: u64,
    /// … and after as long as this without a word it counts as lost until it is heard again.
    pub silent_ms: u64,
    /// A generation that gives tokens moves to another route, where there is one, after ten times its usual time
    /// between tokens without one, and after this at the earliest.
    pub slow_ms: u64,
    /// After a restart, places are kept this long for those who held them.
    pub restore_ms: u64,
    /// A node is asked to measure its paths at most this often.
    pub probe_ms: u64,
    /// Nodes have this long to account for a generation that was closed.
    pub close_ms: u64,
    /// Nodes have this long to leave at the end of a drain.
    pub leave_ms: u64,
    /// A node that breaks the rules of a generation this often is disconnected.
    pub max_strikes: u32,
    /// How often deadlines are looked at.
    pub tick_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_nodes: 1024,
            max_sessions: 256,
            max_generations: 1024,
            client_buffer: 256,
            command_buffer: 64,
            hello_ms: 10_000,
            load_ms: 15 * 60_000,
            down_ms: 15_000,
            session_open_ms: 15_000,
            ticket_ms: 30 * 60_000,
            renew_before_ms: 20 * 60_000,
            session_idle_ms: 60_000,
            generation_open_ms: 15_000,
            stall_ms: 30_000,
            prefill_ms_per_token: 100,
            failover_ms: 60_000,
            max_legs: 8,
            ping_after_ms: 300,
            silent_ms: 1_000,
            slow_ms: 2_000,
            restore_ms: 20_000,
            probe_ms: 30_000,
            close_ms: 2_000,
            leave_ms: 2_000,
            max_strikes: 3,
            tick_ms: 100,
        }
    }
}

/// Settings no orchestrator can run with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Two pools would answer to the same name, or serve the same weights.
    #[error("the model {0} is offered twice, by name or by weights")]
    Twice(ModelId),
    /// The cut is impossible.
    #[error("{model} cannot be cut into {got} shards, only into 1 to {most}")]
    Shards {
        /// Which model.
        model: ModelId,
        /// What was asked for.
        got: usize,
        /// The most it can be.
        most: usize,
    },
    /// The summary contradicts itself.
    #[error("the summary of {model} says {expected} layers and gives the sizes of {got}")]
    LayerBytes {
        /// Which model.
        model: ModelId,
        /// Its layer count.
        expected: u32,
        /// Entries in `layer_bytes`.
        got: usize,
    },
    /// Something that must not be zero is.
    #[error("the {what} of {model} is zero")]
    Zero {
        /// Which model.
        model: ModelId,
        /// What is zero.
        what: &'static str,
    },
    /// A limit that must not be zero is, or contradicts another.
    #[error("the limit {0} is zero or contradicts another")]
    Limit(&'static str),
}

impl From<SettingsError> for Fault {
    fn from(error: SettingsError) -> Self {
        Fault::new(FaultCode::InvalidRequest, error.to_string()).hint("correct the settings and start again")
    }
}

/// Whether an orchestrator can run with these.
pub(crate) fn check(pools: &[PoolSettings], limits: &Limits) -> Result<(), SettingsError> {
    let (mut names, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    for pool in pools {
        pool.check()?;
        if !names.insert(&pool.summary.id) || !hashes.insert(pool.summary.hash) {
            return Err(SettingsError::Twice(pool.summary.id.clone()));
        }
    }
    match limits {
        Limits { max_nodes: 0, .. } => Err(SettingsError::Limit("max_nodes")),
        Limits { max_sessions: 0, .. } => Err(SettingsError::Limit("max_sessions")),
        Limits { max_generations: 0, .. } => Err(SettingsError::Limit("max_generations")),
        Limits { client_buffer: 0, .. } => Err(SettingsError::Limit("client_buffer")),
        Limits { command_buffer: 0, .. } => Err(SettingsError::Limit("command_buffer")),
        Limits { tick_ms: 0, .. } => Err(SettingsError::Limit("tick_ms")),
        Limits { max_legs: 0, .. } => Err(SettingsError::Limit("max_legs")),
        Limits { max_strikes: 0, .. } => Err(SettingsError::Limit("max_strikes")),
        limits if limits.ticket_ms <= limits.renew_before_ms => Err(SettingsError::Limit("renew_before_ms")),
        _ => Ok(()),
    }
}
