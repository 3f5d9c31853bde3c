//! What every request passes: an id, a key, a count, and the books.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;

use crate::error::{ApiError, FaultMark};
use crate::keys::{Account, no_key};
use crate::router::Api;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who asks; in the extensions of requests that passed [`admit`].
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) account: Arc<Account>,
    /// Whether it is one of the endpoint's own, for whom nothing costs anything.
    pub(crate) known: bool,
}

/// When the request arrived; in the extensions of all requests.
#[derive(Clone, Copy)]
pub(crate) struct Arrival(pub(crate) tokio::time::Instant);

/// The outermost layer: names the request, counts the answer, and turns a panic into a 500.
pub(crate) async fn account_for(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let route = known_route(request.uri().path());
    let method = known_method(request.method().as_str());
    request.extensions_mut().insert(Arrival(tokio::time::Instant::now()));
    let span = tracing::info_span!("request", id, route, method);
    let answer = AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind().await;
    let mut response = answer.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("a request handler panicked"));
        ApiError::internal("this request met a bug; the log has the details").into_response()
    });
    if let Some(FaultMark(code)) = response.extensions().get() {
        api.metrics.failed(*code);
        span.in_scope(|| tracing::debug!(status = response.status().as_u16(), %code, "refused"));
    }
    api.metrics.answered(route, method, response.status().as_u16());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Lets a request with a known key pass, or a stranger's where strangers pay, and counts it.
pub(crate) async fn admit(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let admitted = api.keyring.caller(request.headers()).and_then(|caller| caller.account.count().map(|()| caller));
    match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(fault) => ApiError::from(fault).into_response(),
    }
}

/// Lets nobody pass but those who are known, whether or not strangers pay.
pub(crate) async fn admit_known(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match api.keyring.caller(request.headers()) {
        Ok(caller) if !caller.known => ApiError::from(no_key()).into_response(),
        _ => admit(State(api), request, next).await,
    }
}

/// The client's own id for the request, where it is fit to be repeated; else a fresh one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match given.filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())) {
        Some(id) => id.to_owned(),
        None => format!("req_{}", hex::encode(rand::random::<[u8; 16]>())),
    }
}

/// The labels of metrics are ours to choose, not a stranger's.
fn known_route(path: &str) -> &'static str {
    const ROUTES: [&str; 8] = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/models",
        "/v1/network",
        "/v1/session",
        "/health",
        "/metrics",
        "/openapi.json",
    ];
    match ROUTES.into_iter().find(|route| *route == path) {
        Some(route) => route,
        None if path.starts_with("/v1/models/") => "/v1/models/{id}",
        None => "other",
    }
}

fn known_method(method: &str) -> &'static str {
    ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"].into_iter().find(|known| *known == method).unwrap_or("other")
}
