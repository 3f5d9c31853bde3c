//! What is to be placed, and under which conditions.

use computepool_core::{LayerRange, ModelSummary};

use super::{Costs, EXACT_MACHINES, Machine};
use crate::{MAX_SHARDS, PoolSettings};

/// One model to be served, and what its places must satisfy.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// The model.
    pub model: &'a ModelSummary,
    /// The longest sequence served, in tokens.
    pub context: u32,
    /// How many of the longest sequences every shard must have KV for.
    pub sequences: u32,
    /// The most bytes of KV a shard is given, however many sequences that is.
    pub kv_bytes: u64,
    /// Bytes of memory that stay free beside weights and KV.
    pub reserve_bytes: u64,
    /// Into how many shards it may be cut.
    pub shards: Shards,
    /// How it is served now, entry first; empty where it is not.
    pub current: Vec<Held>,
    /// What a token costs beside the arithmetic.
    pub costs: Costs,
    /// Cuts of the same route that differ by no more than these thousandths from token to token count as equally fast,
    /// and the one with the earliest first token is taken. Machines are not measured more exactly than that.
    pub indifference: u32,
    /// Up to so many machines all routes are considered and the best is proven; of more, neighbourhoods of as many. At
    /// most 64 count.
    pub together: usize,
    /// How much work a proof may take, in beginnings of routes looked at; after that a placement is as good as it is,
    /// and says how good.
    pub effort: usize,
}

/// Into how many shards a model may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// As many as this.
    Exactly(usize),
    /// As many as are best, up to this.
    AtMost(usize),
}

/// A place that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which blocks.
    pub layers: LayerRange,
    /// Which machine serves them, by its place in the list of machines; absent where nobody does.
    pub machine: Option<usize>,
}

impl<'a> Problem<'a> {
    /// A model of which nothing is served yet, cut into as many shards as are best; one sequence of `context` tokens
    /// must fit each.
    pub fn new(model: &'a ModelSummary, context: u32) -> Self {
        Self {
            model,
            context: context.min(model.context),
            sequences: 1,
            kv_bytes: u64::MAX,
            reserve_bytes: 0,
            shards: Shards::AtMost(MAX_SHARDS),
            current: Vec::new(),
            costs: Costs::default(),
            indifference: 30,
            together: EXACT_MACHINES,
            effort: 400_000,
        }
    }

    /// A pool of which nothing is served yet, cut into as many shards as its settings say. What fits is what
    /// [`least_bytes`](super::least_bytes) says.
    pub fn of(settings: &'a PoolSettings) -> Self {
        let shards = Shards::Exactly(settings.shards);
        Self { kv_bytes: settings.kv_bytes, shards, ..Self::new(&settings.summary, settings.context()) }
    }

    /// Bytes a shard of `layers` takes: weights, KV and reserve.
    pub fn need_bytes(&self, layers: LayerRange) -> u64 {
        let model = self.model;
        let blocks = model.layer_bytes.get(layers.start() as usize..layers.end() as usize).unwrap_or_default();
        let embedding = if layers.is_entry() { model.embedding_bytes } else { 0 };
        let head = if layers.is_exit(model.layer_count) { model.head_bytes } else { 0 };
        let weights = blocks.iter().fold(embedding.saturating_add(head), |sum, bytes| sum.saturating_add(*bytes));
        weights.saturating_add(self.kv_need(layers.len())).saturating_add(self.reserve_bytes)
    }

    /// Bytes of KV that a shard of so many blocks must have room for.
    pub(crate) fn kv_need(&self, blocks: u32) -> u64 {
        let per_token = self.model.kv_bytes_per_token_layer.saturating_mul(u64::from(blocks));
        let tokens = u64::from(self.context).saturating_mul(u64::from(self.sequences));
        per_token.saturating_mul(tokens).min(self.kv_bytes)
    }

    /// Whether `machine` could serve exactly `layers`.
    pub fn suits(&self, layers: LayerRange, machine: &Machine) -> bool {
        machine.insisted.is_none_or(|insisted| insisted == layers)
            && layers.end() <= self.model.layer_count
            && (machine.fetches || machine.holds.covers(layers))
            && machine.memory_bytes >= self.need_bytes(layers)
    }
}
