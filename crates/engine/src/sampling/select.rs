//! The likeliest tokens of a row, without sorting the row.

use std::cmp::Ordering;

/// A logit and the token it belongs to.
pub(super) type Ranked = (f32, u32);

/// Likeliest first, ties to the lowest id: a total order on finite logits.
pub(super) fn rank(a: &Ranked, b: &Ranked) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// The largest logit; minus infinity for an empty row.
pub(super) fn maximum(logits: &[f32]) -> f32 {
    logits.iter().fold(f32::NEG_INFINITY, |max, logit| if *logit > max { *logit } else { max })
}

/// The `count` likeliest tokens, best first, leaving out those at minus infinity. One pass and at most `2 · count` kept:
/// what cannot be among them any more is dropped as soon as the buffer is full.
pub(super) fn largest(logits: &[f32], count: usize) -> Vec<Ranked> {
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let room = (2 * count).min(logits.len()).max(count + 1);
    let mut kept: Vec<Ranked> = Vec::with_capacity(room);
    // A later token with the same logit has a higher id, and so the lower rank: only larger ones can still enter.
    let mut threshold = f32::NEG_INFINITY;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > threshold {
            kept.push((*logit, id as u32));
            if kept.len() == room {
                let (_, last, _) = kept.select_nth_unstable_by(count - 1, rank);
                threshold = last.0;
                kept.truncate(count);
            }
        }
    }
    kept.sort_unstable_by(rank);
    kept.truncate(count);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_sorting(
            logits in proptest::collection::vec(prop_oneof![(-8i8..8).prop_map(f32::from), Just(f32::NEG_INFINITY)], 0..200),
            count in 0usize..220,
        ) {
            let mut sorted: Vec<Ranked> = logits.iter().enumerate().map(|(id, logit)| (*logit, id as u32)).collect();
            sorted.retain(|(logit, _)| logit.is_finite());
            sorted.sort_by(rank);
            sorted.truncate(count);
            prop_assert_eq!(largest(&logits, count), sorted);
        }
    }
}
