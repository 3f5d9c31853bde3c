//! The routes, and what stands in front of them.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use computepool_core::ports::{Inference, Toll};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::error::ApiError;
use crate::keys::Keyring;
use crate::metrics::Metrics;
use crate::sampling::shown;
use crate::{ApiOptions, chat, completions, gate, models, operations, sessions, toll};

/// What the handlers share.
pub(crate) struct Api {
    pub(crate) options: Arc<ApiOptions>,
    pub(crate) inference: Arc<dyn Inference>,
    pub(crate) toll: Option<Arc<dyn Toll>>,
    pub(crate) keyring: Keyring,
    pub(crate) metrics: Arc<Metrics>,
}

/// The HTTP face over `inference`: OpenAI's endpoints, and ours for operators.
///
/// Everything about keys, limits and origins is in the options. With a `toll`, whoever has no key pays. The router needs a
/// Tokio runtime.
pub fn router(options: ApiOptions, inference: Arc<dyn Inference>, toll: Option<Arc<dyn Toll>>) -> Router {
    let keyring = Keyring::new(&options, toll.is_some());
    let metrics = Arc::new(Metrics::new());
    let cors = cors(&options.allowed_origins);
    let api = Arc::new(Api { options: Arc::new(options), inference, toll, keyring, metrics });

    let keyed = Router::new()
        .route("/v1/chat/completions", post(chat::chat_completions))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/models", get(models::list_models))
        .route("/v1/models/{*id}", get(models::show_model))
        .route("/v1/session", get(sessions::show_session).post(sessions::open_session).delete(sessions::close_session));
    let mut own = Router::new().route("/v1/network", get(operations::network));
    let mut open = Router::new().route("/openapi.json", get(operations::openapi));
    let watch = Router::new().route("/health", get(operations::health)).route("/metrics", get(operations::metrics));
    match api.options.key_for_health {
        true => own = own.merge(watch),
        false => open = open.merge(watch),
    }
    let mut router = keyed
        .route_layer(from_fn_with_state(api.clone(), gate::admit))
        .merge(own.route_layer(from_fn_with_state(api.clone(), gate::admit_known)))
        .merge(open)
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method);
    if let Some(cors) = cors {
        router = router.layer(cors);
    }
    router.layer(map_response(no_sniffing)).layer(from_fn_with_state(api.clone(), gate::account_for)).with_state(api)
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    let message = format!("unknown request URL: {method} {}", shown(uri.path()));
    ApiError::request(StatusCode::NOT_FOUND, message).code("unknown_url")
}

async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not a method of {}", shown(uri.path()));
    ApiError::request(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed")
}

async fn no_sniffing(mut response: Response) -> Response {
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Browsers of these origins may call; `None` where there are none.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parse = |origin: &String| {
            let value = HeaderValue::from_str(origin);
            value.inspect_err(|_| tracing::warn!(origin, "this origin cannot be allowed: it is no header value")).ok()
        };
        AllowOrigin::list(origins.iter().filter_map(parse))
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, gate::REQUEST_ID, toll::SIGNATURE, toll::PAYER])
        .expose_headers([gate::REQUEST_ID, RETRY_AFTER, toll::REQUIRED, toll::RESPONSE, toll::SESSION]);
    Some(layer)
}
