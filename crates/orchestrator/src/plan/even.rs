//! The plainest cut: the largest share of weights is as small as it can be, whoever the machines are.
//!
//! This is the linear partition problem, solved exactly by dynamic programming around the ranges that nodes insist on.

use std::collections::BTreeMap;

use computepool_core::LayerRange;

use super::{Candidate, PlanError, least_bytes, suits, weight_bytes};
use crate::PoolSettings;

/// One place of a planned route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The range.
    pub layers: LayerRange,
    /// Which candidate serves it.
    pub candidate: usize,
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
