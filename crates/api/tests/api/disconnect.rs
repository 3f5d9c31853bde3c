//! Clients that leave: their generations must end at once.

use std::net::SocketAddr;
use std::time::Duration;

use computepool_api::ApiOptions;
use computepool_api::testkit::{FakeInference, Script};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::endpoint::{CHAT, Endpoint, chat_request};

/// Far more than it takes, so that only a generation that lives on fails the test.
const SOON: Duration = Duration::from_secs(10);

fn endless() -> FakeInference {
    FakeInference::new("fake", |_, _| Script::say("word ").endless().paced(Duration::from_millis(5))).context(1_000_000)
}

async fn send(address: SocketAddr, path: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_frees_its_generations() {
    let endpoint = Endpoint::new(endless());
    let (address, _listening) = endpoint.listen().await;
    for n in [1, 3] {
        let body = chat_request(json!({"stream": true, "n": n, "max_tokens": 500_000}));
        let mut client = send(address, CHAT, &body).await;
        let mut seen = vec![0; 2048];
        let read = client.read(&mut seen).await.unwrap();
        assert!(seen[..read].starts_with(b"HTTP/1.1 200"));
        endpoint.fake.until_open(n).await;
        drop(client);
        timeout(SOON, endpoint.fake.until_open(0)).await.expect("the generation lives on");
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_frees_its_generations() {
    let endpoint = Endpoint::new(endless());
    let (address, _listening) = endpoint.listen().await;
    for (path, body) in [
        (CHAT, chat_request(json!({"max_tokens": 500_000}))),
        (CHAT, chat_request(json!({"max_tokens": 500_000, "n": 3}))),
        ("/v1/completions", json!({"model": "fake", "prompt": ["a", "b"], "max_tokens": 500_000})),
    ] {
        let client = send(address, path, &body).await;
        timeout(SOON, async {
            while endpoint.fake.open() == 0 {
                tokio::task::yield_now().await
            }
        })
        .await
        .unwrap();
        drop(client);
        timeout(SOON, endpoint.fake.until_open(0)).await.expect("the generation lives on");
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let mut options = ApiOptions::default();
    options.stalled_client = Duration::from_millis(200);
    let fake = FakeInference::new("fake", |_, _| Script::say(&"word ".repeat(1000)).endless()).context(u32::MAX);
    let endpoint = Endpoint::with(fake, options);
    let (address, _listening) = endpoint.listen().await;
    let client = send(address, CHAT, &chat_request(json!({"stream": true, "max_tokens": 2_000_000_000}))).await;
    endpoint.fake.until_open(1).await;
    timeout(SOON * 3, endpoint.fake.until_open(0)).await.expect("the generation waits for ever");
    drop(client);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_lets_answers_end() {
    let fake = FakeInference::new("fake", |_, _| Script::say("a few words").paced(Duration::from_millis(5)));
    let endpoint = Endpoint::new(fake);
    let (address, listening) = endpoint.listen().await;
    let mut client = send(address, CHAT, &chat_request(json!({"stream": true}))).await;
    endpoint.fake.until_open(1).await;
    listening.stop.send(()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("[DONE]"), "{answer}");
    timeout(SOON, listening.task).await.expect("the server does not stop").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
