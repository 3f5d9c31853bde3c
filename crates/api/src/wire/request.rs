//! What clients send.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

/// Where the text ends: one string or up to four.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or an array of strings")]
pub(crate) enum StopField {
    One(String),
    Many(Vec<String>),
}

/// How a stream is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// A last chunk without choices carries the usage.
    pub(crate) include_usage: Option<bool>,
}

/// A message of a chat.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes messages in the OpenAPI document; they are read by hand to keep every field")]
pub(crate) struct ChatMessage {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    role: String,
    /// Text, or an array of parts of type `text`. May be null for an assistant that called tools.
    #[schema(value_type = Option<Object>)]
    content: Value,
    /// Who speaks, where several do.
    name: Option<String>,
    /// For an assistant: the calls it made.
    #[schema(value_type = Option<Vec<Object>>)]
    tool_calls: Value,
    /// For a tool: which call this answers.
    tool_call_id: Option<String>,
}

/// A chat to be continued.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChatRequest {
    /// One of `/v1/models`.
    pub(crate) model: Option<String>,
    /// The chat so far.
    #[schema(value_type = Vec<ChatMessage>)]
    pub(crate) messages: Option<Vec<Value>>,
    /// Send chunks as they come.
    pub(crate) stream: Option<bool>,
    pub(crate) stream_options: Option<StreamOptions>,
    /// How many answers; each is a generation of its own.
    #[schema(minimum = 1, maximum = 8)]
    pub(crate) n: Option<u32>,
    pub(crate) stop: Option<StopField>,
    /// Tokens to produce at most (older name).
    pub(crate) max_tokens: Option<u32>,
    /// Tokens to produce at most.
    pub(crate) max_completion_tokens: Option<u32>,
    #[schema(minimum = 0, maximum = 2)]
    pub(crate) temperature: Option<f64>,
    #[schema(minimum = 0, maximum = 1)]
    pub(crate) top_p: Option<f64>,
    /// Keep this many of the likeliest tokens; 0 and -1 keep all (ours).
    pub(crate) top_k: Option<i64>,
    /// Drop tokens less likely than this share of the likeliest (ours).
    pub(crate) min_p: Option<f64>,
    #[schema(minimum = -2, maximum = 2)]
    pub(crate) presence_penalty: Option<f64>,
    #[schema(minimum = -2, maximum = 2)]
    pub(crate) frequency_penalty: Option<f64>,
    /// Above 1 discourages repetition, below 1 encourages it (ours).
    pub(crate) repetition_penalty: Option<f64>,
    /// Token ids to values from -100 to 100.
    pub(crate) logit_bias: Option<BTreeMap<String, f64>>,
    /// The same seed gives the same answer.
    #[schema(value_type = Option<i64>)]
    pub(crate) seed: Option<Number>,
    /// Report log-probabilities.
    pub(crate) logprobs: Option<bool>,
    /// Report this many likeliest tokens at each place.
    #[schema(minimum = 0, maximum = 20)]
    pub(crate) top_logprobs: Option<u32>,
    /// Functions the model may call.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) tools: Option<Vec<Value>>,
    /// `none`, `auto`, `required`, or one function by name.
    #[schema(value_type = Option<Object>)]
    pub(crate) tool_choice: Option<Value>,
    /// Whether several calls may be made at once.
    pub(crate) parallel_tool_calls: Option<bool>,
    /// `text`, `json_object` or `json_schema`.
    #[schema(value_type = Option<Object>)]
    pub(crate) response_format: Option<Value>,
    /// Further variables for the model's chat template (ours).
    #[schema(value_type = Option<Object>)]
    pub(crate) chat_template_kwargs: Option<Map<String, Value>>,
    /// Keep going past the end of the text (ours; for measurements).
    pub(crate) ignore_eos: Option<bool>,
    /// Add the shards' signed receipts to the answer (ours).
    pub(crate) include_receipts: Option<bool>,
    #[schema(value_type = Option<Object>)]
    pub(crate) functions: Option<Value>,
    #[schema(value_type = Option<Object>)]
    pub(crate) modalities: Option<Value>,
}

/// What a completion continues.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a string, an array of strings, an array of token ids, or an array of arrays of token ids"
)]
pub(crate) enum PromptField {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// A text to be continued.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CompletionRequest {
    /// One of `/v1/models`.
    pub(crate) model: Option<String>,
    pub(crate) prompt: Option<PromptField>,
    /// Refused: no model here fills gaps.
    pub(crate) suffix: Option<String>,
    /// Put the prompt before the answer.
    pub(crate) echo: Option<bool>,
    /// Only the value of `n` is accepted.
    pub(crate) best_of: Option<u32>,
    pub(crate) stream: Option<bool>,
    pub(crate) stream_options: Option<StreamOptions>,
    /// How many answers to each prompt.
    #[schema(minimum = 1, maximum = 8)]
    pub(crate) n: Option<u32>,
    pub(crate) stop: Option<StopField>,
    /// Tokens to produce at most; 16 where absent, as OpenAI has it.
    pub(crate) max_tokens: Option<u32>,
    #[schema(minimum = 0, maximum = 2)]
    pub(crate) temperature: Option<f64>,
    #[schema(minimum = 0, maximum = 1)]
    pub(crate) top_p: Option<f64>,
    /// Keep this many of the likeliest tokens; 0 and -1 keep all (ours).
    pub(crate) top_k: Option<i64>,
    /// Drop tokens less likely than this share of the likeliest (ours).
    pub(crate) min_p: Option<f64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) frequency_penalty: Option<f64>,
    /// Above 1 discourages repetition, below 1 encourages it (ours).
    pub(crate) repetition_penalty: Option<f64>,
    /// Token ids to values from -100 to 100.
    pub(crate) logit_bias: Option<BTreeMap<String, f64>>,
    #[schema(value_type = Option<i64>)]
    pub(crate) seed: Option<Number>,
    /// Report the log-probabilities of this many likeliest tokens at each place.
    #[schema(minimum = 0, maximum = 5)]
    pub(crate) logprobs: Option<u32>,
    /// Keep going past the end of the text (ours; for measurements).
    pub(crate) ignore_eos: Option<bool>,
    /// Add the shards' signed receipts to the answer (ours).
    pub(crate) include_receipts: Option<bool>,
}
