//! A stranger with a wallet, at a paid network.

use std::process::{Output, Stdio};
use std::time::Duration;

use computepool_app::cluster::ClusterAddress;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::kit::{MODEL, PATIENCE, model, program};

/// A paid network as `computepool up` runs it, and its user's wallet.
struct Paid {
    up: Child,
    address: ClusterAddress,
    folder: tempfile::TempDir,
}

impl Paid {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut up = Command::new(program())
            .args(["up", "--supervised", "--api", "127.0.0.1:0", "--model", &model()])
            .env("XDG_CACHE_HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut lines = BufReader::new(up.stdout.take().unwrap());
        timeout(PATIENCE, lines.read_line(&mut first)).await.unwrap().unwrap();
        let address = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first}"));
        Self { up, address, folder }
    }

    /// What the command line says to the user of the devnet.
    async fn says(&self, words: &[&str], session: Option<&str>, input: &str) -> String {
        let devnet = self.address.devnet.as_ref().unwrap();
        let mut command = Command::new(program());
        command.args(words).env("XDG_DATA_HOME", self.folder.path()).stdin(Stdio::piped());
        match session {
            Some(token) => {
                command.env("COMPUTEPOOL_SESSION", token);
            }
            None => {
                command.arg("--wallets").arg(&devnet.wallets).arg("--passphrase-file").arg(&devnet.passphrase_file);
                command.arg("--chain").arg(&devnet.chain);
            }
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output: Output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words:?}: {out}\n{}", String::from_utf8_lossy(&output.stderr));
        out
    }

    fn api(&self) -> &str {
        self.address.orchestrator.api.as_deref().unwrap()
    }

    async fn leave(mut self) {
        drop(self.up.stdin.take());
        assert!(timeout(PATIENCE, self.up.wait()).await.unwrap().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_sells_a_session_whose_token_is_a_key_and_whose_rest_comes_back() {
    let paid = Paid::start().await;
    let opened = paid.says(&["pay", MODEL, "--endpoint", paid.api(), "--wallet", "user"], None, "").await;
    let token = opened.split("OPENAI_API_KEY=").nth(1).unwrap().split_whitespace().next().unwrap();
    let body = json!({ "model": MODEL, "max_tokens": 4, "messages": [{ "role": "user", "content": "Hello!" }] });
    let chat = reqwest::Client::new().post(format!("{}/chat/completions", paid.api()));
    let answer: Value = chat.bearer_auth(token).json(&body).send().await.unwrap().json().await.unwrap();
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    let refunds = async || paid.says(&["wallet", "refunds", "user"], None, "").await;
    let account = opened.split("account    ").nth(1).unwrap().split_whitespace().next().unwrap();
    let closed = paid.says(&["sessions", "--close", "--endpoint", paid.api()], Some(token), "").await;
    assert!(closed.contains(account), "{closed}");
    let mut shown = refunds().await;
    for _ in 0..60 {
        if shown.contains("is over") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        shown = refunds().await;
    }
    assert!(shown.contains(account) && shown.contains("is over  0.0"), "{shown}");

    // In the terminal: paid with the first question, and closed at the end.
    let chat = ["chat", "--endpoint", paid.api(), "--wallet", "user", "--max-tokens", "4"];
    let said = paid.says(&chat, None, "Hello!\n/quit\n").await;
    assert!(said.contains("served for 0.0") && said.contains("on its way back"), "{said}");
    assert_eq!(refunds().await.matches("/v1/").count(), 2, "two sessions were paid for");
    paid.leave().await;
}
