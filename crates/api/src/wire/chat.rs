//! What a chat is answered with.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Receipts, UsageBody};

/// A token and its log-probability.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LogprobEntry {
    /// As text; bytes that are no text are shown as U+FFFD.
    pub(crate) token: String,
    /// Natural log; -9999 stands for less likely than that.
    pub(crate) logprob: f32,
    /// As bytes.
    pub(crate) bytes: Vec<u8>,
    /// The likeliest tokens at this place, best first.
    pub(crate) top_logprobs: Vec<TopLogprob>,
}

/// A token that might have been chosen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TopLogprob {
    pub(crate) token: String,
    pub(crate) logprob: f32,
    pub(crate) bytes: Vec<u8>,
}

/// The log-probabilities of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChatLogprobs {
    pub(crate) content: Vec<LogprobEntry>,
    /// Always null: refusals are not told apart here.
    pub(crate) refusal: Option<Vec<LogprobEntry>>,
}

/// A function call.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct FunctionCall {
    pub(crate) name: String,
    /// A JSON object as text.
    pub(crate) arguments: String,
}

/// A call the model makes.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    /// Always `function`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) function: FunctionCall,
}

/// What the model says.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AssistantMessage {
    /// Always `assistant`.
    pub(crate) role: &'static str,
    /// Null where the model only calls tools.
    pub(crate) content: Option<String>,
    /// Always null.
    pub(crate) refusal: Option<String>,
    /// Always empty.
    #[schema(value_type = Vec<Object>)]
    pub(crate) annotations: [(); 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall>,
}

/// One answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChatChoice {
    pub(crate) index: u32,
    pub(crate) message: AssistantMessage,
    pub(crate) logprobs: Option<ChatLogprobs>,
    /// `stop`, `length` or `tool_calls`.
    pub(crate) finish_reason: &'static str,
}

/// The answer to a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChatCompletion {
    pub(crate) id: String,
    /// Always `chat.completion`.
    pub(crate) object: &'static str,
    /// Unix seconds.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: String,
    pub(crate) choices: Vec<ChatChoice>,
    pub(crate) usage: UsageBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) receipts: Receipts,
}

/// A piece of a function call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FunctionDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) arguments: String,
}

/// A piece of a call: the first has id and name, the others add to the arguments.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ToolCallDelta {
    pub(crate) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'static str>,
    pub(crate) function: FunctionDelta,
}

/// What a chunk adds to the message.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct MessageDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCallDelta>,
}

/// A piece of one answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChunkChoice {
    pub(crate) index: u32,
    pub(crate) delta: MessageDelta,
    pub(crate) logprobs: Option<ChatLogprobs>,
    /// Null until the answer ends.
    pub(crate) finish_reason: Option<&'static str>,
}

/// A piece of the answer to a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChatChunk {
    pub(crate) id: String,
    /// Always `chat.completion.chunk`.
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: String,
    pub(crate) choices: Vec<ChunkChoice>,
    /// Null but in the last chunk; absent where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<UsageBody>)]
    pub(crate) usage: Option<Option<UsageBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) receipts: Receipts,
}
