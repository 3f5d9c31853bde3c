//! The fields that say how tokens are chosen.

use std::collections::BTreeMap;

use computepool_core::Sampling;
use serde_json::Number;

use crate::RequestLimits;
use crate::error::ApiError;
use crate::wire::{ChatRequest, CompletionRequest, StopField};

/// The sampling fields of either endpoint.
pub(crate) struct SamplingFields<'a> {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    min_p: Option<f64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    repetition_penalty: Option<f64>,
    logit_bias: Option<&'a BTreeMap<String, f64>>,
    seed: Option<&'a Number>,
}

macro_rules! fields_of {
    ($request:ty) => {
        impl<'a> From<&'a $request> for SamplingFields<'a> {
            fn from(request: &'a $request) -> Self {
                Self {
                    temperature: request.temperature,
                    top_p: request.top_p,
                    top_k: request.top_k,
                    min_p: request.min_p,
                    presence_penalty: request.presence_penalty,
                    frequency_penalty: request.frequency_penalty,
                    repetition_penalty: request.repetition_penalty,
                    logit_bias: request.logit_bias.as_ref(),
                    seed: request.seed.as_ref(),
                }
            }
        }
    };
}
fields_of!(ChatRequest);
fields_of!(CompletionRequest);

impl SamplingFields<'_> {
    /// Checked, for a vocabulary of this many tokens.
    pub(crate) fn read(&self, vocabulary: u32, limits: &RequestLimits) -> Result<Sampling, ApiError> {
        let usual = Sampling::default();
        Ok(Sampling {
            temperature: within("temperature", self.temperature, 0.0, 2.0)?.unwrap_or(usual.temperature),
            top_p: within("top_p", self.top_p, 0.0, 1.0)?.unwrap_or(usual.top_p),
            top_k: match self.top_k {
                None | Some(-1) => usual.top_k,
                Some(k) => u32::try_from(k)
                    .map_err(|_| ApiError::invalid("top_k", "expected a number of tokens, or -1 for all"))?,
            },
            min_p: within("min_p", self.min_p, 0.0, 1.0)?.unwrap_or(usual.min_p),
            presence_penalty: within("presence_penalty", self.presence_penalty, -2.0, 2.0)?
                .unwrap_or(usual.presence_penalty),
            frequency_penalty: within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?
                .unwrap_or(usual.frequency_penalty),
            repetition_penalty: within("repetition_penalty", self.repetition_penalty, 0.01, 10.0)?
                .unwrap_or(usual.repetition_penalty),
            logit_bias: self.biases(vocabulary, limits)?,
            seed: match self.seed {
                None => rand::random(),
                Some(seed) => seed
                    .as_u64()
                    .or_else(|| seed.as_i64().map(i64::cast_unsigned))
                    .ok_or_else(|| ApiError::invalid("seed", "expected an integer of 64 bits"))?,
            },
        })
    }

    fn biases(&self, vocabulary: u32, limits: &RequestLimits) -> Result<Vec<(u32, f32)>, ApiError> {
        let at = "logit_bias";
        let Some(biases) = self.logit_bias else { return Ok(Vec::new()) };
        if biases.len() > limits.biases {
            let message = format!("{} tokens have a bias, at most {} are accepted", biases.len(), limits.biases);
            return Err(ApiError::invalid(at, message));
        }
        let read = |(token, bias): (&String, &f64)| {
            let id = token.parse::<u32>().ok().filter(|id| *id < vocabulary);
            let id =
                id.ok_or_else(|| ApiError::invalid(at, format!("`{}` is not a token id of this model", shown(token))))?;
            let bias = within(at, Some(*bias), -100.0, 100.0)?.unwrap_or(0.0);
            Ok((id, bias))
        };
        biases.iter().map(read).collect()
    }
}

/// `value` as f32, refused outside `low..=high`.
fn within(param: &str, value: Option<f64>, low: f64, high: f64) -> Result<Option<f32>, ApiError> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            Err(ApiError::invalid(param, format!("{value} is not between {low} and {high}")))
        }
        value => Ok(value.map(|value| value as f32)),
    }
}

/// The seed of the `choice`-th answer: the request's own for the first, and as good as independent for the others
/// (the output function of SplitMix64; Steele, Lea and Flood 2014).
pub(crate) fn choice_seed(seed: u64, choice: u32) -> u64 {
    if choice == 0 {
        return seed;
    }
    let mut z = seed.wrapping_add(u64::from(choice).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Reads `stop`.
pub(crate) fn read_stops(field: Option<&StopField>, limits: &RequestLimits) -> Result<Vec<String>, ApiError> {
    let stops = match field {
        None => return Ok(Vec::new()),
        Some(StopField::One(stop)) => vec![stop.clone()],
        Some(StopField::Many(stops)) => stops.clone(),
    };
    if stops.len() > 4 {
        return Err(ApiError::invalid(
            "stop",
            format!("{} stop strings are given, at most 4 are accepted", stops.len()),
        ));
    }
    if let Some(stop) = stops.iter().find(|stop| stop.is_empty() || stop.len() > limits.stop_bytes) {
        let message = format!("a stop string has {} bytes, 1 to {} are accepted", stop.len(), limits.stop_bytes);
        return Err(ApiError::invalid("stop", message));
    }
    Ok(stops)
}

/// A stranger's text, cut to what fits an error message.
pub(crate) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(64).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_one_prompt_have_seeds_of_their_own() {
        let seeds: std::collections::HashSet<u64> = (0..8).map(|choice| choice_seed(7, choice)).collect();
        assert_eq!(seeds.len(), 8);
        assert_eq!(choice_seed(7, 0), 7);
        assert_eq!(choice_seed(7, 3), choice_seed(7, 3));
    }
}
