//! A network of which the desktop is a part, and somebody who asks it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_app::cluster::{Cluster, ClusterSettings};
use computepool_app::desktop::{Desktop, DesktopOptions, Host, Notice};
use computepool_app::endpoint::{Endpoint, Piece};
use computepool_app::{ModelSource, sample_model_path};
use computepool_core::Fault;
use computepool_core::ports::NetworkStatus;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::machine::Machine;

/// Nobody looks.
struct Nobody;

impl Host for Nobody {
    fn kind(&self) -> &'static str {
        "headless"
    }
    fn show_secret(&self, _: &str, _: &computepool_app::accounts::Secret<String>) -> Result<(), Fault> {
        Ok(())
    }
    fn notify(&self, _: &Notice) {}
    fn quit(&self) {}
}

/// An answer as somebody got it.
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) longest_pause: Duration,
}

pub(crate) struct Ring {
    cluster: Cluster,
    endpoint: Arc<Endpoint>,
    pub(crate) desktop: Desktop,
    logs: tempfile::TempDir,
}

const TOKENS: u32 = 400;
const PATIENCE: Duration = Duration::from_secs(120);

impl Ring {
    pub(crate) async fn start(machine: &Machine) -> Self {
        let logs = tempfile::tempdir().unwrap();
        let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        let model = format!("smollm2-135m-instruct={}", sample_model_path().unwrap().display());
        let settings = ClusterSettings {
            program: folder.join("computepool"),
            model: model.clone(),
            shards: 2,
            nodes: None,
            threads: 1,
            kv_bytes: 256 << 20,
            max_context: 2048,
            api: "127.0.0.1:0".to_owned(),
            key: None,
            orchestrator_arguments: Vec::new(),
            paid: false,
            logs: logs.path().to_owned(),
        };
        let mut cluster = Cluster::start(&settings).await.unwrap();
        cluster.ready(|_| ()).await.unwrap();
        let addresses = cluster.address().addresses.clone();
        cluster.nodes().add(&settings, &addresses, "spare", None).await.unwrap();
        let source: ModelSource = model.parse().unwrap();
        let desktop = Desktop::start(DesktopOptions {
            folder: Some(machine.data()),
            models: vec![source],
            engines: Some(folder),
            seen: machine.sensors.watch(),
            pids: machine.pids.clone(),
            loopback: true,
            chain: None,
            wallets: None,
            invite: None,
            endpoint: None,
            endpoint_key: None,
            host: Arc::new(Nobody),
        });
        let desktop = desktop.unwrap();
        desktop.call("consent_give", json!({"scope": "share", "version": "1"})).await.unwrap();
        let invite = cluster.address().invite.to_string();
        let set = desktop.set(|settings| {
            settings.sharing.name = "desktop".to_owned();
            settings.sharing.invite = Some(invite);
            settings.sharing.threads = Some(1);
            settings.rules.when = computepool_app::policy::When::Always;
            settings.sharing.earn = true;
        });
        set.unwrap();
        let endpoint = Arc::new(Endpoint::new(cluster.api(), None));
        let mut ring = Self { cluster, endpoint, desktop, logs };
        ring.redundant().await;
        ring
    }

    async fn network(&self) -> NetworkStatus {
        let network = self.endpoint.get("/network").await.unwrap();
        serde_json::from_value(network).unwrap()
    }

    /// Waits until every place has a spare, the desktop being one of the four.
    pub(crate) async fn redundant(&mut self) {
        let began = Instant::now();
        loop {
            let network = self.network().await;
            if network.pools[0].spares == Some(1) && network.nodes.iter().any(|node| node.name == "desktop") {
                return;
            }
            let status = self.desktop.status();
            assert!(began.elapsed() < PATIENCE, "never complete: {network:?} {status:?} {:?}", self.logs.path());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn ask(&self) -> JoinHandle<Answer> {
        let endpoint = self.endpoint.clone();
        let body = json!({
            "model": "smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "Tell a long story about a lighthouse."}],
            "temperature": 0.8, "seed": 7, "max_tokens": TOKENS, "ignore_eos": true,
        });
        tokio::spawn(async move {
            let mut answer = Answer { text: String::new(), longest_pause: Duration::ZERO };
            let mut last: Option<Instant> = None;
            let told = endpoint.chat(&body, |piece| match piece {
                Piece::Text(text) => {
                    let now = Instant::now();
                    let pause = last.replace(now).map_or(Duration::ZERO, |last| now - last);
                    answer.longest_pause = answer.longest_pause.max(pause);
                    answer.text.push_str(&text);
                }
                Piece::Finish(reason) => answer.text.push_str(&format!("[{reason}]")),
                Piece::Usage(..) => {}
            });
            if let Err(fault) = told.await {
                answer.text.push_str(&format!("[{fault}]"));
            }
            answer
        })
    }

    /// What the answer is when nothing happens.
    pub(crate) async fn answer(&self) -> String {
        let text = self.ask().await.unwrap().text;
        assert!(text.ends_with("[length]") || text.ends_with("[stop]"), "{text}");
        text
    }

    /// Asks until the desktop takes part in an answer that has begun.
    pub(crate) async fn ask_until_served(&mut self) -> Vec<JoinHandle<Answer>> {
        for _ in 0..20 {
            let mut answers = vec![self.ask(), self.ask()];
            tokio::time::sleep(Duration::from_millis(700)).await;
            let network = self.network().await;
            if network.nodes.iter().any(|node| node.name == "desktop" && node.generations > 0) {
                return answers;
            }
            for answer in &mut answers {
                answer.await.unwrap();
            }
        }
        panic!("the desktop is never asked");
    }

    /// Ends everything; whether all of it ended in order.
    pub(crate) async fn leave(self) -> bool {
        self.desktop.quit().await;
        self.cluster.leave().await
    }
}
