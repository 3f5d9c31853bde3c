//! An endpoint without a socket, and a TCP one.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use computepool_api::testkit::FakeInference;
use computepool_api::{ApiOptions, router, serve};
use computepool_core::ports::Toll;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const COMPLETIONS: &str = "/v1/completions";

pub(crate) struct Endpoint {
    pub(crate) fake: Arc<FakeInference>,
    pub(crate) router: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body, which must be that of a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// Status, `code` and `param` of an error in OpenAI's shape.
    pub(crate) fn error(&self) -> (u16, Value, Value) {
        let body = self.json();
        let error = &body["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        assert!(error["type"].is_string(), "{body}");
        (self.status.as_u16(), error["code"].clone(), error["param"].clone())
    }

    /// The events of a stream, `[DONE]` as that string.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        assert!(self.headers["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        let events = self.text.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':'));
        let data = events.map(|event| event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event}")));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect()
    }
}

impl Endpoint {
    pub(crate) fn new(fake: FakeInference) -> Self {
        Self::with(fake, ApiOptions::default())
    }

    pub(crate) fn with(fake: FakeInference, options: ApiOptions) -> Self {
        Self::charging(fake, options, None)
    }

    pub(crate) fn charging(fake: FakeInference, options: ApiOptions, toll: Option<Arc<dyn Toll>>) -> Self {
        let fake = Arc::new(fake);
        Self { router: router(options, fake.clone(), toll), fake }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 * 1024 * 1024).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// A chat with one user message, and these further fields.
    pub(crate) async fn chat(&self, more: Value) -> Answer {
        self.post(CHAT, chat_request(more)).await
    }

    /// Serves on a free port until the returned handle is dropped.
    pub(crate) async fn listen(&self) -> (std::net::SocketAddr, Listening) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let router = self.router.clone();
        let task = tokio::spawn(async move {
            serve(listener, router, async { stopped.await.unwrap_or_default() }).await.unwrap();
        });
        (address, Listening { stop, task })
    }
}

pub(crate) struct Listening {
    pub(crate) stop: tokio::sync::oneshot::Sender<()>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

pub(crate) fn chat_request(more: Value) -> Value {
    let mut request = json!({"model": "fake", "messages": [{"role": "user", "content": "Hello"}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        request[key] = value.clone();
    }
    request
}
