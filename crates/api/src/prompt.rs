//! What both endpoints need to turn a request into generations: the model, the room in it, and its answer's names.

use std::sync::Arc;

use computepool_core::ports::{Clock, Inference, ModelStatus, SystemClock, Text};
use computepool_core::{Fault, FaultCode};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::sampling::shown;

/// The model a request asks for.
pub(crate) struct Target {
    pub(crate) status: ModelStatus,
    pub(crate) text: Arc<dyn Text>,
}

impl Target {
    pub(crate) fn find(inference: &dyn Inference, model: Option<&str>) -> Result<Self, ApiError> {
        let Some(model) = model else { return Err(ApiError::invalid("model", "you must name a model")) };
        let found = inference.models().into_iter().find(|(status, _)| status.summary.id.as_str() == model);
        let Some((status, text)) = found else {
            let fault =
                Fault::new(FaultCode::ModelNotFound, format!("the model `{}` does not exist here", shown(model)))
                    .hint("GET /v1/models lists the models there are");
            return Err(ApiError::from(fault).param("model"));
        };
        Ok(Self { status, text })
    }

    /// Tokens that may be produced after a prompt of this length: what is wanted, or what is usual and fits.
    pub(crate) fn room(&self, prompt: usize, wanted: Option<(u32, &str)>, usual: u32) -> Result<u32, ApiError> {
        let context = self.status.max_context;
        let prompt = u32::try_from(prompt).unwrap_or(u32::MAX);
        let left = context.saturating_sub(prompt);
        let too_long = |message: String, param: &str| {
            Err(ApiError::from(Fault::new(FaultCode::ContextLength, message)).param(param))
        };
        match wanted {
            Some((0, param)) => Err(ApiError::invalid(param, "at least one token must be allowed")),
            _ if left == 0 => {
                too_long(format!("this model's context is {context} tokens, and the prompt has {prompt}"), "messages")
            }
            Some((tokens, param)) if tokens > left => {
                let message = format!(
                    "this model's context is {context} tokens: the prompt has {prompt}, which leaves {left} of the {tokens} asked for"
                );
                too_long(message, param)
            }
            Some((tokens, _)) => Ok(tokens),
            None => Ok(left.min(usual.max(1))),
        }
    }

    /// Changes when the weights or this software change: OpenAI's `system_fingerprint`.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.status.summary.hash.0);
        hash.update(env!("CARGO_PKG_VERSION"));
        format!("fp_{}", hex::encode(&hash.finalize()[..6]))
    }
}

/// What the parts of one answer have in common.
#[derive(Clone)]
pub(crate) struct Heading {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) fingerprint: String,
}

impl Heading {
    pub(crate) fn new(prefix: &str, target: &Target) -> Self {
        Self {
            id: random_id(prefix),
            created: SystemClock.now_ms() / 1000,
            model: target.status.summary.id.to_string(),
            fingerprint: target.fingerprint(),
        }
    }
}

/// A fresh id, as OpenAI's look.
pub(crate) fn random_id(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(rand::random::<[u8; 12]>()))
}

/// Templates and tokenizers may take a while over long texts: they work beside the threads that serve sockets.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "reading a prompt failed");
        Err(ApiError::internal("the prompt could not be read; the log has the details"))
    })
}
