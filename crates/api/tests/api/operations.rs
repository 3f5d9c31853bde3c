//! What operators ask.

use axum::body::Body;
use axum::http::Request;
use computepool_api::testkit::{FakeInference, Script};
use computepool_core::{Fault, FaultCode};
use serde_json::json;

use crate::endpoint::Endpoint;

#[tokio::test]
async fn models_are_listed_and_shown() {
    let endpoint = Endpoint::new(FakeInference::new("group/fake-1", |_, _| Script::say("ok")));
    let list = endpoint.get("/v1/models").await.ok();
    assert_eq!(list["object"], "list");
    let model = &list["data"][0];
    let expected = json!({"id": "group/fake-1", "object": "model", "created": 1_700_000_000, "owned_by": "computepool",
        "context_length": 4096, "available": true});
    assert_eq!(*model, expected);
    assert_eq!(endpoint.get("/v1/models/group/fake-1").await.ok(), expected);
    assert_eq!(endpoint.get("/v1/network").await.ok()["sessions"], 1);
}

#[tokio::test]
async fn health_is_that_of_the_routes() {
    let answer = Endpoint::new(FakeInference::saying("ok")).get("/health").await;
    assert_eq!(answer.ok(), json!({"status": "ok", "models": ["fake"]}));
    let answer = Endpoint::new(FakeInference::saying("ok").unavailable()).get("/health").await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].clone()), (503, "no_route".into()));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let fake = FakeInference::new("fake", |_, prompt| match prompt.contains("fail") {
        true => Script::say("abc").failing_after(2, Fault::new(FaultCode::NodeLost, "gone")),
        false => Script::say("abc"),
    });
    let endpoint = Endpoint::new(fake);
    endpoint.chat(json!({})).await.ok();
    endpoint.chat(json!({"stream": true, "messages": [{"role": "user", "content": "fail"}]})).await.events();
    endpoint.chat(json!({"model": "none"})).await;
    endpoint.get("/strange/path/with/1234").await;
    let text = endpoint.get("/metrics").await.text;
    let prompts: usize = endpoint.fake.asked().iter().map(|request| request.prompt.len()).sum();
    for line in [
        "computepool_requests_total{route=\"/v1/chat/completions\",method=\"POST\",status=\"200\"} 2",
        "computepool_requests_total{route=\"/v1/chat/completions\",method=\"POST\",status=\"404\"} 1",
        "computepool_requests_total{route=\"other\",method=\"GET\",status=\"404\"} 1",
        "computepool_faults_total{code=\"node_lost\"} 1",
        "computepool_faults_total{code=\"model_not_found\"} 1",
        &format!("computepool_prompt_tokens_total {prompts}"),
        "computepool_completion_tokens_total 6",
        "computepool_generations_in_flight 0",
        "computepool_time_to_first_token_seconds_count 2",
        "computepool_inter_token_seconds_count 4",
        "computepool_nodes{phase=\"ready\"} 0",
        "computepool_sessions 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let endpoint = Endpoint::new(FakeInference::saying("ok"));
    let own = |id: &str| Request::get("/nowhere").header("x-request-id", id).body(Body::empty()).unwrap();
    assert_eq!(endpoint.send(own("mine-1")).await.headers["x-request-id"], "mine-1");
    for bad in ["two words", &"x".repeat(200)] {
        let id = endpoint.send(own(bad)).await.headers["x-request-id"].clone();
        assert!(id.to_str().unwrap().starts_with("req_"));
    }
    let one = endpoint.get("/health").await.headers["x-request-id"].clone();
    assert_ne!(one, endpoint.get("/health").await.headers["x-request-id"]);
}
