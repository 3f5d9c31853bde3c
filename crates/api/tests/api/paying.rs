//! Where strangers pay: the answer 402, sessions, and what is metered.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use computepool_api::testkit::{FakeInference, FakeToll, Metered, Script};
use computepool_api::{ApiOptions, KeyDigest};
use computepool_core::{Fault, FaultCode};
use serde_json::{Value, json};

use crate::endpoint::{Answer, CHAT, Endpoint, chat_request};

fn charging(fake: FakeInference, toll: &Arc<FakeToll>) -> Endpoint {
    let mut options = ApiOptions::default();
    options.keys = vec![KeyDigest::of("sk-own").into()];
    Endpoint::charging(fake, options, Some(toll.clone()))
}

/// A chat with these headers and fields.
async fn chat(endpoint: &Endpoint, headers: &[(&str, &str)], more: Value) -> Answer {
    let mut request = Request::post(CHAT).header("content-type", "application/json").header("host", "pool.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    endpoint.send(request.body(Body::from(chat_request(more).to_string())).unwrap()).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn whoever_has_not_paid_is_told_what_to_pay() {
    let toll = Arc::new(FakeToll::default());
    let endpoint = charging(FakeInference::saying("ok"), &toll);
    let answer = chat(&endpoint, &[], json!({})).await;
    assert_eq!(answer.error(), (402, "payment_required".into(), Value::Null));
    assert_eq!(answer.headers["payment-required"], "cXVvdGU=");
    assert!(answer.headers.get("payment-response").is_none(), "nothing was tried");
    assert_eq!(answer.json()["payment"]["resource"]["url"], "http://pool.example/v1/chat/completions");
    assert_eq!(toll.asked()[0].model.as_str(), "fake");
    // What could not be answered anyway is not to be paid for.
    assert_eq!(chat(&endpoint, &[], json!({"model": "other"})).await.error().0, 404);
    assert_eq!(chat(&endpoint, &[], json!({"temperature": 9})).await.error().0, 400);
    assert_eq!(toll.asked().len(), 1);
    assert_eq!(toll.metered(), Metered::default());
    endpoint.get("/v1/models").await.ok();
    assert_eq!(endpoint.get("/v1/network").await.error().0, 401, "that is the owner's");
}

#[tokio::test]
async fn a_voucher_opens_a_session_and_its_token_asks_again() {
    let toll = Arc::new(FakeToll::default());
    let endpoint = charging(FakeInference::saying("okay"), &toll);
    let first = chat(&endpoint, &[("payment-signature", "pay")], json!({})).await;
    assert_eq!(first.ok()["choices"][0]["message"]["content"], "okay");
    assert_eq!(first.headers["payment-response"], "success");
    let token = first.headers["computepool-session"].to_str().unwrap().to_owned();
    let tokens = "okay".len() as u32 + 1;
    assert_eq!(toll.metered(), Metered { began: 1, ended: 1, tokens });

    let streamed = chat(&endpoint, &[("authorization", &bearer(&token))], json!({"stream": true, "n": 2})).await;
    assert_eq!(streamed.events().last().unwrap(), "[DONE]");
    assert!(streamed.headers.get("computepool-session").is_none(), "given once");
    assert_eq!(toll.metered(), Metered { began: 3, ended: 3, tokens: 3 * tokens });

    let again = chat(&endpoint, &[("payment-signature", "pay")], json!({})).await;
    assert_eq!((again.error().0, again.error().1), (402, "payment_refused".into()));
    assert_eq!(again.headers["payment-response"], "failure");
    assert_eq!(again.json()["payment"]["error"], "invalid_transaction_state");
    let garbage = chat(&endpoint, &[("payment-signature", "?")], json!({})).await;
    assert_eq!((garbage.error().0, garbage.error().1), (400, "malformed_payment".into()));
}

#[tokio::test]
async fn a_session_shows_its_bill_and_is_closed_once() {
    let toll = Arc::new(FakeToll::default());
    let endpoint = charging(FakeInference::saying("ok"), &toll);
    chat(&endpoint, &[("payment-signature", "pay")], json!({})).await.ok();
    let token = bearer(&FakeToll::token());
    let ask = |method: &'static str| {
        let request = Request::builder().method(method).uri("/v1/session").header("authorization", &token);
        endpoint.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("GET").await.ok()["phase"], "streaming");
    assert_eq!(ask("DELETE").await.ok()["phase"], "closing");
    assert_eq!(ask("DELETE").await.error().0, 401);
    assert_eq!(ask("GET").await.error().0, 401);
    let late = chat(&endpoint, &[("authorization", &token)], json!({})).await;
    assert_eq!(late.error().0, 402);
    assert_eq!(endpoint.get("/v1/session").await.error().0, 401);
    let free = Endpoint::new(FakeInference::saying("ok"));
    assert_eq!(free.get("/v1/session").await.error(), (404, "not_paid".into(), Value::Null));
}

