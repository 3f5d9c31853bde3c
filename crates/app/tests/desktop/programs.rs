//! The owner's own endpoint: who may ask, how much, and what is remembered of it.

use std::time::{Duration, Instant};

use axum::Json;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::kit::Bench;

/// An endpoint that answers everything with seven tokens.
async fn upstream() -> String {
    let answer = || async { Json(json!({"choices": [], "usage": {"total_tokens": 7}})) };
    let models = || async { Json(json!({"data": [{"id": "some-model"}]})) };
    let router = axum::Router::new().route("/v1/chat/completions", post(answer)).route("/v1/models", get(models));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn address(bench: &Bench) -> String {
    let began = Instant::now();
    loop {
        let programs = bench.call("programs", Value::Null).await.unwrap();
        if let Some(address) = programs["address"].as_str() {
            return address.to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{programs}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_ask_with_keys_of_their_own_and_within_their_limits() {
    let bench = Bench::start();
    let (upstream, port) = (upstream().await, free_port());
    let set = |settings: &mut computepool_app::desktop::Settings| {
        (settings.using.endpoint, settings.using.port) = (Some(upstream), Some(port));
    };
    bench.desktop.set(set).unwrap();
    assert_eq!(bench.call("programs", Value::Null).await.unwrap()["address"], Value::Null, "nobody has a key");
    let new = json!({"name": "editor", "per_minute": 3, "tokens_a_day": null});
    let key = bench.call("key_make", new).await.unwrap()["key"].as_str().unwrap().to_owned();
    let base = address(&bench).await;
    assert_eq!(base, format!("http://127.0.0.1:{port}/v1"));
    let client = reqwest::Client::new();
    let ask = async |key: &str| {
        let body = json!({"model": "some-model", "messages": [{"role": "user", "content": "a secret"}]});
        let request = client.post(format!("{base}/chat/completions")).bearer_auth(key).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(ask("cpk_wrong").await.0, 401);
    let (status, said) = ask(&key).await;
    assert!(status != 200 && said["error"]["message"].as_str().unwrap().contains("agreed"), "{status} {said}");
    bench.call("consent_give", json!({"scope": "ask", "version": "1"})).await.unwrap();
    for _ in 0..2 {
        let (status, said) = ask(&key).await;
        assert_eq!((status, &said["usage"]["total_tokens"]), (200, &json!(7)), "{said}");
    }
    let (status, said) = ask(&key).await;
    assert_eq!(status, 429, "{said}");
    let listed: Value =
        client.get(format!("{base}/models")).bearer_auth(&key).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["data"][0]["id"], "some-model");

    let log = bench.call("requests", Value::Null).await.unwrap();
    assert!(!log.to_string().contains("secret"), "{log}");
    let asked: Vec<_> = log.as_array().unwrap().iter().filter(|it| it["path"] == "/chat/completions").collect();
    let seen: Vec<_> =
        asked.iter().map(|it| (it["status"].as_u64().unwrap(), it["tokens"].as_u64().unwrap())).collect();
    assert_eq!(seen, [(200, 7), (200, 7), (0, 0)], "newest first: {log}");
    assert_eq!((&asked[0]["key"], &asked[0]["model"]), (&json!("editor"), &json!("some-model")));
    assert_eq!(bench.call("programs", Value::Null).await.unwrap()["keys"][0]["used"], 14);

    bench.call("key_revoke", json!({"name": "editor"})).await.unwrap();
    let began = Instant::now();
    // With the last key the endpoint closes.
    while client.get(format!("{base}/models")).send().await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_said_and_had_when_it_is_free() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let bench = Bench::start();
    bench.desktop.set(|settings| settings.using.port = Some(port)).unwrap();
    bench.call("key_make", json!({"name": "editor", "per_minute": null, "tokens_a_day": null})).await.unwrap();
    let told = |status: &Value| status["health"].as_array().unwrap().iter().any(|it| it["code"] == "programs");
    bench.until("told", told).await;
    drop(taken);
    bench.until("open", |status| status["api"] == format!("http://127.0.0.1:{port}/v1")).await;
}
