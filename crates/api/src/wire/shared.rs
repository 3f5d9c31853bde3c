//! Shapes that several endpoints share.

use computepool_core::SignedReceipt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorDetail,
}

/// What went wrong, in OpenAI's words.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// For people.
    pub(crate) message: String,
    /// The family: `invalid_request_error`, `requests`, `server_error`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The field at fault, where one is.
    pub(crate) param: Option<String>,
    /// For machines, where there is one: `model_not_found`, `context_length_exceeded`, …
    pub(crate) code: Option<String>,
}

/// Tokens taken.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct UsageBody {
    /// Tokens of all prompts; a prompt with several answers counts once.
    pub(crate) prompt_tokens: u32,
    /// Tokens produced.
    pub(crate) completion_tokens: u32,
    /// Their sum.
    pub(crate) total_tokens: u32,
}

/// One model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelBody {
    pub(crate) id: String,
    /// Always `model`.
    pub(crate) object: &'static str,
    /// Unix seconds since when it is offered.
    pub(crate) created: u64,
    pub(crate) owned_by: &'static str,
    /// The longest sequence served, in tokens (ours).
    pub(crate) context_length: u32,
    /// Whether a complete route serves it now (ours).
    pub(crate) available: bool,
}

/// The models offered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// Always `list`.
    pub(crate) object: &'static str,
    pub(crate) data: Vec<ModelBody>,
}

/// Whether questions can be answered now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// `ok`, or `no_route` where no model has a complete route.
    pub(crate) status: &'static str,
    /// The models that can be asked now.
    pub(crate) models: Vec<String>,
}

/// The shards' own accounts of the work, where a request asked for them with `include_receipts`.
pub(crate) type Receipts = Option<Vec<SignedReceipt>>;
