//! Who serves which layers: a pure function of the model and the nodes that are there.
//!
//! The model is cut into contiguous ranges so that the largest share of weights is as small as it can be (the linear
//! partition problem, solved exactly by dynamic programming), around the ranges that some nodes insist on.

use std::collections::BTreeMap;

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

/// One place of a planned route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The range.
    pub layers: LayerRange,
    /// Which candidate serves it.
    pub candidate: usize,
}

/// Why no route can be planned yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not enough nodes.
    #[error("{present} of {needed} nodes are there")]
    TooFew {
        /// Nodes that could serve.
        present: usize,
        /// Shards to be served.
        needed: usize,
    },
    /// Enough nodes, but their insisted ranges and the others cannot be joined to the wanted number of shards.
    #[error("the layer ranges that nodes insist on cannot be joined to {needed} shards")]
    Insistence {
        /// Shards to be served.
        needed: usize,
    },
    /// A range is too big for the nodes that are left for it.
    #[error("layers {layers} need {needed} bytes and the largest node left offers {offered}")]
    Memory {
        /// The range.
        layers: LayerRange,
        /// Bytes of weights and of one sequence's KV.
        needed: u64,
        /// Bytes the best remaining node offers.
        offered: u64,
    },
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

/// Cuts the model into `settings.shards` contiguous ranges, entry first, and names a candidate for each.
///
/// The largest share is as small as the insisted ranges allow; among equal cuts the one that uses more insisting nodes
/// wins, because those can serve nothing else. Free nodes take the remaining ranges in order of registration; where
/// that would overfill one, the largest range goes to the node with the most memory, and so on down. When the wanted
/// number of shards cannot be had, but insisted ranges alone tile the model, they are the plan.
pub fn plan(settings: &PoolSettings, candidates: &[Candidate]) -> Result<Vec<Share>, PlanError> {
    let layer_count = settings.summary.layer_count;
    let mut insisting: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    let mut free = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        match candidate.insisted {
            Some(range) if range.end() <= layer_count && suits(settings, range, candidate) => {
                insisting.entry((range.end(), range.start())).or_insert(index);
            }
            Some(_) => {}
            None => free.push(index),
        }
    }
    let ranges: Vec<LayerRange> =
        insisting.keys().filter_map(|&(end, start)| LayerRange::new(start, end).ok()).collect();
    let Some(cut) = Cuts::new(settings, &ranges, free.len()).best(settings.shards) else {
        let needed = settings.shards;
        let present = ranges.len() + free.len();
        return Err(if present < needed {
            PlanError::TooFew { present, needed }
        } else {
            PlanError::Insistence { needed }
        });
    };
    let open: Vec<LayerRange> = cut.iter().filter(|piece| piece.free).map(|piece| piece.layers).collect();
    let mut takers = seat(settings, &open, &free, candidates)?.into_iter();
    let mut shares = Vec::with_capacity(cut.len());
    for piece in cut {
        let layers = piece.layers;
        let candidate =
            if piece.free { takers.next() } else { insisting.get(&(layers.end(), layers.start())).copied() };
        let Some(candidate) = candidate else { return Err(PlanError::Insistence { needed: settings.shards }) };
        shares.push(Share { layers, candidate });
    }
    Ok(shares)
}

/// Names a free candidate for each open range: in order of registration where all fit, else the largest to the largest.
fn seat(
    settings: &PoolSettings,
    open: &[LayerRange],
    free: &[usize],
    candidates: &[Candidate],
) -> Result<Vec<usize>, PlanError> {
    if open.iter().zip(free).all(|(layers, index)| suits(settings, *layers, &candidates[*index])) {
        return Ok(free.iter().copied().take(open.len()).collect());
    }
    let mut by_need: Vec<usize> = (0..open.len()).collect();
    by_need.sort_by_key(|place| std::cmp::Reverse(least_bytes(settings, open[*place])));
    let mut by_memory = free.to_vec();
    by_memory.sort_by_key(|index| std::cmp::Reverse(candidates[*index].memory_bytes));
    let mut takers = vec![0; open.len()];
    for (place, index) in by_need.into_iter().zip(by_memory) {
        let (layers, offered) = (open[place], candidates[index].memory_bytes);
        if !suits(settings, layers, &candidates[index]) {
            return Err(PlanError::Memory { layers, needed: least_bytes(settings, layers), offered });
        }
        takers[place] = index;
    }
    Ok(takers)
}

