//! Attention of one query head over the pages of one key/value head.
//!
//! Each query walks its own keys in order of position and never looks at what else is in the batch, so chunking and
//! mates cannot change a bit. Keys lie transposed in a page, so that scores fill vector lanes without a horizontal sum.

use super::math::{LANES, exp, lane_sum, softcap};
use super::{Isa, dispatch};

/// Tokens per page of keys and values.
pub(crate) const PAGE: usize = 32;

/// What a query sees.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    /// The first position it attends to.
    pub(crate) from: usize,
    /// One past the last: its own position plus one.
    pub(crate) to: usize,
    /// Multiplied with every score.
    pub(crate) scale: f32,
    /// `Some(c)`: scores become `c · tanh(score / c)`.
    pub(crate) softcap: Option<f32>,
}

/// `out = Σ softmax(query · keys) · values` for the positions in `scope`.
///
/// `keys(page)` gives `head_dim × PAGE` numbers (transposed), `values(page)` gives `PAGE × head_dim`; `scores` is scratch.
pub(crate) fn attend<'p>(
    isa: Isa,
    query: &[f32],
    keys: impl Fn(usize) -> &'p [f32],
    values: impl Fn(usize) -> &'p [f32],
    scope: Scope,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let (first, last) = (scope.from / PAGE, scope.to.div_ceil(PAGE));
    scores.clear();
    scores.resize((last - first) * PAGE, 0.0);
    for (page, scores) in (first..last).zip(scores.as_chunks_mut::<PAGE>().0) {
        score_page(isa, query, keys(page), scores);
    }
    let seen = &mut scores[scope.from - first * PAGE..scope.to - first * PAGE];
    let total = softmax_weights(isa, seen, scope);
    out.fill(0.0);
    for page in first..last {
        let start = scope.from.max(page * PAGE);
        let end = scope.to.min((page + 1) * PAGE);
        let weights = &seen[start - scope.from..end - scope.from];
        let values = &values(page)[(start - page * PAGE) * out.len()..][..weights.len() * out.len()];
        add_weighted(isa, weights, values, out);
    }
    let inverse = 1.0 / total;
    for x in out {
        *x *= inverse;
    }
}

fn score_page(isa: Isa, query: &[f32], keys: &[f32], scores: &mut [f32; PAGE]) {
    dispatch!(
        isa,
        fn score(query: &[f32], keys: &[f32], scores: &mut [f32; PAGE]) {
            let mut sums = [0.0f32; PAGE];
            for (q, keys) in query.iter().zip(keys.as_chunks::<PAGE>().0) {
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum = q.mul_add(*key, *sum);
                }
            }
            *scores = sums;
        }
    );
}

/// Turns scores into unnormalised weights and returns their sum.
fn softmax_weights(isa: Isa, scores: &mut [f32], scope: Scope) -> f32 {
    let mut total = 0.0;
    let total_out = &mut total;
    dispatch!(
        isa,
        fn weigh(scores: &mut [f32], scope: Scope, total_out: &mut f32) {
            for score in scores.iter_mut() {
                *score *= scope.scale;
            }
            if let Some(cap) = scope.softcap {
                for score in scores.iter_mut() {
                    *score = softcap(*score, cap);
                }
            }
            let mut tops = [f32::NEG_INFINITY; LANES];
            let (chunks, rest) = scores.as_chunks::<LANES>();
            for chunk in chunks.iter().map(|c| &c[..]).chain([rest]) {
                for (top, score) in tops.iter_mut().zip(chunk) {
                    *top = if *score > *top { *score } else { *top };
                }
            }
            let top = tops.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
            for score in scores.iter_mut() {
                *score = exp(*score - top);
            }
            let mut sums = [0.0f32; LANES];
            let (chunks, rest) = scores.as_chunks::<LANES>();
            for chunk in chunks.iter().map(|c| &c[..]).chain([rest]) {
                for (sum, weight) in sums.iter_mut().zip(chunk) {
                    *sum += weight;
                }
            }
            *total_out = lane_sum(sums);
        }
    );
    total
}

/// `out += Σ weights[t] · values[t]`, in order of t, for rows of `out.len()` numbers.
fn add_weighted(isa: Isa, weights: &[f32], values: &[f32], out: &mut [f32]) {
    dispatch!(
        isa,
        fn add(weights: &[f32], values: &[f32], out: &mut [f32]) {
            const WIDTH: usize = 4 * LANES;
            let dim = out.len();
            let (blocks, rest) = out.as_chunks_mut::<WIDTH>();
            let whole = blocks.len() * WIDTH;
            for (block, out) in blocks.iter_mut().enumerate() {
                let mut sums = *out;
                for (weight, row) in weights.iter().zip(values.chunks_exact(dim)) {
                    for (sum, value) in sums.iter_mut().zip(&row[block * WIDTH..][..WIDTH]) {
                        *sum = weight.mul_add(*value, *sum);
                    }
                }
                *out = sums;
            }
            if !rest.is_empty() {
                for (weight, row) in weights.iter().zip(values.chunks_exact(dim)) {
                    for (sum, value) in rest.iter_mut().zip(&row[whole..]) {
                        *sum = weight.mul_add(*value, *sum);
                    }
                }
            }
        }
    );
}
