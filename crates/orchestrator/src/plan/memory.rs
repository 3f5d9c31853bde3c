//! What a shard needs of a machine's memory.

use computepool_core::LayerRange;

use crate::PoolSettings;

/// A node that could serve, as far as planning cares. Candidates stand in order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The only range it will serve.
    pub insisted: Option<LayerRange>,
    /// Bytes it offers for weights and KV together.
    pub memory_bytes: u64,
}

/// Bytes of weights that a shard of `layers` holds: its blocks, the embedding at the entry, the head at the exit.
pub fn weight_bytes(settings: &PoolSettings, layers: LayerRange) -> u64 {
    let summary = &settings.summary;
    let blocks = summary.layer_bytes.get(layers.start() as usize..layers.end() as usize).unwrap_or_default();
    let embedding = if layers.is_entry() { summary.embedding_bytes } else { 0 };
    let head = if layers.is_exit(summary.layer_count) { summary.head_bytes } else { 0 };
    blocks.iter().fold(embedding.saturating_add(head), |sum, bytes| sum.saturating_add(*bytes))
}

/// The least memory with which a shard of `layers` is of use: its weights and the KV of one longest sequence (or the
/// pool's KV budget, where that is smaller).
pub fn least_bytes(settings: &PoolSettings, layers: LayerRange) -> u64 {
    let per_token = settings.summary.kv_bytes_per_token_layer.saturating_mul(u64::from(layers.len()));
    let one = per_token.saturating_mul(u64::from(settings.context()));
    weight_bytes(settings, layers).saturating_add(one.min(settings.kv_bytes))
}

/// The KV budget a node with `memory_bytes` gets for `layers`; `None` when it offers less than [`least_bytes`].
pub fn kv_budget(settings: &PoolSettings, layers: LayerRange, memory_bytes: u64) -> Option<u64> {
    let fits = memory_bytes >= least_bytes(settings, layers);
    fits.then(|| memory_bytes.saturating_sub(weight_bytes(settings, layers)).min(settings.kv_bytes))
}

/// Whether `candidate` could serve exactly `layers`.
pub fn suits(settings: &PoolSettings, layers: LayerRange, candidate: &Candidate) -> bool {
    candidate.insisted.is_none_or(|insisted| insisted == layers)
        && kv_budget(settings, layers, candidate.memory_bytes).is_some()
}
