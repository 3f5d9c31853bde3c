//! The desktop application as a process: killed, on a disk that is full, at a keyring that is locked.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::family::{Family, gone};
use crate::kit::{PATIENCE, model, program};

/// `computepool desktop`, and its page's door.
struct Process {
    child: Child,
    _stdin: ChildStdin,
    _lines: Lines<BufReader<ChildStdout>>,
    api: String,
    token: String,
    client: reqwest::Client,
}

impl Process {
    /// Starts it, by a shell's line where one is given, in which `"$@"` stands for it.
    async fn start(data: &Path, shell: Option<&str>, more: &[&str]) -> Self {
        let mut command = match shell {
            None => Command::new(program()),
            Some(line) => {
                let mut command = Command::new("sh");
                command.args(["-c", line]).arg("sh").arg(program());
                command
            }
        };
        command.args(["desktop", "--supervised", "--data"]).arg(data).args(more);
        command.env("XDG_CACHE_HOME", data.join("cache"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        let text = |name: &str| first[name].as_str().unwrap().to_owned();
        let (api, token) = (text("api"), text("token"));
        Self { child, _stdin: stdin, _lines: lines, api, token, client: reqwest::Client::new() }
    }

    /// What a command says, or its problem.
    async fn ask(&self, name: &str, arguments: Value) -> Result<Value, Value> {
        let request = self.client.post(format!("{}/command/{name}", self.api)).bearer_auth(&self.token);
        let response = request.json(&arguments).send().await.unwrap();
        let good = response.status().is_success();
        let said: Value = response.json().await.unwrap();
        if good { Ok(said) } else { Err(said) }
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        self.ask(name, arguments).await.unwrap()
    }

    /// Asks it to end, and waits until it has.
    async fn quit(mut self) {
        self.call("quit", json!({})).await;
        assert!(tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().success());
    }

    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let status = self.call("status", json!({})).await;
            if holds(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "never {what}: {status:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn conversation(id: &str, length: usize) -> Value {
    json!({"thread": {"id": id, "title": id, "updated_ms": 1, "body": {"text": "x".repeat(length)}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_desk_that_is_killed_takes_its_engine_along_and_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    let trial = ["--trial", "--shards", "2", "--nodes", "1", "--model", &model];
    let mut first = Process::start(folder.path(), None, &trial).await;
    for card in first.call("consents", json!({})).await.as_array().unwrap() {
        first.call("consent_give", json!({"scope": card["scope"], "version": card["version"]})).await;
    }
    let opening = json!({"name": "main", "passphrase": "correct horse"});
    first.call("wallet_create", json!({"name": "main", "passphrase": "correct horse", "place": "file"})).await;
    let mut settings = first.call("settings_get", json!({})).await;
    settings["rules"]["when"] = json!({"kind": "always"});
    first.call("settings_set", json!({ "settings": settings })).await;
    first.call("thread_put", conversation("kept", 100)).await;
    first.call("earn_set", json!({"on": true})).await;
    first.until("linked", |status| status["node"]["id"].is_string()).await;
    let family = Family::now().below(first.child.id().unwrap());
    assert!(family.len() >= 5, "an orchestrator, a node and its engine, a devnet, anvil: {family:?}");
    let account = first.call("wallets", json!({})).await[0]["account"].clone();

    first.child.kill().await.unwrap();
    gone(&family, Duration::from_secs(20)).await;

    let second = Process::start(folder.path(), None, &trial).await;
    let status = second.until("sharing again", |status| status["node"]["id"].is_string()).await;
    assert_eq!(
        (&status["earn"], &status["health"].as_array().unwrap().iter().all(|it| it["good"] == true)),
        (&json!(true), &true)
    );
    assert_eq!(second.call("thread_get", json!({"id": "kept"})).await["body"]["text"].as_str().unwrap().len(), 100);
    let consents = second.call("consents", json!({})).await;
    assert!(consents.as_array().unwrap().iter().all(|card| card["agreed"] == true));
    let wallets = second.call("wallet_unlock", opening).await;
    assert_eq!((&wallets[0]["account"], &wallets[0]["open"]), (&account, &json!(true)));
    let family = Family::now().below(second.child.id().unwrap());
    second.quit().await;
    gone(&family, Duration::from_secs(5)).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn desk_on_a_full_disk_says_so_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // No file may grow beyond 32 KiB, which is what a disk with no room for more comes to.
    let full = r#"trap "" XFSZ; ulimit -f 64; exec "$@""#;
    let desk = Process::start(folder.path(), Some(full), &["--models", "/nonexistent"]).await;
    desk.call("thread_put", conversation("kept", 1_000)).await;
    let problem = desk.ask("thread_put", conversation("kept", 100_000)).await.unwrap_err();
    assert!(problem["hint"].as_str().unwrap().contains("room"), "{problem}");
    assert_eq!(desk.call("thread_get", json!({"id": "kept"})).await["body"]["text"].as_str().unwrap().len(), 1_000);
    // What is small enough is written still.
    desk.call("thread_put", conversation("other", 2_000)).await;
    desk.call("earn_set", json!({"on": true})).await;
    desk.quit().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn desk_at_a_locked_keyring_says_so_and_offers_another_place() {
    let folder = tempfile::tempdir().unwrap();
    // A session of its own, whose keyring nobody has opened; and one that has no keyring at all.
    let home = format!(
        "export HOME={0} XDG_DATA_HOME={0}/share XDG_RUNTIME_DIR={0}/run; mkdir -p -m 700 {0}/run",
        folder.path().display()
    );
    let locked = format!(
        r#"{home}; exec dbus-run-session -- sh -c 'gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1; exec "$@"' sh "$@""#
    );
    let none = format!(r#"{home}; unset DBUS_SESSION_BUS_ADDRESS; exec "$@""#);
    for (name, shell) in [("locked", locked), ("none", none)] {
        let data = folder.path().join(name);
        let desk = Process::start(&data, Some(&shell), &["--models", "/nonexistent"]).await;
        let made = desk.ask("wallet_create", json!({"name": "main", "place": "keyring", "passphrase": null})).await;
        let problem = made.unwrap_err();
        let said = problem["message"].as_str().unwrap();
        assert!(said.contains("keyring"), "{name}: {problem}");
        assert!(problem["hint"].as_str().unwrap().contains("passphrase"), "{name}: {problem}");
        assert_eq!(desk.call("wallets", json!({})).await, json!([]), "{name}: nothing half-made is left");
        desk.call("wallet_create", json!({"name": "main", "place": "file", "passphrase": "correct horse"})).await;
        desk.quit().await;
    }
}
