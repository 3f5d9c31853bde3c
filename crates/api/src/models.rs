//! `GET /v1/models` and `GET /v1/models/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use computepool_core::ports::ModelStatus;

use crate::error::ApiError;
use crate::prompt::Target;
use crate::router::Api;
use crate::wire::{ErrorBody, ModelBody, ModelList};

fn body(status: ModelStatus) -> ModelBody {
    ModelBody {
        id: status.summary.id.to_string(),
        object: "model",
        created: status.created,
        owned_by: "computepool",
        context_length: status.max_context,
        available: status.available,
    }
}

/// Lists the models.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "OpenAI",
    responses(
        (status = 200, body = ModelList, description = "The models offered"),
        (status = 401, body = ErrorBody, description = "The key is missing or unknown"),
    ),
    security(("key" = []))
)]
pub(crate) async fn list_models(State(api): State<Arc<Api>>) -> Json<ModelList> {
    let data = api.inference.models().into_iter().map(|(status, _)| body(status)).collect();
    Json(ModelList { object: "list", data })
}

/// Shows one model.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    tag = "OpenAI",
    params(("id" = String, Path, description = "The model's id")),
    responses(
        (status = 200, body = ModelBody, description = "The model"),
        (status = 401, body = ErrorBody, description = "The key is missing or unknown"),
        (status = 404, body = ErrorBody, description = "No such model"),
    ),
    security(("key" = []))
)]
pub(crate) async fn show_model(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<ModelBody>, ApiError> {
    Ok(Json(body(Target::find(&*api.inference, Some(&id))?.status)))
}
