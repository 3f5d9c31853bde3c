//! Rotary position embedding: which frequencies, and how pairs are laid out.

use std::f64::consts::PI;

use super::{bad, positive};
use crate::error::ModelError;

/// Which two values of a head form a rotated pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// `(0, 1), (2, 3), …`: GGUF files of the Llama family, whose query and key weights were permuted for it.
    Interleaved,
    /// `(0, d/2), (1, d/2 + 1), …` ("NEOX"): the other GGUF files, and all Hugging Face folders.
    HalfRotated,
}

/// How the frequencies are stretched for sequences longer than those trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions are divided by a factor.
    Linear {
        /// The factor.
        factor: f32,
    },
    /// Llama 3.1: low frequencies are divided, high ones kept, those between are blended
    /// (`_compute_llama3_parameters` in transformers' `modeling_rope_utils.py`).
    Llama3 {
        /// For low frequencies.
        factor: f32,
        /// Wavelengths above `original_context / low_frequency` are low frequencies.
        low_frequency: f32,
        /// Wavelengths below `original_context / high_frequency` are high frequencies.
        high_frequency: f32,
        /// Context of the first training, in tokens.
        original_context: u32,
    },
    /// One divisor per pair: `rope_freqs.weight` in GGUF files.
    Factors(Vec<f32>),
    /// YaRN (Peng et al. 2023, arXiv:2309.00071), as transformers and llama.cpp compute it.
    Yarn {
        /// For low frequencies.
        factor: f32,
        /// Context of the first training, in tokens.
        original_context: u32,
        /// Factor on the rotated values, already worked out.
        attention_factor: f32,
        /// Pairs that turn more often than this over the original context are kept.
        beta_fast: f32,
        /// Pairs that turn less often than this are divided by `factor`.
        beta_slow: f32,
    },
}

impl RopeScaling {
    /// YaRN's own factor on the rotated values: `0.1 · ln(factor) + 1`.
    pub fn yarn_magnitude(factor: f32) -> f32 {
        if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 }
    }
}

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies, θ.
    pub base: f32,
    /// The layout of the pairs.
    pub style: RopeStyle,
    /// The stretching.
    pub scaling: RopeScaling,
}

