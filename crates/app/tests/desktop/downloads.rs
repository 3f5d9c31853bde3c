//! Models that are fetched: broken off, gone on with, wrong, too many, thrown away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::kit::Bench;

/// A server of one file that hangs up after so many bytes of an answer, where it is told to.
struct Server {
    base: String,
    hang_up_after: Arc<Mutex<Option<usize>>>,
    /// What was asked for: where each answer began.
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    async fn start(file: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { base, hang_up_after: Arc::default(), asked: Arc::default() };
        let (hang_up_after, asked) = (server.hang_up_after.clone(), server.asked.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
                let range = request.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-'));
                let begin: usize =
                    range.filter(|_| request.contains("if-range: \"one\"")).map_or(0, |it| it.parse().unwrap());
                asked.lock().unwrap().push(begin);
                let rest = &file[begin..];
                let status = match begin {
                    0 => "200 OK".to_owned(),
                    _ => {
                        format!("206 Partial Content\r\ncontent-range: bytes {begin}-{}/{}", file.len() - 1, file.len())
                    }
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\netag: \"one\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    rest.len()
                );
                let sent = hang_up_after.lock().unwrap().take().unwrap_or(rest.len());
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&rest[..sent]).await;
                let _ = stream.shutdown().await;
            }
        });
        server
    }
}

async fn ended(bench: &Bench) -> Value {
    let began = Instant::now();
    loop {
        let download = bench.call("downloads", Value::Null).await.unwrap()["downloads"][0].take();
        if !matches!(download["state"].as_str(), Some("running" | "checking")) {
            return download;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{download}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_broke_off_is_gone_on_with_and_one_that_is_wrong_is_thrown_away() {
    let mut file = b"GGUF".to_vec();
    file.extend((0..300_000_u32).flat_map(u32::to_le_bytes));
    let sha256 = hex::encode(Sha256::digest(&file));
    let server = Server::start(file.clone()).await;
    let bench = Bench::start();
    let url = format!("{}/a/Some-Model.Q4_0.gguf", server.base);
    let models = bench.folder.path().join("data/models");
    let fetch = async |sha256: Value| bench.call("model_fetch", json!({"url": url, "sha256": sha256})).await;

    *server.hang_up_after.lock().unwrap() = Some(500_000);
    fetch(json!(sha256)).await.unwrap();
    let download = ended(&bench).await;
    assert_eq!(download["state"], "failed", "{download}");
    assert!(download["problem"]["hint"].is_string(), "{download}");
    assert!(!models.join("Some-Model.Q4_0.gguf").exists());

    fetch(json!(sha256)).await.unwrap();
    assert_eq!(ended(&bench).await["state"], "done");
    assert_eq!(std::fs::read(models.join("Some-Model.Q4_0.gguf")).unwrap(), file);
    let begins = server.asked.lock().unwrap().clone();
    assert!(begins.len() == 2 && begins[0] == 0 && begins[1] > 0 && begins[1] <= 500_000, "{begins:?}");
    assert!(fetch(Value::Null).await.is_err(), "it is there already");
    assert_eq!(std::fs::read_dir(&models).unwrap().count(), 1, "nothing is left beside it");

    bench.call("model_delete", json!({"file": "Some-Model.Q4_0.gguf"})).await.unwrap();
    assert!(bench.call("model_delete", json!({"file": "Some-Model.Q4_0.gguf"})).await.is_err());
    fetch(json!("0".repeat(64))).await.unwrap();
    let download = ended(&bench).await;
    assert!(download["problem"]["message"].as_str().unwrap().contains(&sha256), "{download}");
    assert_eq!(std::fs::read_dir(&models).unwrap().count(), 0, "nothing of it is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_model_is_refused() {
    let server = Server::start(b"<html>Please accept our terms</html>".to_vec()).await;
    let bench = Bench::start();
    bench.call("model_fetch", json!({"url": format!("{}/page.gguf", server.base), "sha256": null})).await.unwrap();
    let download = ended(&bench).await;
    assert!(download["problem"]["message"].as_str().unwrap().contains("no GGUF"), "{download}");
    for (url, sha256) in [
        ("http://example.org/x.gguf", None),
        ("https://example.org/", None),
        ("https://example.org/x.gguf", Some("12")),
    ] {
        assert!(bench.call("model_fetch", json!({"url": url, "sha256": sha256})).await.is_err(), "{url}");
    }
    for file in ["../settings.toml", "settings.toml", "a/b.gguf", ""] {
        assert!(bench.call("model_delete", json!({"file": file})).await.is_err(), "{file}");
    }
    assert!(bench.folder.path().join("data").exists());
}