#[tokio::test]
async fn the_owner_s_keys_pay_nothing_and_wrong_ones_are_told_so() {
    let toll = Arc::new(FakeToll::default());
    let endpoint = charging(FakeInference::saying("ok"), &toll);
    chat(&endpoint, &[("authorization", "Bearer sk-own")], json!({})).await.ok();
    assert_eq!((toll.asked().len(), toll.metered()), (0, Metered::default()));
    let wrong = chat(&endpoint, &[("authorization", "Bearer sk-other")], json!({})).await;
    assert_eq!(wrong.error().0, 401);
    // Where nobody has a key, OpenAI's clients still send one.
    let endpoint = Endpoint::charging(FakeInference::saying("ok"), ApiOptions::default(), Some(toll));
    assert_eq!(chat(&endpoint, &[("authorization", "Bearer unused")], json!({})).await.error().0, 402);
}

#[tokio::test]
async fn an_answer_ends_with_the_money() {
    let toll = Arc::new(FakeToll::with_budget(3));
    let endpoint = charging(FakeInference::saying("far too long"), &toll);
    let answer = chat(&endpoint, &[("payment-signature", "pay")], json!({"stream": true})).await;
    let events = answer.events();
    assert_eq!(events.last().unwrap()["error"]["code"], "budget_spent", "and no stop");
    assert!(events.iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
    assert_eq!(toll.metered(), Metered { began: 1, ended: 1, tokens: 3 });
}

#[tokio::test]
async fn a_voucher_that_was_taken_is_acknowledged_also_when_the_answer_fails() {
    let toll = Arc::new(FakeToll::default());
    let fault = Fault::new(FaultCode::NoCapacity, "all places are taken");
    let endpoint = charging(FakeInference::new("fake", move |_, _| Script::refused(fault.clone())), &toll);
    let answer = chat(&endpoint, &[("payment-signature", "pay")], json!({})).await;
    assert_eq!(answer.error().0, 503);
    assert_eq!(answer.headers["payment-response"], "success");
    assert!(answer.headers.contains_key("computepool-session"), "it can be asked again for the same money");
    assert_eq!(toll.metered().tokens, 0);
}

/// Asks for a session with a model.
async fn open(endpoint: &Endpoint, headers: &[(&str, &str)], body: Value) -> Answer {
    let mut request = Request::post("/v1/session").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    endpoint.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_session_is_opened_before_anything_is_asked() {
    let toll = Arc::new(FakeToll::default());
    let endpoint = charging(FakeInference::saying("ok"), &toll);
    let fake = json!({ "model": "fake" });
    assert_eq!(open(&endpoint, &[], fake.clone()).await.error().0, 402);
    let paid = open(&endpoint, &[("payment-signature", "pay")], fake.clone()).await;
    let token = paid.headers["computepool-session"].to_str().unwrap().to_owned();
    assert_eq!((paid.ok()["model"].clone(), toll.metered()), ("fake".into(), Metered::default()));
    chat(&endpoint, &[("authorization", &bearer(&token))], json!({})).await.ok();
    assert_eq!(toll.metered().ended, 1);

    assert_eq!(open(&endpoint, &[], json!({ "model": "other" })).await.error().0, 404);
    assert_eq!(open(&endpoint, &[], json!({})).await.error().0, 400);
    let known = open(&endpoint, &[("authorization", "Bearer sk-own")], fake.clone()).await.error();
    assert_eq!((known.0, known.1), (400, "not_paid".into()), "the owner pays nothing");
    let free = Endpoint::new(FakeInference::saying("ok"));
    assert_eq!(open(&free, &[], fake).await.error().0, 404);
}

#[tokio::test]
async fn who_says_who_will_pay_is_quoted_by_name() {
    let toll = Arc::new(FakeToll::default());
    let endpoint = charging(FakeInference::saying("ok"), &toll);
    let payer = "0x209693bc6afc0c5328ba36faf03c514ef312287c";
    assert_eq!(chat(&endpoint, &[("computepool-payer", payer)], json!({})).await.error().0, 402);
    assert_eq!(toll.asked()[0].payer, Some(payer.parse().unwrap()));
    for wrong in ["me", "0x00", "0x0000000000000000000000000000000000000000"] {
        let answer = chat(&endpoint, &[("computepool-payer", wrong)], json!({})).await;
        assert_eq!(answer.error().0, 400, "{wrong}");
    }
    assert_eq!(toll.asked().len(), 1);
}
