//! Who gets through the page's door, and who does not.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use computepool_api::{Commands, LoopbackOptions, loopback};
use computepool_core::{Fault, FaultCode};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tower::ServiceExt as _;

struct Echo;

impl Commands for Echo {
    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> BoxFuture<'a, Result<Value, Fault>> {
        let answer = match name {
            "echo" => Ok(arguments),
            other => Err(Fault::new(FaultCode::InvalidRequest, format!("no {other}")).hint("echo")),
        };
        async move { answer }.boxed()
    }
    fn events(&self) -> BoxStream<'static, String> {
        futures::stream::iter(["{\"kind\":\"settings\"}".to_owned()]).boxed()
    }
}

async fn ask(page: Option<std::path::PathBuf>, request: Request<Body>) -> Response<Body> {
    let options = LoopbackOptions { token: "secret".into(), authority: "127.0.0.1:7777".into(), page };
    loopback(options, Arc::new(Echo)).oneshot(request).await.unwrap()
}

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let usual = [("host", "127.0.0.1:7777"), ("authorization", "Bearer secret"), ("content-type", "application/json")];
    let mut request = Request::post("/command/echo").body(Body::from("{\"a\":1}")).unwrap();
    for (name, value) in usual.iter().chain(headers) {
        let name: axum::http::HeaderName = name.parse().unwrap();
        match value.is_empty() {
            true => request.headers_mut().remove(&name),
            false => request.headers_mut().insert(name, value.parse().unwrap()),
        };
    }
    request
}

async fn document(response: Response<Body>) -> Value {
    serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_page_of_this_door_gets_its_answer_and_no_other_page_does() {
    let answer = ask(None, request(&[])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(document(answer).await, json!({"a": 1}));
    for (headers, status) in [
        (&[("origin", "http://127.0.0.1:7777"), ("sec-fetch-site", "same-origin")][..], StatusCode::OK),
        (&[("host", "localhost:7777"), ("origin", "http://localhost:7777")][..], StatusCode::OK),
        // A name that was made to point here.
        (&[("host", "evil.example:7777")][..], StatusCode::MISDIRECTED_REQUEST),
        (&[("host", "127.0.0.1:80")][..], StatusCode::MISDIRECTED_REQUEST),
        (&[("host", "")][..], StatusCode::MISDIRECTED_REQUEST),
        (&[("origin", "https://evil.example")][..], StatusCode::FORBIDDEN),
        (&[("origin", "null")][..], StatusCode::FORBIDDEN),
        (&[("origin", "http://localhost:7777")][..], StatusCode::FORBIDDEN),
        (&[("sec-fetch-site", "cross-site")][..], StatusCode::FORBIDDEN),
        (&[("authorization", "")][..], StatusCode::UNAUTHORIZED),
        (&[("authorization", "Bearer secre")][..], StatusCode::UNAUTHORIZED),
        (&[("authorization", "Basic secret")][..], StatusCode::UNAUTHORIZED),
        (&[("content-type", "text/plain")][..], StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        assert_eq!(ask(None, request(headers)).await.status(), status, "{headers:?}");
    }
}

#[tokio::test]
async fn what_does_not_do_is_said_with_a_code_and_what_to_do() {
    let mut wrong = request(&[]);
    *wrong.uri_mut() = "/command/other".parse().unwrap();
    let answer = ask(None, wrong).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(document(answer).await, json!({"code": "invalid_request", "message": "no other", "hint": "echo"}));
    let mut broken = request(&[]);
    *broken.body_mut() = Body::from("{");
    assert_eq!(ask(None, broken).await.status(), StatusCode::BAD_REQUEST);
    let mut long = request(&[]);
    *long.body_mut() = Body::from(vec![b' '; 2 << 20]);
    assert_eq!(ask(None, long).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn events_come_as_they_happen_and_want_the_token_too() {
    let events = |token: &str| {
        let request = Request::get("/events").header("host", "127.0.0.1:7777");
        request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
    };
    assert_eq!(ask(None, events("x")).await.status(), StatusCode::UNAUTHORIZED);
    let answer = ask(None, events("secret")).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut stream = answer.into_body().into_data_stream();
    let mut heard = String::new();
    while !heard.contains("settings") {
        heard += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
    }
    assert!(heard.contains("data: {\"kind\":\"settings\"}\n\n"), "{heard}");
}

#[tokio::test]
async fn the_page_is_served_without_a_token_and_nothing_beside_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("page")).unwrap();
    std::fs::write(folder.path().join("page/index.html"), "<p>here").unwrap();
    std::fs::write(folder.path().join("wallet"), "secret").unwrap();
    let get = |path: &str| Request::get(path).header("host", "127.0.0.1:7777").body(Body::empty()).unwrap();
    let page = || Some(folder.path().join("page"));
    let answer = ask(page(), get("/")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers();
    assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(
        (&headers["x-frame-options"], &headers["cache-control"]),
        (&"DENY".parse().unwrap(), &"no-store".parse().unwrap())
    );
    for path in ["/../wallet", "/%2e%2e/wallet", "/..%2fwallet", "/nothing"] {
        assert_eq!(ask(page(), get(path)).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
