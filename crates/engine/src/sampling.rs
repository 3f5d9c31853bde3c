//! Chooses the next token: a pure function of logits, parameters, history, seed and position.
//!
//! The order of operations is fixed, because the same request must give the same tokens on every node, today and after
//! an update:
//!
//! 1. Log-probabilities are read off the raw logits, before anything changes them.
//! 2. `logit_bias` is added.
//! 3. Penalties: repetition (over prompt and output), then frequency and presence (over the output).
//! 4. The grammar's mask removes what it does not allow.
//! 5. Temperature 0 takes the largest logit, ties to the lowest id, and is done.
//! 6. Otherwise logits are divided by the temperature, then `top_k`, `top_p` and `min_p` cut in this order, each over what
//!    the one before kept (the order of Hugging Face's warpers; llama.cpp divides by the temperature last).
//! 7. One [`uniform`] number of (seed, position) picks from the kept tokens: they are laid side by side in order of their
//!    ids, each as wide as its probability.
//!
//! Nothing here depends on the platform's mathematics library: exponentials are computed by [`exp`] from additions and
//! multiplications, which IEEE 754 rounds the same way everywhere. (Reported log-probabilities use the library's
//! logarithm; they choose nothing.)

mod choice;
mod history;
mod mask;
mod number;
mod probability;
mod select;
mod weight;

pub use history::History;
pub use mask::TokenMask;
pub use number::{exp, uniform};

use computepool_core::{Fault, FaultCode, Generate, Sampling, TokenLogprob};

/// A request may ask for this many alternatives per token.
pub const MAX_ALTERNATIVES: u8 = 20;

/// Why no token could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// The row does not have one logit per token.
    #[error("{got} logits for a vocabulary of {expected} tokens")]
    Vocabulary {
        /// Tokens of the vocabulary.
        expected: usize,
        /// Logits in the row.
        got: usize,
    },
    /// A logit is NaN or infinite: a damaged weight, or an overflow on the way.
    #[error("the model's output for position {position} is not finite (token {id})")]
    NotFinite {
        /// The position sampled for.
        position: u32,
        /// The first token concerned.
        id: usize,
    },
    /// The grammar's mask leaves no token.
    #[error("the grammar allows no token at position {position}")]
    NothingAllowed {
        /// The position sampled for.
        position: u32,
    },
}

impl From<SamplingError> for Fault {
    fn from(error: SamplingError) -> Self {
        let fault = Fault::new(FaultCode::Internal, error.to_string());
        match error {
            SamplingError::NotFinite { .. } => fault.hint("the weights may be damaged: check the model file's hash"),
            _ => fault,
        }
    }
}

/// What was chosen for one position.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The token.
    pub id: u32,
    /// Its log-probability and the likeliest alternatives, where asked for.
    pub logprob: Option<TokenLogprob>,
}

/// Samples for one generation. It remembers which tokens stood in prompt and output, and nothing else.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    alternatives: Option<u8>,
    vocabulary: usize,
    history: History,
}

impl Sampler {
    /// A sampler for rows of `vocabulary` logits. `alternatives` as in [`Generate::logprobs`]; `prompt` may be empty
    /// where no repetition penalty is asked for. Refused with `invalid_request` when a parameter is out of range or a
    /// biased token or a prompt token is not in the vocabulary.
    pub fn new(sampling: &Sampling, alternatives: Option<u8>, prompt: &[u32], vocabulary: u32) -> Result<Self, Fault> {
        sampling.check()?;
        let refuse = |message| Err(Fault::new(FaultCode::InvalidRequest, message));
        if let Some(count) = alternatives.filter(|count| *count > MAX_ALTERNATIVES) {
            return refuse(format!("{count} alternatives per token were asked for, {MAX_ALTERNATIVES} is the most"));
        }
        let named = sampling.logit_bias.iter().map(|(id, _)| id).chain(prompt);
        if let Some(id) = named.into_iter().find(|id| **id >= vocabulary) {
            return refuse(format!("there is no token {id}: the model has {vocabulary}"));
        }
        Ok(Self {
            sampling: sampling.clone(),
            alternatives,
            vocabulary: vocabulary as usize,
            history: History::new(sampling, prompt),
        })
    }

    /// The sampler of a request, which remembers what the request has produced as if it had chosen that itself.
    pub fn of(request: &Generate, vocabulary: u32) -> Result<Self, Fault> {
        let mut sampler = Self::new(&request.sampling, request.logprobs, &request.prompt, vocabulary)?;
        for id in &request.produced {
            if *id >= vocabulary {
                let what = format!("token {id} cannot have been produced: the model has {vocabulary}");
                return Err(Fault::new(FaultCode::InvalidRequest, what));
            }
            sampler.push(*id);
        }
        Ok(sampler)
    }

    /// Chooses the token for `position` (prompt included) from a row of raw logits, which is left changed, and
    /// remembers it as output.
    pub fn sample(
        &mut self,
        logits: &mut [f32],
        mask: Option<&TokenMask>,
        position: u32,
    ) -> Result<Choice, SamplingError> {
        if logits.len() != self.vocabulary {
            return Err(SamplingError::Vocabulary { expected: self.vocabulary, got: logits.len() });
        }
        probability::check_finite(logits, position)?;
        let distribution = self.alternatives.map(|count| probability::Distribution::of(logits, count));
        for (id, bias) in &self.sampling.logit_bias {
            if let Some(logit) = logits.get_mut(*id as usize) {
                *logit = (*logit + bias).clamp(f32::MIN, f32::MAX);
            }
        }
        self.history.penalise(logits, &self.sampling);
        if let Some(mask) = mask {
            mask.apply(logits);
        }
        let id = choice::choose(logits, &self.sampling, position)?;
        self.history.push(id);
        Ok(Choice { id, logprob: distribution.map(|distribution| distribution.report(id)) })
    }

    /// Remembers a token as output that was chosen elsewhere: what a shard that takes over a generation does first.
    pub fn push(&mut self, id: u32) {
        self.history.push(id);
    }
}

#[cfg(test)]
mod tests;
