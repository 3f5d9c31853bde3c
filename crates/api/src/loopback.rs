//! The page's door to a host on the same machine: its commands, its events, and the page's own files.
//!
//! A wallet may stand behind it, so that being on the same machine is not enough. Every request has to name this door's own
//! address as its `Host` (a page elsewhere that lets its name point here does not), must not come from another origin, and
//! for anything but the page's files has to show a token that is made anew with each launch and that only the owner was
//! given. What answers is never kept, framed, or sniffed.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
};
use axum::http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use computepool_core::{Fault, FaultCode};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tower_http::services::ServeDir;

/// The longest arguments of a command, in bytes.
pub(crate) const MAX_ARGUMENTS: usize = 1024 * 1024;

/// What a page may load and where it may go: itself, and nowhere else.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                          font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a host does for its page.
pub trait Commands: Send + Sync {
    /// Runs a command by its name.
    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> BoxFuture<'a, Result<Value, Fault>>;

    /// What happens from now on, each as one line of JSON.
    fn events(&self) -> BoxStream<'static, String>;
}

/// How a door is kept.
#[derive(Clone, Debug)]
pub struct LoopbackOptions {
    /// What a page has to show; made anew with each launch.
    pub token: String,
    /// The address that the door listens on, as `127.0.0.1:PORT`.
    pub authority: String,
    /// The folder of the page's files, where it serves one.
    pub page: Option<PathBuf>,
}

struct Door {
    token: [u8; 32],
    hosts: [String; 2],
    commands: Arc<dyn Commands>,
}

/// The door.
pub fn loopback(options: LoopbackOptions, commands: Arc<dyn Commands>) -> Router {
    let port = options.authority.rsplit(':').next().unwrap_or_default();
    let hosts = [options.authority.clone(), format!("localhost:{port}")];
    let door = Arc::new(Door { token: digest(&options.token), hosts, commands });
    let known = Router::new()
        .route("/command/{name}", post(command))
        .route("/events", get(events))
        .layer(DefaultBodyLimit::max(MAX_ARGUMENTS))
        .route_layer(from_fn_with_state(door.clone(), with_token));
    let files = match options.page {
        Some(folder) => Router::new().fallback_service(ServeDir::new(folder)),
        None => Router::new().fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is no page here") }),
    };
    let routes = known.with_state(door.clone()).merge(files);
    routes.layer(from_fn_with_state(door, from_here)).layer(map_response(guarded))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    let code = if status == StatusCode::UNAUTHORIZED { FaultCode::Unauthorized } else { FaultCode::InvalidRequest };
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}

/// Nobody but a page of this very door.
async fn from_here(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(host) = text(HOST).filter(|host| door.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))) else {
        return refuse(StatusCode::MISDIRECTED_REQUEST, "this door has another name");
    };
    let same = |origin: &str| origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    if headers.contains_key(ORIGIN) && !text(ORIGIN).is_some_and(same) {
        return refuse(StatusCode::FORBIDDEN, "pages of other origins have no business here");
    }
    // Browsers say where a request comes from; other programs do not, and need the token all the same.
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return refuse(StatusCode::FORBIDDEN, "pages of other sites have no business here");
    }
    next.run(request).await
}

async fn with_token(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // The digests have one length, and nothing of where they differ can be timed.
    if !bool::from(digest(shown).ct_eq(&door.token)) {
        return refuse(StatusCode::UNAUTHORIZED, "open the page by the link that the application gave when it started");
    }
    next.run(request).await
}

async fn command(State(door): State<Arc<Door>>, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    // A form of another page cannot send this type without being asked first.
    let json = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !json {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "arguments are JSON");
    }
    let arguments = match serde_json::from_slice(&body) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the arguments are no JSON: {error}")),
    };
    match door.commands.call(&name, arguments).await {
        Ok(result) => Json(result).into_response(),
        Err(fault) => {
            let problem = json!({ "code": fault.code, "message": fault.message, "hint": fault.hint });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(problem)).into_response()
        }
    }
}

async fn events(State(door): State<Arc<Door>>) -> Response {
    let beats = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(BEAT)).map(|_| ":\n\n".to_owned());
    let lines = door.commands.events().map(|line| format!("data: {line}\n\n"));
    let stream = futures::stream::select(lines, beats).map(Ok::<_, std::convert::Infallible>);
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// Keeps a quiet stream of events from looking dead.
const BEAT: std::time::Duration = std::time::Duration::from_secs(15);

async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
