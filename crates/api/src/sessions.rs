//! `GET` and `DELETE /v1/session`: what a paid session has come to, and its end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use computepool_core::ports::{Bill, SessionToken, Toll};
use computepool_core::{Fault, FaultCode};

use crate::error::ApiError;
use crate::router::Api;
use crate::toll::session_token;
use crate::wire::ErrorBody;

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
    let nothing = || {
        let error = ApiError::request(axum::http::StatusCode::NOT_FOUND, "nothing is paid at this endpoint");
        error.code("not_paid")
    };
    let toll = api.toll.as_deref().ok_or_else(nothing)?;
    Ok((toll, session_token(headers).ok_or_else(unknown)?))
}

fn unknown() -> ApiError {
    Fault::new(FaultCode::Unauthorized, "no open session has this token")
        .hint("the answer to a voucher gives a token in the header computepool-session")
        .into()
}