/// One range of a cut.
#[derive(Clone, Copy)]
struct Piece {
    layers: LayerRange,
    free: bool,
}

/// The cheapest ways to cut the first `end` layers into `free` ranges of any length and `fixed` insisted ones.
struct Cuts {
    layer_count: usize,
    fixed_most: usize,
    free_most: usize,
    /// By `(free, fixed, end)`: the largest share, and the last piece of the cut that reaches it.
    best: Vec<Option<(u64, Piece)>>,
}

impl Cuts {
    fn new(settings: &PoolSettings, insisted: &[LayerRange], free_nodes: usize) -> Self {
        let layer_count = settings.summary.layer_count as usize;
        let free_most = free_nodes.min(settings.shards);
        let fixed_most = insisted.len().min(layer_count);
        let size = (free_most + 1) * (fixed_most + 1) * (layer_count + 1);
        let mut cuts = Self { layer_count, fixed_most, free_most, best: vec![None; size] };
        for free in 0..=free_most {
            for fixed in 0..=fixed_most {
                // With free nodes in it, only a cut into the wanted number of shards is of use.
                if free > 0 && free + fixed > settings.shards {
                    break;
                }
                for end in 1..=layer_count {
                    let slot = cuts.slot(free, fixed, end);
                    cuts.best[slot] = cuts.cheapest(settings, insisted, (free, fixed, end));
                }
            }
        }
        cuts
    }

    fn slot(&self, free: usize, fixed: usize, end: usize) -> usize {
        (free * (self.fixed_most + 1) + fixed) * (self.layer_count + 1) + end
    }

    /// The largest share so far where `free` and `fixed` pieces end at `end`; nothing cut yet costs nothing.
    fn cost(&self, free: usize, fixed: usize, end: usize) -> Option<u64> {
        if end == 0 {
            return (free == 0 && fixed == 0).then_some(0);
        }
        self.best[self.slot(free, fixed, end)].map(|(cost, _)| cost)
    }

    fn cheapest(
        &self,
        settings: &PoolSettings,
        insisted: &[LayerRange],
        (free, fixed, end): (usize, usize, usize),
    ) -> Option<(u64, Piece)> {
        let mut best: Option<(u64, Piece)> = None;
        let mut consider = |before: Option<u64>, weight: u64, piece: Piece| {
            let Some(cost) = before.map(|before| before.max(weight)) else { return };
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, piece));
            }
        };
        if fixed > 0 {
            for layers in insisted.iter().copied().filter(|layers| layers.end() as usize == end) {
                let before = self.cost(free, fixed - 1, layers.start() as usize);
                consider(before, weight_bytes(settings, layers), Piece { layers, free: false });
            }
        }
        if free > 0 {
            let summary = &settings.summary;
            let mut weight = if end == self.layer_count { summary.head_bytes } else { 0 };
            for start in (0..end).rev() {
                weight = weight.saturating_add(summary.layer_bytes[start]);
                let whole = if start == 0 { weight.saturating_add(summary.embedding_bytes) } else { weight };
                if let Ok(layers) = LayerRange::new(start as u32, end as u32) {
                    consider(self.cost(free - 1, fixed, start), whole, Piece { layers, free: true });
                }
            }
        }
        best
    }

    fn best(&self, shards: usize) -> Option<Vec<Piece>> {
        let end = self.layer_count;
        let wanted = (0..=self.fixed_most.min(shards)).rev().map(|fixed| (shards - fixed, fixed));
        let exact = wanted
            .filter(|(free, _)| *free <= self.free_most)
            .filter_map(|(free, fixed)| Some((self.cost(free, fixed, end)?, free, fixed)))
            .reduce(|best, next| if next.0 < best.0 { next } else { best });
        let tiled = || (1..=self.fixed_most).find_map(|fixed| Some((self.cost(0, fixed, end)?, 0, fixed)));
        let (_, free, fixed) = exact.or_else(tiled)?;
        self.trace(free, fixed)
    }

    fn trace(&self, mut free: usize, mut fixed: usize) -> Option<Vec<Piece>> {
        let mut pieces = Vec::with_capacity(free + fixed);
        let mut end = self.layer_count;
        while end > 0 {
            let (_, piece) = self.best[self.slot(free, fixed, end)]?;
            if piece.free {
                free -= 1;
            } else {
                fixed -= 1;
            }
            end = piece.layers.start() as usize;
            pieces.push(piece);
        }
        pieces.reverse();
        Some(pieces)
    }
}