impl Rope {
    /// Angle per position of each pair, after scaling: `dim / 2` values for `dim` rotated values of a head. Computed
    /// in `f64` and rounded once.
    pub fn inverse_frequencies(&self, dim: usize) -> Vec<f32> {
        let base = f64::from(self.base);
        let plain = (0..dim / 2).map(|pair| base.powf(-2.0 * pair as f64 / dim as f64));
        let scaled: Vec<f64> = match &self.scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|frequency| frequency / f64::from(*factor)).collect(),
            RopeScaling::Factors(factors) => {
                let divisors = factors.iter().copied().map(f64::from).chain(std::iter::repeat(1.0));
                plain.zip(divisors).map(|(frequency, divisor)| frequency / divisor).collect()
            }
            RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_context } => {
                let (factor, context) = (f64::from(*factor), f64::from(*original_context));
                let (low, high) = (f64::from(*low_frequency), f64::from(*high_frequency));
                plain
                    .map(|frequency| {
                        let turns = context * frequency / (2.0 * PI);
                        if turns < low {
                            frequency / factor
                        } else if turns > high {
                            frequency
                        } else {
                            let keep = (turns - low) / (high - low);
                            (1.0 - keep) * frequency / factor + keep * frequency
                        }
                    })
                    .collect()
            }
            RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, .. } => {
                let context = f64::from(*original_context);
                // The pair that turns `beta` times over the original context.
                let pair_of =
                    |beta: f32| dim as f64 * (context / (f64::from(beta) * 2.0 * PI)).ln() / (2.0 * base.ln());
                let low = pair_of(*beta_fast).floor().max(0.0);
                let high = pair_of(*beta_slow).ceil().min(dim as f64 - 1.0);
                let width = (high - low).max(0.001);
                plain
                    .enumerate()
                    .map(|(pair, frequency)| {
                        let stretched = ((pair as f64 - low) / width).clamp(0.0, 1.0);
                        frequency * (1.0 - stretched) + frequency / f64::from(*factor) * stretched
                    })
                    .collect()
            }
        };
        scaled.into_iter().map(|frequency| frequency as f32).collect()
    }

    /// The factor on the rotated values (on sine and cosine): YaRN's attention factor, else 1.
    pub fn magnitude(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor,
            _ => 1.0,
        }
    }

    /// Refuses numbers that would give infinite or meaningless angles over `dim` rotated values.
    pub(crate) fn check(&self, dim: usize) -> Result<(), ModelError> {
        positive("rope base", self.base)?;
        if self.base <= 1.0 {
            return Err(bad("rope base", format!("{} is not above 1", self.base)));
        }
        match &self.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => positive("rope scaling factor", *factor)?,
            RopeScaling::Factors(factors) => {
                if factors.len() != dim / 2 {
                    let reason = format!("{} divisors for {} pairs", factors.len(), dim / 2);
                    return Err(bad("rope factors", reason));
                }
                factors.iter().try_for_each(|factor| positive("rope factors", *factor))?;
            }
            RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_context } => {
                positive("rope scaling factor", *factor)?;
                positive("rope low_freq_factor", *low_frequency)?;
                positive("rope high_freq_factor", *high_frequency)?;
                if high_frequency <= low_frequency || *original_context == 0 {
                    return Err(bad("rope scaling", "high_freq_factor must exceed low_freq_factor, and the context 0"));
                }
            }
            RopeScaling::Yarn { factor, original_context, attention_factor, beta_fast, beta_slow } => {
                positive("rope scaling factor", *factor)?;
                positive("rope attention factor", *attention_factor)?;
                positive("rope beta_fast", *beta_fast)?;
                positive("rope beta_slow", *beta_slow)?;
                if beta_fast <= beta_slow || *original_context == 0 {
                    return Err(bad("rope scaling", "beta_fast must exceed beta_slow, and the original context 0"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(base: f32, scaling: RopeScaling) -> Rope {
        Rope { base, style: RopeStyle::HalfRotated, scaling }
    }

    fn close(got: f32, expected: f32) {
        assert!((got - expected).abs() <= expected.abs() * 2e-6, "{got} is not {expected}");
    }

    #[test]
    fn plain_and_linear_frequencies_follow_the_definition() {
        let plain = rope(10_000.0, RopeScaling::None).inverse_frequencies(64);
        assert_eq!(plain.len(), 32);
        close(plain[0], 1.0);
        close(plain[16], 0.01);
        close(plain[8], 0.1);
        let linear = rope(10_000.0, RopeScaling::Linear { factor: 8.0 }).inverse_frequencies(64);
        close(linear[16], 0.01 / 8.0);
        let factors = rope(10_000.0, RopeScaling::Factors((1..=32).map(|i| i as f32).collect()));
        close(factors.inverse_frequencies(64)[16], 0.01 / 17.0);
        factors.check(64).unwrap();
        assert!(factors.check(128).is_err());
    }

    #[test]
    fn llama3_keeps_high_and_divides_low_frequencies() {
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 8192 };
        let plain = rope(500_000.0, RopeScaling::None).inverse_frequencies(128);
        let scaled = rope(500_000.0, scaling).inverse_frequencies(128);
        // Turns over 8192 positions: pair 28 makes 4.19, pair 30 makes 2.78, pair 36 makes 0.81.
        close(scaled[28], plain[28]);
        close(scaled[36], plain[36] / 8.0);
        assert!(scaled[30] < plain[30] && scaled[30] > plain[30] / 8.0);
        // The same formula, worked out by hand: keep = (2.7785479 − 1) / 3.
        close(scaled[30], 0.001_371_893_6);
    }

    #[test]
    fn yarn_blends_between_the_two_correction_pairs() {
        let scaling = RopeScaling::Yarn {
            factor: 4.0,
            original_context: 32_768,
            attention_factor: RopeScaling::yarn_magnitude(4.0),
            beta_fast: 32.0,
            beta_slow: 1.0,
        };
        let plain = rope(1e6, RopeScaling::None).inverse_frequencies(128);
        let yarn = rope(1e6, scaling);
        let scaled = yarn.inverse_frequencies(128);
        // The correction pairs are floor(23.6) and ceil(39.7).
        close(scaled[23], plain[23]);
        close(scaled[40], plain[40] / 4.0);
        let ramp = (31.0 - 23.0) / 17.0;
        close(scaled[31], plain[31] * (1.0 - ramp) + plain[31] / 4.0 * ramp);
        close(yarn.magnitude(), 1.138_629_4);
        assert_eq!(rope(1e6, RopeScaling::None).magnitude(), 1.0);
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for base in [0.0, 1.0, -10_000.0, f32::NAN, f32::INFINITY] {
            assert!(rope(base, RopeScaling::None).check(64).is_err(), "{base}");
        }
        assert!(rope(1e4, RopeScaling::Linear { factor: 0.0 }).check(64).is_err());
        assert!(rope(1e4, RopeScaling::Factors(vec![f32::NAN; 32])).check(64).is_err());
    }
}
