//! Keys, limits and origins.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use computepool_api::testkit::{FakeInference, Script};
use computepool_api::{ApiKey, ApiOptions, KeyDigest, KeyLimits};
use serde_json::json;

use crate::endpoint::{Answer, CHAT, Endpoint, chat_request};

fn options() -> ApiOptions {
    let mut options = ApiOptions::default();
    let limits = KeyLimits { generations: 2, per_minute: NonZeroU32::new(5), burst: None };
    options.keys =
        vec![KeyDigest::of("sk-one").into(), ApiKey { digest: KeyDigest::of("sk-two"), limits: Some(limits) }];
    options
}

async fn ask(endpoint: &Endpoint, path: &str, key: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    endpoint.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn without_its_key_nothing_is_told() {
    let endpoint = Endpoint::with(FakeInference::saying("ok"), options());
    for path in ["/v1/models", "/v1/models/fake", "/v1/network"] {
        assert_eq!(ask(&endpoint, path, None).await.error().0, 401);
        let (status, code, _) = ask(&endpoint, path, Some("sk-three")).await.error();
        assert_eq!((status, code), (401, "invalid_api_key".into()));
        ask(&endpoint, path, Some("sk-one")).await.ok();
    }
    // A body is not even looked at.
    assert_eq!(endpoint.post_text(CHAT, "nonsense").await.error().0, 401);
    for path in ["/health", "/metrics", "/openapi.json"] {
        assert_eq!(ask(&endpoint, path, None).await.status, 200, "{path}");
    }
    let mut closed = options();
    closed.key_for_health = true;
    let endpoint = Endpoint::with(FakeInference::saying("ok"), closed);
    assert_eq!(ask(&endpoint, "/metrics", None).await.error().0, 401);
    assert_eq!(ask(&endpoint, "/metrics", Some("sk-one")).await.status, 200);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_return() {
    let endpoint = Endpoint::with(FakeInference::saying("ok"), options());
    for _ in 0..5 {
        ask(&endpoint, "/v1/models", Some("sk-two")).await.ok();
    }
    let answer = ask(&endpoint, "/v1/models", Some("sk-two")).await;
    assert_eq!((answer.error().0, answer.error().1), (429, "rate_limit_exceeded".into()));
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    ask(&endpoint, "/v1/models", Some("sk-one")).await.ok();
}

#[tokio::test]
async fn a_key_runs_so_many_generations_at_once() {
    let fake = FakeInference::new("fake", |_, _| Script::say("word ").endless().paced(Duration::from_millis(5)));
    let endpoint = Endpoint::with(fake, options());
    let post = |body: serde_json::Value| {
        let request =
            Request::post(CHAT).header("authorization", "Bearer sk-two").header("content-type", "application/json");
        request.body(Body::from(body.to_string())).unwrap()
    };
    let stream = json!({"stream": true, "n": 2});
    let held = tower::ServiceExt::oneshot(endpoint.router.clone(), post(chat_request(stream))).await.unwrap();
    assert_eq!(held.status(), 200);
    let (status, code, _) = endpoint.send(post(chat_request(json!({})))).await.error();
    assert_eq!((status, code), (429, "rate_limit_exceeded".into()));
    drop(held);
    endpoint.fake.until_open(0).await;
    endpoint.send(post(chat_request(json!({"max_tokens": 3})))).await.ok();
}

#[tokio::test]
async fn browsers_may_call_from_allowed_origins_only() {
    let mut options = ApiOptions::default();
    options.allowed_origins = vec!["https://chat.example".into()];
    for (endpoint, origin, allowed) in [
        (Endpoint::new(FakeInference::saying("ok")), "https://chat.example", false),
        (Endpoint::with(FakeInference::saying("ok"), options.clone()), "https://chat.example", true),
        (Endpoint::with(FakeInference::saying("ok"), options), "https://evil.example", false),
    ] {
        let request = Request::get("/v1/models").header("origin", origin).body(Body::empty()).unwrap();
        let answer = endpoint.send(request).await;
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}
