//! What operators ask: health, metrics, the network, the description of this interface.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use computepool_core::ports::NetworkStatus;

use crate::error::ApiError;
use crate::openapi_json;
use crate::router::Api;
use crate::wire::{ErrorBody, HealthBody};

/// Says whether a model can be asked.
#[utoipa::path(
    get,
    path = "/health",
    tag = "Operations",
    responses(
        (status = 200, body = HealthBody, description = "At least one model can be asked"),
        (status = 503, body = HealthBody, description = "No model has a complete route"),
    )
)]
pub(crate) async fn health(State(api): State<Arc<Api>>) -> Response {
    let ready = api.inference.models().into_iter().filter(|(status, _)| status.available);
    let models: Vec<String> = ready.map(|(status, _)| status.summary.id.to_string()).collect();
    let (code, status) = match models.is_empty() {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "no_route"),
    };
    (code, Json(HealthBody { status, models })).into_response()
}

/// The endpoint's figures for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Operations",
    responses((status = 200, body = String, content_type = "application/openmetrics-text", description = "The figures"))
)]
pub(crate) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let text = api.metrics.render(&api.inference.status());
    let text = text.map_err(|_| ApiError::internal("the metrics could not be written"))?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// The nodes, their shards and what is running.
#[utoipa::path(
    get,
    path = "/v1/network",
    tag = "ComputePool",
    responses(
        (status = 200, body = Object, description = "Nodes with their phases and shards, open sessions, running generations"),
        (status = 401, body = ErrorBody, description = "The key is missing or unknown"),
    ),
    security(("key" = []))
)]
pub(crate) async fn network(State(api): State<Arc<Api>>) -> Json<NetworkStatus> {
    Json(api.inference.status())
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Operations",
    responses((status = 200, body = Object, description = "The OpenAPI document of this interface"))
)]
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}
