//! The desktop application while what it depends on breaks: it says what is wrong, and goes on when that is over.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_app::accounts::Secret;
use computepool_app::desktop::Observation;
use computepool_app::desktop::{Desktop, DesktopOptions, Host, Notice};
use computepool_app::orchestrator::OrchestratorAddress;
use computepool_app::policy::When;
use computepool_app::supervised::Supervised;
use computepool_core::Fault;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::family::Family;
use crate::kit::{MODEL, PATIENCE, model, program};

/// Nobody is at the machine to be shown anything.
struct Nobody;

impl Host for Nobody {
    fn kind(&self) -> &'static str {
        "headless"
    }
    fn show_secret(&self, _: &str, _: &Secret<String>) -> Result<(), Fault> {
        Ok(())
    }
    fn notify(&self, _: &Notice) {}
    fn quit(&self) {}
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An orchestrator that comes back as the same one.
struct Orchestrator {
    process: Supervised,
    address: OrchestratorAddress,
    arguments: Vec<String>,
    log: std::path::PathBuf,
}

impl Orchestrator {
    async fn start(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let arguments = [
            ("--listen", format!("/ip4/127.0.0.1/tcp/{}", free_port())),
            ("--api", format!("127.0.0.1:{}", free_port())),
            ("--identity", path("orchestrator.key")),
            ("--state", path("orchestrator.db")),
            ("--model", model()),
            ("--shards", "1".to_owned()),
            ("--context", "1024".to_owned()),
            ("--kv-mb", "64".to_owned()),
        ];
        let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        let arguments: Vec<String> =
            ["orchestrator", "--supervised", "--loopback"].map(str::to_owned).into_iter().chain(arguments).collect();
        let log = folder.join("orchestrator.log");
        let (process, address) = Supervised::start("orchestrator", &program(), &arguments, &log).await.unwrap();
        Self { process, address, arguments, log }
    }

    async fn start_again(&mut self) {
        let (process, _) =
            Supervised::start::<OrchestratorAddress>("orchestrator", &program(), &self.arguments, &self.log)
                .await
                .unwrap();
        self.process = process;
    }

    /// Has it fall silent, or speak again: nothing is closed, as when a cable is pulled.
    fn signal(&self, name: &str) {
        let pid = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

struct Desk {
    desktop: Desktop,
    orchestrator: Orchestrator,
    _folder: tempfile::TempDir,
    _seen: watch::Sender<Observation>,
}

impl Desk {
    /// One that serves the whole model by itself.
    async fn serving() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let orchestrator = Orchestrator::start(folder.path()).await;
        let (seen, seeing) = watch::channel(Observation::default());
        let desktop = Desktop::start(DesktopOptions {
            folder: Some(folder.path().join("data")),
            models: vec![model().parse().unwrap()],
            engines: program().parent().map(Path::to_owned),
            seen: seeing,
            pids: Arc::default(),
            loopback: true,
            chain: Some(folder.path().join("no-chain.json")),
            wallets: None,
            invite: Some(orchestrator.address.invite.to_string()),
            endpoint: orchestrator.address.api.clone(),
            endpoint_key: None,
            host: Arc::new(Nobody),
        })
        .unwrap();
        let desk = Self { desktop, orchestrator, _folder: folder, _seen: seen };
        for card in desk.call("consents", Value::Null).await.as_array().unwrap() {
            desk.call("consent_give", json!({"scope": card["scope"], "version": card["version"]})).await;
        }
        desk.desktop.set(|settings| settings.rules.when = When::Always).unwrap();
        desk.call("earn_set", json!({"on": true})).await;
        desk.until("serving", |status| status["node"]["phase"] == "serving").await;
        desk
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        self.desktop.call(name, arguments).await.unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let status = self.call("status", Value::Null).await;
            if holds(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "never {what}: {status:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks in the playground until an answer is whole; what goes wrong meanwhile must say what.
    async fn answer(&self, name: &str) -> String {
        let began = Instant::now();
        loop {
            match self.ask(name).await {
                Ok(text) => return text,
                Err(problem) => assert!(!problem["message"].as_str().unwrap().is_empty(), "{problem}"),
            }
            assert!(began.elapsed() < PATIENCE, "no answer");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn ask(&self, name: &str) -> Result<String, Value> {
        let mut events = self.desktop.events();
        let question = json!({
            "answer": name, "model": MODEL, "messages": [{"role": "user", "content": "Name a colour."}],
            "sampling": {"temperature": 0.0, "max_tokens": 12},
        });
        self.desktop.call("chat_start", question).await.map_err(|fault| json!({"message": fault.message}))?;
        let mut text = String::new();
        loop {
            let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
            let event = serde_json::to_value(event).unwrap();
            if event["kind"] != "answer" {
                continue;
            }
            match event["piece"]["kind"].as_str().unwrap() {
                "text" => text.push_str(event["piece"]["text"].as_str().unwrap()),
                "done" => return Ok(text),
                _ => return Err(event["piece"]["problem"].clone()),
            }
        }
    }

    async fn leave(self) {
        self.desktop.quit().await;
        assert!(self.orchestrator.process.leave().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_desk_whose_engine_is_killed_says_so_and_serves_again() {
    let desk = Desk::serving().await;
    let right = desk.answer("before").await;
    let pid = desk.call("status", Value::Null).await["node"]["engine_pid"].as_u64().unwrap();
    Family::now().kill(u32::try_from(pid).unwrap());
    let status = desk.until("telling of the loss", |status| status["node"]["engine_losses"] == 1).await;
    assert_eq!(status["health"][0]["code"], "engine", "{status:#}");
    desk.until("serving", |status| {
        status["node"]["phase"] == "serving" && status["node"]["engine_pid"].as_u64().is_some_and(|now| now != pid)
    })
    .await;
    assert_eq!(desk.answer("after").await, right);
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_desk_whose_orchestrator_is_killed_says_so_and_finds_it_again() {
    let mut desk = Desk::serving().await;
    let right = desk.answer("before").await;
    desk.orchestrator.process.kill().await;
    let status = desk.until("offline", |status| status["node"]["phase"] == "unreachable").await;
    assert_eq!(status["face"], "offline", "{status:#}");
    assert!(status["sentence"].as_str().unwrap().starts_with("Offline: "), "{status:#}");
    assert!(status["node"]["problem"]["hint"].is_string(), "{status:#}");
    let problem = desk.ask("meanwhile").await.unwrap_err();
    assert!(problem["message"].as_str().unwrap().contains("cannot be reached"), "{problem}");
    desk.orchestrator.start_again().await;
    desk.until("serving", |status| status["node"]["phase"] == "serving" && status["face"] == "earning").await;
    assert_eq!(desk.answer("after").await, right);
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_desk_whose_network_falls_silent_says_so_and_finds_it_again() {
    let desk = Desk::serving().await;
    let right = desk.answer("before").await;
    desk.orchestrator.signal("-STOP");
    let status = desk.until("offline", |status| status["node"]["phase"] == "unreachable").await;
    assert_eq!((&status["face"], &status["earn"]), (&json!("offline"), &json!(true)), "{status:#}");
    desk.orchestrator.signal("-CONT");
    desk.until("serving", |status| status["node"]["phase"] == "serving").await;
    assert_eq!(desk.answer("after").await, right);
    desk.leave().await;
}
