//! Log-probabilities of a row of raw logits.

use computepool_core::{AlternativeToken, TokenLogprob};

use super::SamplingError;
use super::select::{largest, maximum};
use super::weight::{BLOCK, Weight};

/// Refuses a row with a NaN or an infinity in it.
pub(super) fn check_finite(logits: &[f32], position: u32) -> Result<(), SamplingError> {
    // The product of a finite number and 0 is 0; of anything else it is NaN. One pass without branches.
    let poison: f32 = logits.chunks(64).map(|chunk| chunk.iter().fold(0.0, |sum, logit| sum + logit * 0.0)).sum();
    if poison == 0.0 {
        return Ok(());
    }
    let id = logits.iter().position(|logit| !logit.is_finite()).unwrap_or_default();
    Err(SamplingError::NotFinite { position, id })
}

/// What has to be kept of a raw row to report on it after it was changed: the row's normaliser, the likeliest tokens, and
/// the logits.
pub(super) struct Distribution {
    logits: Vec<f32>,
    /// Log of the sum of exponentials.
    normaliser: f64,
    top: Vec<AlternativeToken>,
}

impl Distribution {
    /// Reads the likeliest `count` tokens and the normaliser off a row of finite logits.
    pub(super) fn of(logits: &[f32], count: u8) -> Self {
        let max = maximum(logits);
        let weight = Weight::new(max, 1.0);
        let sum: f64 = logits.chunks(BLOCK).map(|block| weight.sum(block)).sum();
        let normaliser = f64::from(max) + sum.ln();
        let top = largest(logits, usize::from(count))
            .into_iter()
            .map(|(logit, id)| AlternativeToken { id, logprob: (f64::from(logit) - normaliser) as f32 })
            .collect();
        Self { logits: logits.to_vec(), normaliser, top }
    }

    /// The report on a token of the row.
    pub(super) fn report(self, id: u32) -> TokenLogprob {
        let logit = self.logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        TokenLogprob { logprob: (f64::from(logit) - self.normaliser) as f32, top: self.top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logprobs_sum_to_one_and_come_best_first() {
        let logits = [1.0f32, 3.0, 2.0, 3.0, -50.0];
        let total: f32 = (0..5).map(|id| Distribution::of(&logits, 0).report(id).logprob.exp()).sum();
        assert!((total - 1.0).abs() < 1e-6);
        let report = Distribution::of(&logits, 3).report(0);
        assert_eq!(report.top.iter().map(|top| top.id).collect::<Vec<_>>(), [1, 3, 2]);
        // By hand: e³ + e³ + e² + e¹ = 50.278; ln = 3.91756.
        assert!((report.logprob - (1.0 - 3.917_56)).abs() < 1e-4, "{}", report.logprob);
        assert!((report.top[0].logprob - (3.0 - 3.917_56)).abs() < 1e-4);
    }

    #[test]
    fn a_row_that_is_not_finite_is_named() {
        assert_eq!(check_finite(&[0.0, f32::MAX, f32::MIN], 9), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = vec![f32::MAX; 300];
            row[257] = bad;
            assert_eq!(check_finite(&row, 9), Err(SamplingError::NotFinite { position: 9, id: 257 }));
        }
    }
}
