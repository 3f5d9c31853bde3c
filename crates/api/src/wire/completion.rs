//! What a completion is answered with.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Receipts, UsageBody};

/// The log-probabilities of a completion, in lists of one length.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct CompletionLogprobs {
    pub(crate) tokens: Vec<String>,
    pub(crate) token_logprobs: Vec<f32>,
    /// At each place, the likeliest tokens and their log-probabilities.
    #[schema(value_type = Vec<Object>)]
    pub(crate) top_logprobs: Vec<Map<String, Value>>,
    /// Where each token starts, in characters of the answer.
    pub(crate) text_offset: Vec<u32>,
}

/// One answer, or a piece of one in a stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CompletionChoice {
    pub(crate) index: u32,
    pub(crate) text: String,
    pub(crate) logprobs: Option<CompletionLogprobs>,
    /// `stop` or `length`; null in a stream until the answer ends.
    pub(crate) finish_reason: Option<&'static str>,
}

/// The answer to a completion request, or a piece of it in a stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Completion {
    pub(crate) id: String,
    /// Always `text_completion`.
    pub(crate) object: &'static str,
    /// Unix seconds.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: String,
    pub(crate) choices: Vec<CompletionChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<UsageBody>)]
    pub(crate) usage: Option<Option<UsageBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) receipts: Receipts,
}
