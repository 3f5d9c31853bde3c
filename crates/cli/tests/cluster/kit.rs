//! A cluster under test, and what is asked of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use computepool_app::cluster::{Cluster, ClusterSettings};
use computepool_core::ports::{NetworkStatus, NodeStatus};
use serde_json::{Value, json};

use crate::stream::Stream;

/// Whatever takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const MODEL: &str = "smollm2-135m-instruct";

/// A running cluster.
pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) settings: ClusterSettings,
    client: reqwest::Client,
    _logs: tempfile::TempDir,
}

/// The command line under test, beside which the engine must lie.
pub(crate) fn program() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_computepool"));
    let engine = program.with_file_name(format!("computepool-engine{}", std::env::consts::EXE_SUFFIX));
    assert!(engine.exists(), "{} is missing: build it first with `cargo build --workspace --bins`", engine.display());
    program
}

/// The sample model as the command line takes it.
pub(crate) fn model() -> String {
    let path = computepool_app::sample_model_path().expect("fetch the sample model first, with `make sample-model`");
    format!("{MODEL}={}", path.display())
}

fn settings(shards: usize, logs: &Path) -> ClusterSettings {
    ClusterSettings {
        program: program(),
        model: model(),
        shards,
        nodes: None,
        threads: 1,
        kv_bytes: 256 << 20,
        max_context: 2048,
        api: "127.0.0.1:0".to_owned(),
        key: None,
        paid: false,
        // The full fuzz run asks more often than a person may.
        orchestrator_arguments: vec!["--key-requests-per-minute".to_owned(), "0".to_owned()],
        logs: logs.to_owned(),
    }
}

impl Bed {
    /// Starts one with this many shards and waits until it serves.
    pub(crate) async fn start(shards: usize) -> Self {
        Self::start_with(shards, &[]).await
    }

    /// Starts one whose orchestrator is told this too.
    pub(crate) async fn start_with(shards: usize, told: &[&str]) -> Self {
        let logs = tempfile::tempdir().unwrap();
        let mut settings = settings(shards, logs.path());
        settings.orchestrator_arguments.extend(told.iter().map(|&argument| argument.to_owned()));
        let mut cluster = Cluster::start(&settings).await.unwrap();
        cluster.ready(|_| {}).await.unwrap();
        Self { cluster, settings, client: reqwest::Client::new(), _logs: logs }
    }

    /// Posts a completion without sorting out the answer.
    pub(crate) async fn post(&self, body: &Value) -> reqwest::Response {
        let url = format!("{}/completions", self.cluster.api());
        self.client.post(url).json(body).send().await.unwrap()
    }

    /// A whole answer at once.
    pub(crate) async fn answer(&self, prompt: &str, tokens: u32) -> String {
        let response = self.post(&asking(prompt, tokens)).await;
        let (status, value) = (response.status(), response.json::<Value>().await.unwrap());
        assert_eq!(status, 200, "{value}");
        value["choices"][0]["text"].as_str().unwrap().to_owned()
    }

    /// An answer as it comes.
    pub(crate) async fn stream(&self, prompt: &str, tokens: u32) -> Stream {
        let mut body = asking(prompt, tokens);
        body["stream"] = json!(true);
        let response = self.post(&body).await;
        let status = response.status();
        assert_eq!(status, 200, "{}", response.text().await.unwrap());
        Stream::new(response)
    }

    /// What the orchestrator shows.
    pub(crate) async fn network(&self) -> NetworkStatus {
        let url = format!("{}/network", self.cluster.api());
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until the network is as wanted; the time it took.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&NetworkStatus) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let network = self.network().await;
            if wanted(&network) {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "not {what}: {network:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks until an answer starts; the time it took. What refuses meanwhile must say why.
    pub(crate) async fn until_answering(&self) -> Duration {
        let began = Instant::now();
        loop {
            let mut body = asking("Once", 1);
            body["stream"] = json!(true);
            let response = self.post(&body).await;
            if response.status() == 200 {
                if Stream::new(response).rest().await.done {
                    return began.elapsed();
                }
            } else {
                refused(response).await;
            }
            assert!(began.elapsed() < PATIENCE, "no answer again: {:#?}", self.network().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends everything in order.
    pub(crate) async fn leave(self) {
        assert!(self.cluster.leave().await, "a process had to be ended");
    }
}

/// A greedy completion of exactly this many tokens.
pub(crate) fn asking(prompt: &str, tokens: u32) -> Value {
    json!({"model": MODEL, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": true})
}

/// The message of a refusal that names no route, with status 503.
pub(crate) async fn refused(response: reqwest::Response) -> String {
    let (status, body) = (response.status(), response.json::<Value>().await.unwrap());
    let error = &body["error"];
    let message = error["message"].as_str().unwrap_or_default().to_owned();
    assert!(status == 503 && !message.is_empty() && error["code"].is_string(), "{status} {body}");
    message
}

/// Tokens of KV in use on a node, as it last said.
pub(crate) fn kv(node: &NodeStatus) -> u64 {
    node.usage.map_or(0, |usage| usage.kv_tokens_used)
}

/// The engine process of a node.
pub(crate) fn engine(node: &NodeStatus) -> u32 {
    node.usage.and_then(|usage| usage.pid).unwrap_or_else(|| panic!("{} tells of no engine", node.name))
}
