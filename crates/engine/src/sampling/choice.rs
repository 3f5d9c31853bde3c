//! Greedy choice, cuts, and the draw. Logits come here finite or at minus infinity.

use computepool_core::Sampling;

use super::SamplingError;
use super::number::uniform;
use super::select::{Ranked, largest, maximum, rank};
use super::weight::{BLOCK, Weight};

/// The token for `position`, by the rules of [`super`].
pub(super) fn choose(logits: &[f32], sampling: &Sampling, position: u32) -> Result<u32, SamplingError> {
    let max = maximum(logits);
    if max == f32::NEG_INFINITY {
        return Err(SamplingError::NothingAllowed { position });
    }
    if sampling.temperature == 0.0 || sampling.top_k == 1 {
        let first = logits.iter().position(|logit| *logit == max);
        return first.map(|id| id as u32).ok_or(SamplingError::NothingAllowed { position });
    }
    let weight = Weight::new(max, sampling.temperature);
    let cut_k = sampling.top_k != 0 && (sampling.top_k as usize) < logits.len();
    let cut_p = sampling.top_p < 1.0;
    let drawn = uniform(sampling.seed, position);
    if !cut_k && !cut_p {
        return draw_from_all(logits, weight.at_least(sampling.min_p), drawn)
            .ok_or(SamplingError::NothingAllowed { position });
    }
    let mut kept = match (cut_k, cut_p) {
        (true, true) => nucleus_of_sorted(largest(logits, sampling.top_k as usize), weight, sampling.top_p),
        (true, false) => largest(logits, sampling.top_k as usize),
        (false, _) => nucleus(logits, weight, sampling.top_p),
    };
    kept.sort_unstable_by_key(|(_, id)| *id);
    draw(&kept, weight.at_least(sampling.min_p), drawn).ok_or(SamplingError::NothingAllowed { position })
}

/// The smallest set of likeliest tokens whose share reaches `top_p`; at least one token.
fn nucleus(logits: &[f32], weight: Weight, top_p: f32) -> Vec<Ranked> {
    let total: f64 = logits.chunks(BLOCK).map(|block| weight.sum(block)).sum();
    // Tokens lighter than an equal part of what the nucleus may leave out are never needed to reach it.
    let spare = (1.0 - f64::from(top_p)) * total / logits.len() as f64;
    let threshold = weight.logit_below(spare);
    let ranked = logits.iter().enumerate().map(|(id, logit)| (*logit, id as u32));
    let mut candidates: Vec<Ranked> =
        ranked.filter(|(logit, _)| logit.is_finite() && f64::from(*logit) >= threshold).collect();
    let target = f64::from(top_p) * total;
    let (mut sum, mut sorted, mut step) = (0.0, 0, 256);
    // Sorted piece by piece: a nucleus is mostly far smaller than its candidates.
    while sorted < candidates.len() {
        let rest = &mut candidates[sorted..];
        if step < rest.len() {
            rest.select_nth_unstable_by(step, rank);
        }
        let piece = step.min(rest.len());
        rest[..piece].sort_unstable_by(rank);
        for (logit, _) in &rest[..piece] {
            sum += weight.of(*logit);
            sorted += 1;
            if sum >= target {
                candidates.truncate(sorted);
                return candidates;
            }
        }
        step *= 4;
    }
    candidates
}

/// As [`nucleus`], over what is left and already sorted.
fn nucleus_of_sorted(mut kept: Vec<Ranked>, weight: Weight, top_p: f32) -> Vec<Ranked> {
    let target = f64::from(top_p) * kept.iter().map(|(logit, _)| weight.of(*logit)).sum::<f64>();
    let mut sum = 0.0;
    let reached = kept.iter().position(|(logit, _)| {
        sum += weight.of(*logit);
        sum >= target
    });
    kept.truncate(reached.map_or(kept.len(), |last| last + 1));
    kept
}

/// Lays the tokens side by side, each as wide as its weight, and takes the one at `drawn` of the whole.
fn draw(tokens: &[Ranked], weight: Weight, drawn: f64) -> Option<u32> {
    let target = drawn * tokens.iter().map(|(logit, _)| weight.of(*logit)).sum::<f64>();
    let (mut sum, mut last) = (0.0, None);
    for (logit, id) in tokens {
        let width = weight.of(*logit);
        if width > 0.0 {
            sum += width;
            last = Some(*id);
            if sum > target {
                break;
            }
        }
    }
    last
}

/// As [`draw`], from a whole row: first the block, then the token within it.
fn draw_from_all(logits: &[f32], weight: Weight, drawn: f64) -> Option<u32> {
    let sums: Vec<f64> = logits.chunks(BLOCK).map(|block| weight.sum(block)).collect();
    let mut rest = drawn * sums.iter().sum::<f64>();
    let mut chosen = None;
    for (block, sum) in sums.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
        chosen = Some(block);
        if *sum > rest {
            break;
        }
        rest -= sum;
    }
    let start = chosen? * BLOCK;
    let mut last = None;
    for (id, logit) in logits.iter().enumerate().skip(start).take(BLOCK) {
        let width = weight.of(*logit);
        if width > 0.0 {
            last = Some(id as u32);
            if width > rest {
                break;
            }
            rest -= width;
        }
    }
    last
}

#[cfg(test)]
mod tests;
