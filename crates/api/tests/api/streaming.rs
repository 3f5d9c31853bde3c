//! Chats answered in chunks.

use std::collections::BTreeMap;
use std::time::Duration;

use computepool_api::ApiOptions;
use computepool_api::testkit::{FakeInference, Script};
use computepool_core::{Fault, FaultCode};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;

/// The content of each choice, put together.
fn contents(events: &[Value]) -> BTreeMap<u64, String> {
    let mut contents = BTreeMap::new();
    for choice in events.iter().flat_map(|event| event["choices"].as_array().into_iter().flatten()) {
        let content: &mut String = contents.entry(choice["index"].as_u64().unwrap()).or_default();
        content.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
    }
    contents
}

#[tokio::test]
async fn chunks_come_in_openai_s_order() {
    let endpoint = Endpoint::new(FakeInference::saying("Grüße!"));
    let answer = endpoint.chat(json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    let events = answer.events();
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(contents(&events)[&0], "Grüße!");
    assert_eq!(events.last().unwrap(), "[DONE]");
    let usage = &events[events.len() - 2];
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!("Grüße!".len() + 1)));
    let finish = &events[events.len() - 3]["choices"][0];
    assert_eq!((&finish["finish_reason"], &finish["delta"]), (&"stop".into(), &json!({})));
    for event in &events[..events.len() - 1] {
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!((&event["id"], &event["created"]), (&events[0]["id"], &events[0]["created"]));
    }
    for event in &events[..events.len() - 2] {
        assert_eq!(event.get("usage"), Some(&Value::Null));
        assert!(event["choices"][0].get("finish_reason").is_some());
    }
    // Half a character is never sent.
    assert!(!answer.text.contains('\u{fffd}'));
    let plain = endpoint.chat(json!({"stream": true})).await.events();
    assert!(plain.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn a_stop_string_never_shows_in_part() {
    let endpoint = Endpoint::new(FakeInference::saying("one E two EN three END four"));
    let events = endpoint.chat(json!({"stream": true, "stop": ["END"], "logprobs": true})).await.events();
    assert_eq!(contents(&events)[&0], "one E two EN three ");
    for event in &events {
        let content = event["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        assert!(!content.ends_with('E') && !content.ends_with("EN"), "{event}");
    }
    let told: Vec<&Value> = events
        .iter()
        .flat_map(|event| event["choices"][0]["logprobs"]["content"].as_array().into_iter().flatten())
        .collect();
    let tokens: String = told.iter().map(|entry| entry["token"].as_str().unwrap()).collect();
    assert_eq!(tokens, "one E two EN three ");
    assert_eq!(endpoint.fake.open(), 0);
}

#[tokio::test]
async fn answers_to_one_prompt_are_streamed_side_by_side() {
    let say = |request: &computepool_core::Generate, _: &str| {
        Script::say(&"abc".repeat(1 + (request.sampling.seed % 5) as usize)).paced(Duration::from_millis(1))
    };
    let endpoint = Endpoint::new(FakeInference::new("fake", say));
    let events = endpoint
        .chat(json!({"stream": true, "n": 4, "seed": 1, "stream_options": {"include_usage": true}}))
        .await
        .events();
    let asked = endpoint.fake.asked();
    let contents = contents(&events);
    assert_eq!(contents.len(), 4);
    let mut tokens = 0;
    for (index, request) in asked.iter().enumerate() {
        let expected = "abc".repeat(1 + (request.sampling.seed % 5) as usize);
        tokens += expected.len() + 1;
        assert_eq!(contents[&(index as u64)], expected);
    }
    let order: Vec<u64> = events.iter().filter_map(|event| event["choices"][0]["index"].as_u64()).skip(4).collect();
    let changes = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes > 4, "one after the other: {order:?}");
    assert_eq!(events[events.len() - 2]["usage"]["completion_tokens"], tokens);
}

#[tokio::test]
async fn a_failure_in_mid_stream_is_told_and_never_dressed_as_an_end() {
    let fault = Fault::new(FaultCode::EngineLost, "the engine of node 2 died").hint("ask again");
    let endpoint =
        Endpoint::new(FakeInference::new("fake", move |_, _| Script::say("one two").failing_after(4, fault.clone())));
    let events = endpoint.chat(json!({"stream": true, "n": 2})).await.events();
    let last = events.last().unwrap();
    assert_eq!(last["error"]["code"], "engine_lost");
    assert_eq!(last["error"]["message"], "the engine of node 2 died (ask again)");
    assert_eq!(last["error"]["type"], "server_error");
    assert!(contents(&events).values().any(|content| "one two".starts_with(content.as_str()) && !content.is_empty()));
    assert!(events.iter().all(|event| event["choices"][0]["finish_reason"].is_null() && event != "[DONE]"));
    assert_eq!(endpoint.fake.open(), 0);

    let whole = endpoint.chat(json!({})).await;
    assert_eq!(whole.error().0, 503);
    assert!(whole.headers.contains_key("retry-after"));
    assert!(!whole.text.contains("one"), "partial output: {}", whole.text);
}

#[tokio::test]
async fn what_is_refused_before_the_first_token_has_a_status_even_when_streamed() {
    let full = Fault::new(FaultCode::NoCapacity, "no room").retry_after_ms(2500);
    let endpoint = Endpoint::new(FakeInference::new("fake", move |_, _| Script::rejected(full.clone())));
    let answer = endpoint.chat(json!({"stream": true})).await;
    assert_eq!(answer.error(), (503, "no_capacity".into(), Value::Null));
    assert_eq!(answer.headers["retry-after"], "3");
    let endpoint =
        Endpoint::new(FakeInference::new("fake", |_, _| Script::refused(Fault::new(FaultCode::NoRoute, "none"))));
    assert_eq!(endpoint.chat(json!({"stream": true, "n": 2})).await.error().0, 503);
    assert_eq!(endpoint.fake.open(), 0);
}

#[tokio::test]
async fn a_silent_stream_is_kept_open_by_comments() {
    let mut options = ApiOptions::default();
    options.keep_alive = Duration::from_millis(20);
    let fake = FakeInference::new("fake", |_, _| Script::say("ab").paced(Duration::from_millis(300)));
    let answer = Endpoint::with(fake, options).chat(json!({"stream": true})).await;
    assert!(answer.text.contains(": still here\n\n"), "{}", answer.text);
    assert_eq!(answer.events().last().unwrap(), "[DONE]");
}
