//! Does it fit: bytes of a layer range, and how to cut a model evenly.

use computepool_core::{LayerRange, ModelSummary};

use crate::error::ModelError;
use crate::weights::ModelFile;

/// Memory that an engine process takes besides weights, KV and the rows of a step: code, runtime, file headers, rope
/// tables, queues and what the allocator keeps. In bytes.
pub const ENGINE_OVERHEAD: u64 = 48 << 20;

/// Rows of the largest step that the reserve makes room for.
pub const RESERVED_ROWS: u64 = 512;

/// Rows of logits that the reserve of an exit shard makes room for: sequences that sample in one step.
pub const RESERVED_SAMPLES: u64 = 32;

const F32_BYTES: u64 = 4;

/// What a shard takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitEstimate {
    /// Its tensors, as the file stores them.
    pub weights: u64,
    /// Its KV, in `f32`.
    pub kv: u64,
    /// Rows of a step, logits, and [`ENGINE_OVERHEAD`].
    pub reserve: u64,
}

impl FitEstimate {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.kv).saturating_add(self.reserve)
    }
}

/// What a shard of `layers` takes on a CPU with room for `tokens_of_kv` tokens of KV, all sequences together
/// (context × concurrent sequences).
///
/// - weights: [`ModelFile::shard_bytes`];
/// - KV: `2 · kv_heads · head_dim · 4` bytes per token and layer, sliding layers included;
/// - reserve: [`ENGINE_OVERHEAD`]; for each of [`RESERVED_ROWS`] rows the hidden state three times (residual, normed,
///   result), queries and attention output, keys and values, and gate and up, in `f32`; on the exit
///   [`RESERVED_SAMPLES`] rows of logits twice (computed, and adjusted by the sampler).
///
/// A layer range beyond the model's last layer counts only the layers that exist.
pub fn estimate(file: &ModelFile, layers: LayerRange, tokens_of_kv: u64) -> FitEstimate {
    let config = file.config();
    let held = u64::from(layers.end().min(config.layer_count).saturating_sub(layers.start()));
    let kv = config.kv_bytes_per_token_layer().saturating_mul(held).saturating_mul(tokens_of_kv);

    let queries = (config.heads * config.head_dim) as u64;
    let keys = (config.kv_heads * config.head_dim) as u64;
    let row = 3 * config.hidden as u64 + 2 * queries + 2 * keys + 2 * config.ffn as u64;
    let logits = if layers.is_exit(config.layer_count) { 2 * RESERVED_SAMPLES * config.vocabulary as u64 } else { 0 };
    let reserve = ENGINE_OVERHEAD + F32_BYTES * (RESERVED_ROWS * row + logits);
    FitEstimate { weights: file.shard_bytes(layers), kv, reserve }
}

/// Cuts a model into `shards` contiguous ranges so that the largest share of the weights is as small as possible, and
/// among such cuts the shares are as equal as possible. The first share includes the embedding, the last the norm and
/// the head.
pub fn even_split(summary: &ModelSummary, shards: usize) -> Result<Vec<LayerRange>, ModelError> {
    let layers = summary.layer_bytes.len();
    let refused = || ModelError::CannotSplit { layers, shards };
    if shards == 0 || shards > layers || layers != summary.layer_count as usize {
        return Err(refused());
    }
    let mut bytes: Vec<u128> = summary.layer_bytes.iter().map(|bytes| u128::from(*bytes)).collect();
    // The ends of the model travel with the first and the last layer.
    if let Some(first) = bytes.first_mut() {
        *first += u128::from(summary.embedding_bytes);
    }
    if let Some(last) = bytes.last_mut() {
        *last += u128::from(summary.head_bytes);
    }
    let cap = smallest_cap(&bytes, shards);
    let starts = most_equal(&bytes, shards, cap).ok_or_else(refused)?;
    let ends = starts.iter().skip(1).copied().chain([layers]);
    let range = |(start, end): (usize, usize)| LayerRange::new(start as u32, end as u32).map_err(|_| refused());
    starts.iter().copied().zip(ends).map(range).collect()
}

/// The smallest bound under which `shards` shares are enough. Cutting a share further never makes it larger, so it is
/// also the smallest bound for exactly `shards` shares.
fn smallest_cap(bytes: &[u128], shards: usize) -> u128 {
    let needed = |cap: u128| {
        let (mut count, mut share) = (1, 0);
        for layer in bytes {
            if share + layer > cap {
                (count, share) = (count + 1, 0);
            }
            share += layer;
        }
        count
    };
    let (mut low, mut high) = (bytes.iter().copied().max().unwrap_or(0), bytes.iter().sum::<u128>());
    while low < high {
        let middle = low + (high - low) / 2;
        if needed(middle) <= shards { high = middle } else { low = middle + 1 }
    }
    low
}

