//! Errors, as OpenAI's clients tell them apart.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use computepool_api::ApiOptions;
use computepool_api::testkit::FakeInference;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::endpoint::{CHAT, COMPLETIONS, Endpoint, chat_request};

fn endpoint() -> Endpoint {
    Endpoint::new(FakeInference::saying("ok"))
}

#[tokio::test]
async fn wrong_values_are_refused_by_field() {
    let endpoint = endpoint();
    for (more, param) in [
        (json!({"model": 3}), "model"),
        (json!({"model": null}), "model"),
        (json!({"messages": "hello"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": ["hello"]}), "messages[0]"),
        (json!({"messages": [{"content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "robot", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": 3}]}), "messages[0].content"),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages[0].tool_call_id"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"temperature": 2.1}), "temperature"),
        (json!({"top_p": -0.1}), "top_p"),
        (json!({"top_k": -2}), "top_k"),
        (json!({"presence_penalty": 3}), "presence_penalty"),
        (json!({"repetition_penalty": 0}), "repetition_penalty"),
        (json!({"n": 9}), "n"),
        (json!({"n": 1.5}), "n"),
        (json!({"max_tokens": -1}), "max_tokens"),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens"),
        (json!({"seed": 0.5}), "seed"),
        (json!({"logit_bias": {"260": 1}}), "logit_bias"),
        (json!({"logit_bias": {"x": 1}}), "logit_bias"),
        (json!({"logit_bias": {"1": 101}}), "logit_bias"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"stop": ""}), "stop"),
        (json!({"stop": 3}), "stop"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": {"include_usage": 1}}), "stream_options.include_usage"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
    ] {
        let answer = endpoint.chat(more.clone()).await;
        assert_eq!(answer.error(), (400, Value::Null, param.into()), "{more}: {}", answer.text);
    }
    assert!(endpoint.fake.asked().is_empty());
    for part in ["image_url", "input_audio", "file"] {
        let messages = json!([{"role": "user", "content": [{"type": part}]}]);
        let (status, _, param) = endpoint.chat(json!({"messages": messages})).await.error();
        assert_eq!((status, param), (400, "messages[0].content[0].type".into()));
    }
}

#[tokio::test]
async fn harmless_fields_are_ignored() {
    let more = json!({"user": "u", "store": true, "metadata": {"a": "b"}, "service_tier": "auto", "verbosity": "low",
        "reasoning_effort": "low", "temperature": null, "unheard_of": [1], "stream_options": {"include_obfuscation": false}});
    endpoint().chat(more).await.ok();
}

#[tokio::test]
async fn what_is_not_json_is_refused_with_its_place() {
    let endpoint = endpoint();
    for (body, place) in
        [("{\"model\": \"fake\",\n \"messages\": [}", "line 2 column 15"), ("", "line 1 column 0"), ("[1, 2", "line 1")]
    {
        let answer = endpoint.post_text(CHAT, body).await;
        assert_eq!(answer.error().0, 400);
        assert!(answer.text.contains(place), "{}", answer.text);
    }
    for body in [
        Bytes::from_static(b"{\"model\": \"\xff\"}"),
        Bytes::from(format!("{} x", chat_request(json!({})))),
        Bytes::from("[".repeat(100_000)),
    ] {
        assert_eq!(endpoint.post_text(CHAT, body).await.error().0, 400);
    }
    let form = Request::post(CHAT).header("content-type", "application/x-www-form-urlencoded").body(Body::from("a=b"));
    assert_eq!(endpoint.send(form.unwrap()).await.error().0, 415);
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_a_wrong_method_a_405() {
    let endpoint = endpoint();
    let (status, code, param) = endpoint.chat(json!({"model": "gpt-9"})).await.error();
    assert_eq!((status, code, param), (404, "model_not_found".into(), "model".into()));
    assert_eq!(endpoint.post(COMPLETIONS, json!({"model": "x", "prompt": "a"})).await.error().0, 404);
    assert_eq!(endpoint.get("/v1/models/nope").await.error(), (404, "model_not_found".into(), "model".into()));
    assert_eq!(endpoint.get("/v1/embeddings").await.error().0, 404);
    assert_eq!(endpoint.get("/").await.error().0, 404);
    assert_eq!(endpoint.get(CHAT).await.error().0, 405);
    assert_eq!(endpoint.post("/health", json!({})).await.error().0, 405);
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_it_is_kept() {
    let mut options = ApiOptions::default();
    options.limits.body_bytes = 1000;
    let endpoint = Endpoint::with(FakeInference::saying("ok"), options);
    let large = chat_request(json!({"user": "x".repeat(2000)})).to_string();
    let (status, code, _) = endpoint.post_text(CHAT, large.clone()).await.error();
    assert_eq!((status, code), (413, "request_too_large".into()));
    // Without a length announced, it is counted as it comes.
    let pieces = futures::stream::iter(large.into_bytes()).map(|byte| Ok::<_, std::io::Error>(Bytes::from(vec![byte])));
    assert_eq!(endpoint.post_text(CHAT, Body::from_stream(pieces)).await.error().0, 413);
    endpoint.chat(json!({})).await.ok();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut options = ApiOptions::default();
    options.body_timeout = Duration::from_millis(50);
    let endpoint = Endpoint::with(FakeInference::saying("ok"), options);
    let never = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    assert_eq!(endpoint.post_text(CHAT, Body::from_stream(never)).await.error().0, 408);
}

#[tokio::test]
async fn a_bug_behind_the_port_is_a_500_and_not_a_silence() {
    let fake = FakeInference::new("fake", |_, prompt| {
        assert!(!prompt.contains("Hello"), "a bug");
        computepool_api::testkit::Script::say("ok")
    });
    let answer = Endpoint::new(fake).chat(json!({})).await;
    assert_eq!(answer.error(), (500, "internal".into(), Value::Null));
}
