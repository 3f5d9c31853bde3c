//! An owner's own endpoint on loopback: programs of the same machine ask here, and somebody else answers.
//!
//! Nothing is read into what is asked: paths are those of an OpenAI-compatible endpoint, bodies are passed on as they are.
//! Pages of the web have no business here, whatever key they know: a request that names another host, or comes from an
//! origin, is refused before its key is looked at.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use computepool_core::Fault;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::error::ApiError;

/// The longest request, in bytes.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// Somebody's request, to be passed on.
#[derive(Clone, Debug)]
pub struct Onward {
    /// The key that was shown.
    pub key: Option<String>,
    /// Whether something is asked, or only looked at.
    pub asks: bool,
    /// The path below `/v1`.
    pub path: String,
    /// The body, as it came.
    pub body: Bytes,
}

/// An answer, to be passed back as it comes.
pub struct Returned {
    /// The HTTP status.
    pub status: u16,
    /// What kind of text it is.
    pub content_type: Option<String>,
    /// The text.
    pub body: BoxStream<'static, Result<Bytes, std::io::Error>>,
}

/// Whoever looks at keys, and has requests answered.
pub trait Gateway: Send + Sync {
    /// Has a request answered, or says why not.
    fn forward(&self, request: Onward) -> BoxFuture<'_, Result<Returned, Fault>>;
}

#[derive(Clone)]
struct Gate {
    hosts: [String; 2],
    gateway: Arc<dyn Gateway>,
}

/// The endpoint at `authority`, as `127.0.0.1:PORT`.
pub fn gateway(authority: &str, gateway: Arc<dyn Gateway>) -> Router {
    let port = authority.rsplit(':').next().unwrap_or_default();
    let gate = Gate { hosts: [authority.to_owned(), format!("localhost:{port}")], gateway };
    Router::new()
        .route("/v1/models", get(forward))
        .route("/v1/models/{id}", get(forward))
        .route("/v1/chat/completions", post(forward))
        .route("/v1/completions", post(forward))
        .route("/v1/messages", post(forward))
        .fallback(|| async {
            ApiError::request(StatusCode::NOT_FOUND, "there is no such path here; the endpoint is /v1").into_response()
        })
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .layer(from_fn_with_state(gate.clone(), from_programs))
        .with_state(gate)
}

/// Nobody but programs of this machine.
async fn from_programs(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !gate.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return ApiError::request(StatusCode::MISDIRECTED_REQUEST, "this endpoint has another name").into_response();
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if headers.contains_key(ORIGIN) || !matches!(site, None | Some(b"none")) {
        return ApiError::request(StatusCode::FORBIDDEN, "web pages have no business here").into_response();
    }
    next.run(request).await
}

async fn forward(State(gate): State<Gate>, method: Method, request: Request) -> Response {
    let key = key(request.headers());
    let path = request.uri().path().trim_start_matches("/v1").to_owned();
    let body = match axum::body::to_bytes(request.into_body(), MAX_REQUEST).await {
        Ok(body) => body,
        Err(_) => {
            let what = format!("a request has up to {} MiB", MAX_REQUEST >> 20);
            return ApiError::request(StatusCode::PAYLOAD_TOO_LARGE, what).into_response();
        }
    };
    match gate.gateway.forward(Onward { key, asks: method == Method::POST, path, body }).await {
        Ok(returned) => answer(returned),
        Err(fault) => ApiError::from(fault).into_response(),
    }
}

fn key(headers: &HeaderMap) -> Option<String> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    // Anthropic's clients show theirs in a header of its own.
    let shown = bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()));
    shown.map(|key| key.trim().to_owned())
}

fn answer(returned: Returned) -> Response {
    let status = StatusCode::from_u16(returned.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind = returned.content_type.and_then(|kind| HeaderValue::try_from(kind).ok());
    let mut response = Response::new(Body::from_stream(returned.body));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::http::Request;
    use computepool_core::FaultCode;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Default)]
    struct Echo(Mutex<Vec<Onward>>);

    impl Gateway for Echo {
        fn forward(&self, request: Onward) -> BoxFuture<'_, Result<Returned, Fault>> {
            let known = request.key.as_deref() == Some("cpk_known");
            self.0.lock().unwrap().push(request.clone());
            Box::pin(async move {
                if !known {
                    return Err(Fault::new(FaultCode::Unauthorized, "this key is not known"));
                }
                let body = futures::stream::iter([Ok(request.body)]);
                Ok(Returned { status: 200, content_type: Some("text/plain".to_owned()), body: Box::pin(body) })
            })
        }
    }

    async fn ask(echo: &Arc<Echo>, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let router = gateway("127.0.0.1:7", echo.clone());
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), MAX_REQUEST).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn programs_with_a_key_are_passed_on_and_nobody_else() {
        let echo = Arc::new(Echo::default());
        let (host, key) = (("host", "localhost:7"), ("authorization", "Bearer cpk_known"));
        assert_eq!(ask(&echo, "POST", "/v1/chat/completions", &[host, key]).await, (200, "{}".to_owned()));
        assert_eq!(ask(&echo, "GET", "/v1/models", &[host, ("x-api-key", "cpk_known")]).await.0, 200);
        let passed: Vec<_> = echo.0.lock().unwrap().drain(..).map(|it| (it.path, it.asks)).collect();
        assert_eq!(passed, [("/chat/completions".to_owned(), true), ("/models".to_owned(), false)]);
        let (status, said) = ask(&echo, "POST", "/v1/completions", &[host]).await;
        assert!(status == 401 && said.contains("this key is not known"), "{status} {said}");
        echo.0.lock().unwrap().clear();
        for headers in [
            vec![("host", "evil.example:7"), key],
            vec![key],
            vec![host, key, ("origin", "http://localhost:7")],
            vec![host, key, ("sec-fetch-site", "cross-site")],
        ] {
            let (status, _) = ask(&echo, "POST", "/v1/chat/completions", &headers).await;
            assert!(matches!(status, 403 | 421), "{headers:?}: {status}");
        }
        for (method, path) in [("DELETE", "/v1/models"), ("POST", "/v1/session"), ("GET", "/"), ("POST", "/v1/../x")] {
            let (status, _) = ask(&echo, method, path, &[host, key]).await;
            assert!(matches!(status, 404 | 405), "{method} {path}: {status}");
        }
        assert!(echo.0.lock().unwrap().is_empty(), "none of these came through");
    }
}