/// Where shares start, so that none exceeds `cap` and the sum of their squares is least.
fn most_equal(bytes: &[u128], shards: usize, cap: u128) -> Option<Vec<usize>> {
    let layers = bytes.len();
    // Squares of bytes overflow, so shares are measured against the cap; ties go to the earliest cut.
    let cost = |share: u128| (share as f64 / cap.max(1) as f64).powi(2);
    // best[k][end]: the least cost of cutting the first `end` layers into `k` shares, and where the last of them starts.
    let mut best = vec![vec![(f64::INFINITY, 0usize); layers + 1]; shards + 1];
    best[0][0] = (0.0, 0);
    for k in 1..=shards {
        for end in k..=layers {
            let mut share = 0;
            for start in (k - 1..end).rev() {
                share += bytes[start];
                if share > cap {
                    break;
                }
                let total = best[k - 1][start].0 + cost(share);
                if total <= best[k][end].0 && total.is_finite() {
                    best[k][end] = (total, start);
                }
            }
        }
    }
    let mut starts = Vec::with_capacity(shards);
    let mut end = layers;
    for k in (1..=shards).rev() {
        let (cost, start) = best[k][end];
        if !cost.is_finite() {
            return None;
        }
        starts.push(start);
        end = start;
    }
    starts.reverse();
    Some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use computepool_core::{ContentHash, ModelId};
    use proptest::prelude::*;

    fn summary(layer_bytes: Vec<u64>, embedding_bytes: u64, head_bytes: u64) -> ModelSummary {
        ModelSummary {
            id: ModelId::new("m").unwrap(),
            hash: ContentHash([0; 32]),
            architecture: "llama".into(),
            layer_count: layer_bytes.len() as u32,
            hidden: 1,
            vocabulary: 1,
            context: 1,
            layer_bytes,
            embedding_bytes,
            head_bytes,
            kv_bytes_per_token_layer: 1,
        }
    }

    fn shares(summary: &ModelSummary, cut: &[LayerRange]) -> Vec<u64> {
        let share = |range: &LayerRange| {
            let ends = if range.is_entry() { summary.embedding_bytes } else { 0 }
                + if range.is_exit(summary.layer_count) { summary.head_bytes } else { 0 };
            ends + range.iter().map(|layer| summary.layer_bytes[layer as usize]).sum::<u64>()
        };
        cut.iter().map(share).collect()
    }

    /// The smallest largest share, by trying every cut.
    fn best_by_force(summary: &ModelSummary, from: u32, shards: usize) -> u64 {
        let layers = summary.layer_count;
        if shards == 1 {
            return shares(summary, &[LayerRange::new(from, layers).unwrap()])[0];
        }
        (from + 1..=layers - (shards as u32 - 1))
            .map(|end| {
                let first = shares(summary, &[LayerRange::new(from, end).unwrap()])[0];
                first.max(best_by_force(summary, end, shards - 1))
            })
            .min()
            .unwrap()
    }

    proptest! {
        #[test]
        fn the_largest_share_is_as_small_as_can_be(
            bytes in prop::collection::vec(1u64..1000, 1..9),
            embedding in 0u64..3000,
            head in 0u64..3000,
            shards in 1usize..9,
        ) {
            let summary = summary(bytes, embedding, head);
            let layers = summary.layer_count;
            match even_split(&summary, shards) {
                Err(_) => prop_assert!(shards > layers as usize),
                Ok(cut) => {
                    prop_assert_eq!(cut.len(), shards);
                    prop_assert_eq!(cut[0].start(), 0);
                    prop_assert_eq!(cut[shards - 1].end(), layers);
                    prop_assert!(cut.windows(2).all(|pair| pair[0].end() == pair[1].start()));
                    let largest = shares(&summary, &cut).into_iter().max().unwrap();
                    prop_assert_eq!(largest, best_by_force(&summary, 0, shards));
                }
            }
        }
    }

    #[test]
    fn equal_layers_are_cut_equally_and_heavy_ends_get_fewer() {
        let text = |cut: Vec<LayerRange>| cut.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(even_split(&summary(vec![10; 30], 0, 0), 3).unwrap()), ["0..10", "10..20", "20..30"]);
        assert_eq!(text(even_split(&summary(vec![10; 12], 30, 30), 3).unwrap()), ["0..3", "3..9", "9..12"]);
        let huge = summary(vec![u64::MAX; 4], u64::MAX, u64::MAX);
        assert_eq!(text(even_split(&huge, 3).unwrap()), ["0..1", "1..3", "3..4"]);
        let every = even_split(&summary(vec![0; 200], 5, 5), 200).unwrap();
        assert!(every.iter().all(|range| range.len() == 1));
        let lying = ModelSummary { layer_count: 9, ..summary(vec![1; 4], 0, 0) };
        for (summary, shards) in [(summary(vec![1; 4], 0, 0), 0), (summary(vec![1; 4], 0, 0), 5), (lying, 2)] {
            assert!(matches!(even_split(&summary, shards), Err(ModelError::CannotSplit { .. })));
        }
    }
}
