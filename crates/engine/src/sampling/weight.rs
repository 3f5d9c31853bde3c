//! Logits as weights: probabilities relative to the likeliest token's.

use super::number::exp;

/// Rows are summed in blocks of this many logits.
pub(super) const BLOCK: usize = 512;

/// Sums run side by side within a block.
const LANES: usize = 8;

/// Turns logits into weights: 1 for the largest, 0 for what is masked.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    max: f64,
    temperature: f64,
    inverse: f64,
    least: f64,
}

impl Weight {
    /// For a row whose largest logit is `max`.
    pub(super) fn new(max: f32, temperature: f32) -> Self {
        let temperature = f64::from(temperature);
        Self { max: f64::from(max), temperature, inverse: 1.0 / temperature, least: 0.0 }
    }

    /// The same, with 0 for every weight below `least`.
    pub(super) fn at_least(self, least: f32) -> Self {
        Self { least: f64::from(least), ..self }
    }

    /// The weight of a logit.
    #[inline(always)]
    pub(super) fn of(self, logit: f32) -> f64 {
        let weight = exp((f64::from(logit) - self.max) * self.inverse);
        if weight < self.least { 0.0 } else { weight }
    }

    /// A logit whose weight lies a thousandth below this one, so that rounding cannot push it above.
    pub(super) fn logit_below(self, weight: f64) -> f64 {
        self.max + self.temperature * (weight.ln() - 1e-3)
    }

    /// The weights of a block together, in an order of summation that never changes: eight interleaved sums, then those.
    pub(super) fn sum(self, block: &[f32]) -> f64 {
        let mut lanes = [0.0; LANES];
        let chunks = block.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, logit) in lanes.iter_mut().zip(chunk) {
                *lane += self.of(*logit);
            }
        }
        for (lane, logit) in lanes.iter_mut().zip(rest) {
            *lane += self.of(*logit);
        }
        lanes.iter().sum()
    }
}
