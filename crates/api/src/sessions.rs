//! `/v1/session`: a paid session is opened (`POST`), looked at (`GET`) and ended (`DELETE`).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use computepool_core::ports::{Bill, SessionToken, Toll};
use computepool_core::{Fault, FaultCode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::body::read_json;
use crate::error::ApiError;
use crate::gate::Caller;
use crate::prompt::Target;
use crate::router::Api;
use crate::toll::{self, Passage, session_token};
use crate::wire::ErrorBody;

/// What a session is opened for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SessionRequest {
    /// The model that will be asked.
    model: String,
}

/// Opens a paid session without asking anything yet. Its token, in the header `computepool-session`, is a key for every
/// client that takes one.
#[utoipa::path(
    post,
    path = "/v1/session",
    tag = "ComputePool",
    params(
        ("computepool-payer" = Option<String>, Header, description = "Who will pay: the quote names it, and the rest goes nowhere else"),
        ("payment-signature" = Option<String>, Header, description = "The payment (x402)"),
    ),
    request_body = SessionRequest,
    responses(
        (status = 200, body = Object, description = "The session's bill; its token in the header computepool-session"),
        (status = 400, body = ErrorBody, description = "The request cannot be read, or the caller's key needs no session"),
        (status = 401, body = ErrorBody, description = "The key is unknown"),
        (status = 402, body = ErrorBody, description = "To be paid, as the header PAYMENT-REQUIRED says (x402)"),
        (status = 404, body = ErrorBody, description = "No such model, or nothing is paid at this endpoint"),
        (status = 503, body = ErrorBody, description = "The chain does not answer"),
    ),
    security(("key" = []))
)]
pub(crate) async fn open_session(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let request: SessionRequest = read_json(&api.options, request).await?;
    let toll = api.toll.as_deref().ok_or_else(nothing_is_paid)?;
    if caller.known {
        let message = "nothing has to be paid with this key";
        return Err(ApiError::request(StatusCode::BAD_REQUEST, message).code("not_paid"));
    }
    let model = Target::find(&*api.inference, Some(&request.model))?.status.summary.id;
    let answer = async |passage: Passage| {
        let bill = passage.session().and_then(|session| toll.bill(session));
        Ok(Json(bill.ok_or_else(unknown)?).into_response())
    };
    Ok(toll::serve(&api, &caller, &headers, &uri, &model, answer).await)
}

/// How the session of the token stands: its account on the chain, its rate, what was served and paid.
#[utoipa::path(
    get,
    path = "/v1/session",
    tag = "ComputePool",
    responses(
        (status = 200, body = Object, description = "The session's bill"),
        (status = 401, body = ErrorBody, description = "No session has this token"),
        (status = 404, body = ErrorBody, description = "Nothing is paid at this endpoint"),
    ),
    security(("key" = []))
)]
pub(crate) async fn show_session(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Bill>, ApiError> {
    let (toll, token) = paid(&api, &headers)?;
    let bill = toll.session_of(&token).and_then(|session| toll.bill(session));
    Ok(Json(bill.ok_or_else(unknown)?))
}

/// Ends the session of the token. What was not used goes back to whoever paid.
#[utoipa::path(
    delete,
    path = "/v1/session",
    tag = "ComputePool",
    responses(
        (status = 200, body = Object, description = "The session's bill; the rest is on its way back"),
        (status = 401, body = ErrorBody, description = "No session has this token"),
        (status = 404, body = ErrorBody, description = "Nothing is paid at this endpoint"),
        (status = 503, body = ErrorBody, description = "The chain does not answer"),
    ),
    security(("key" = []))
)]
pub(crate) async fn close_session(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Bill>, ApiError> {
    let (toll, token) = paid(&api, &headers)?;
    Ok(Json(toll.close(&token).await?))
}

fn paid<'a>(api: &'a Api, headers: &HeaderMap) -> Result<(&'a dyn Toll, SessionToken), ApiError> {
    let toll = api.toll.as_deref().ok_or_else(nothing_is_paid)?;
    Ok((toll, session_token(headers).ok_or_else(unknown)?))
}

fn nothing_is_paid() -> ApiError {
    ApiError::request(StatusCode::NOT_FOUND, "nothing is paid at this endpoint").code("not_paid")
}

fn unknown() -> ApiError {
    Fault::new(FaultCode::Unauthorized, "no open session has this token")
        .hint("the answer to a voucher gives a token in the header computepool-session")
        .into()
}
