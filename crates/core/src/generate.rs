//! One generation: what is asked, and what comes back token by token.

use serde::{Deserialize, Serialize};

use crate::{Fault, FaultCode, GenerationId, SignedReceipt};

/// A request for tokens, checked and in token ids: what the HTTP face makes of a chat or completion request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// The prompt; never empty.
    pub prompt: Vec<u32>,
    /// Tokens of the answer that are there already, when another route goes on where one was lost. What follows is what
    /// would have followed there: positions, penalties and grammar take them into account, `max_tokens` includes them.
    pub produced: Vec<u32>,
    /// At most this many tokens are produced; at least one.
    pub max_tokens: u32,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// What the output must look like, where that is asked for.
    pub constraint: Option<Constraint>,
    /// `Some(n)`: report each token's log-probability and the `n` likeliest alternatives (0 to 20).
    pub logprobs: Option<u8>,
    /// Keep going past the model's end-of-text tokens (benchmarks and comparisons).
    pub ignore_eos: bool,
}

/// How the next token is chosen from the logits: a pure function of these, the history, and the position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 is greedy: the likeliest token, ties to the lowest id. Otherwise logits are divided by it.
    pub temperature: f32,
    /// Keep only this many of the likeliest tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set of likeliest tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Drop tokens less likely than this share of the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens in prompt or output; 1 is off (CTRL, arXiv 1909.05858).
    pub repetition_penalty: f32,
    /// Subtracted from the logit of every token already produced; 0 is off (OpenAI's definition).
    pub presence_penalty: f32,
    /// Subtracted once per earlier occurrence in the output; 0 is off (OpenAI's definition).
    pub frequency_penalty: f32,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// The same seed, position and logits choose the same token.
    pub seed: u64,
}

impl Default for Sampling {
    /// OpenAI's defaults: temperature 1, nothing cut away, no penalty.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

/// No request may bias more tokens than this.
pub const MAX_LOGIT_BIAS: usize = 1024;

impl Sampling {
    /// Whether every number is finite and within its range: temperature 0 to 100, top_p and min_p 0 to 1,
    /// repetition_penalty 0.01 to 100, presence and frequency penalty -2 to 2, at most [`MAX_LOGIT_BIAS`] biases of -100
    /// to 100. Ids of biased tokens are checked by who knows the vocabulary.
    pub fn check(&self) -> Result<(), Fault> {
        let refuse = |message: String| Err(Fault::new(FaultCode::InvalidRequest, message));
        for (name, value, low, high) in [
            ("temperature", self.temperature, 0.0, 100.0),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("repetition_penalty", self.repetition_penalty, 0.01, 100.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
        ] {
            // A NaN lies in no range.
            if !(low..=high).contains(&value) {
                return refuse(format!("{name} must be between {low} and {high}, not {value}"));
            }
        }
        if self.logit_bias.len() > MAX_LOGIT_BIAS {
            return refuse(format!("logit_bias may name {MAX_LOGIT_BIAS} tokens, not {}", self.logit_bias.len()));
        }
        match self.logit_bias.iter().find(|(_, bias)| !(-100.0..=100.0).contains(bias)) {
            Some((id, bias)) => refuse(format!("logit_bias of token {id} must be between -100 and 100, not {bias}")),
            None => Ok(()),
        }
    }
}

/// What the output must look like; enforced by masking logits on the exit shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Any JSON object.
    JsonObject,
    /// JSON that this JSON schema accepts (the schema's text).
    JsonSchema(String),
    /// Text that this grammar accepts, in llguidance's Lark dialect.
    Lark(String),
}

/// One produced token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenEvent {
    /// 0 for the first token produced, without gaps.
    pub index: u32,
    /// The token id.
    pub id: u32,
    /// Its log-probability, where asked for.
    pub logprob: Option<TokenLogprob>,
    /// Set on the last token only: why the exit shard stops here.
    pub finish: Option<FinishReason>,
}

/// Natural-log probabilities under the model's own distribution, before temperature and cuts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Of the chosen token.
    pub logprob: f32,
    /// The likeliest tokens, best first.
    pub top: Vec<AlternativeToken>,
}

/// A token that might have been chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlternativeToken {
    /// Its id.
    pub id: u32,
    /// Its natural-log probability.
    pub logprob: f32,
}

/// Why a generation ended well. Everything else is a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model said it is done, or its grammar is complete.
    Stop,
    /// `max_tokens` were produced.
    Length,
}

/// What a client of a generation sees, in order: `Started`, tokens, then exactly one of `Ended` and `Failed`.
#[derive(Clone, Debug, PartialEq)]
pub enum GenerationEvent {
    /// Every shard has admitted the generation.
    Started(GenerationId),
    /// The next token.
    Token(TokenEvent),
    /// The generation is complete, and every shard has accounted for it (or missed its chance to).
    Ended(Usage),
    /// The generation cannot go on. Tokens already seen stand; no more follow.
    Failed(Fault),
}

/// What a finished generation took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens produced, including one that ends the text.
    pub completion_tokens: u32,
    /// The accounts of the shards that reported, in route order.
    pub receipts: Vec<SignedReceipt>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_out_of_range_is_refused_by_name() {
        Sampling::default().check().unwrap();
        Sampling { temperature: 0.0, top_p: 0.0, logit_bias: vec![(7, -100.0)], ..Sampling::default() }
            .check()
            .unwrap();
        let bad = [
            ("temperature", Sampling { temperature: f32::NAN, ..Sampling::default() }),
            ("temperature", Sampling { temperature: -0.1, ..Sampling::default() }),
            ("top_p", Sampling { top_p: 1.1, ..Sampling::default() }),
            ("min_p", Sampling { min_p: f32::INFINITY, ..Sampling::default() }),
            ("repetition_penalty", Sampling { repetition_penalty: 0.0, ..Sampling::default() }),
            ("presence_penalty", Sampling { presence_penalty: 2.5, ..Sampling::default() }),
            ("frequency_penalty", Sampling { frequency_penalty: f32::NAN, ..Sampling::default() }),
            ("logit_bias", Sampling { logit_bias: vec![(1, f32::NEG_INFINITY)], ..Sampling::default() }),
            ("logit_bias", Sampling { logit_bias: vec![(1, 1.0); MAX_LOGIT_BIAS + 1], ..Sampling::default() }),
        ];
        for (name, sampling) in bad {
            let fault = sampling.check().unwrap_err();
            assert_eq!(fault.code, FaultCode::InvalidRequest);
            assert!(fault.message.contains(name), "{}", fault.message);
        }
    }
}
