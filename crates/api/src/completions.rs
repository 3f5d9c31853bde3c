//! `POST /v1/completions`: the older endpoint, for text without a chat.

mod answer;
mod plan;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tokio::time::Instant;

use crate::body::read_json;
use crate::error::ApiError;
use crate::gate::{Arrival, Caller};
use crate::router::Api;
use crate::run::Run;
use crate::toll::{self, Passage};
use crate::wire::{Completion, CompletionRequest, ErrorBody};
use crate::{prompt, sse};

/// Continues a text.
#[utoipa::path(
    post,
    path = "/v1/completions",
    tag = "OpenAI",
    request_body = CompletionRequest,
    responses(
        (status = 200, body = Completion, description = "The answer; with `stream`, events of `Completion` and `[DONE]`"),
        (status = 400, body = ErrorBody, description = "The request is not acceptable"),
        (status = 401, body = ErrorBody, description = "The key is missing or unknown"),
        (status = 402, body = ErrorBody, description = "To be paid, as the header PAYMENT-REQUIRED says (x402)"),
        (status = 404, body = ErrorBody, description = "No such model"),
        (status = 413, body = ErrorBody, description = "The body is too large"),
        (status = 429, body = ErrorBody, description = "Too many requests, or generations at once"),
        (status = 503, body = ErrorBody, description = "Nobody can take the work now"),
    ),
    security(("key" = []))
)]
pub(crate) async fn completions(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(Arrival(arrival)): Extension<Arrival>,
    uri: Uri,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let request: CompletionRequest = read_json(&api.options, request).await?;
    let target = prompt::Target::find(&*api.inference, request.model.as_deref())?;
    let options = api.options.clone();
    let asked = prompt::aside(move || plan::read(request, target, &options)).await?;
    let model = asked.plan.model.clone();
    let answer = |passage| respond(&api, passage, arrival, asked);
    Ok(toll::serve(&api, &caller, &headers, &uri, &model, answer).await)
}

async fn respond(api: &Api, passage: Passage, arrival: Instant, asked: plan::Asked) -> Result<Response, ApiError> {
    let mut run = Run::start(&*api.inference, &api.metrics, passage, arrival, asked.plan).await?;
    if !asked.answer.stream {
        let answer = answer::whole(&mut run, asked.answer).await?;
        return Ok(Json(answer).into_response());
    }
    Ok(sse::respond(api, |sink| async move { answer::streamed(run, asked.answer, sink).await }))
}
