//! An application in a folder of its own, on a machine that the test describes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use computepool_app::accounts::Secret;
use computepool_app::desktop::{Desktop, DesktopOptions, Host, Notice};
use computepool_core::Fault;
use computepool_sensors::Observation;
use serde_json::Value;
use tokio::sync::watch;

/// A host that remembers what it was asked to show.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) secrets: Mutex<Vec<String>>,
    pub(crate) notices: Mutex<Vec<Notice>>,
    pub(crate) file: Mutex<Option<std::path::PathBuf>>,
    pub(crate) quits: AtomicUsize,
}

impl Host for Recorder {
    fn kind(&self) -> &'static str {
        "headless"
    }
    fn show_secret(&self, _: &str, text: &Secret<String>) -> Result<(), Fault> {
        self.secrets.lock().unwrap().push(text.expose().clone());
        Ok(())
    }
    fn notify(&self, notice: &Notice) {
        self.notices.lock().unwrap().push(notice.clone());
    }
    fn choose_file(&self, _: &str) -> Result<Option<std::path::PathBuf>, Fault> {
        Ok(self.file.lock().unwrap().clone())
    }
    fn quit(&self) {
        self.quits.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct Bench {
    pub(crate) desktop: Desktop,
    pub(crate) host: Arc<Recorder>,
    pub(crate) seen: watch::Sender<Observation>,
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn start() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    pub(crate) fn within(folder: tempfile::TempDir) -> Self {
        let host = Arc::new(Recorder::default());
        let away = Observation { idle: Some(Duration::from_secs(3600)), ..Observation::default() };
        let (seen, seeing) = watch::channel(away);
        let desktop = Desktop::start(DesktopOptions {
            folder: Some(folder.path().join("data")),
            models: Vec::new(),
            engines: None,
            seen: seeing,
            pids: Arc::default(),
            loopback: true,
            chain: Some(folder.path().join("no-chain.json")),
            wallets: None,
            invite: None,
            endpoint: None,
            endpoint_key: None,
            host: host.clone(),
        });
        Self { desktop: desktop.unwrap(), host, seen, folder }
    }

    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Result<Value, Fault> {
        self.desktop.call(name, arguments).await
    }

    /// Waits until the status says something.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let status = self.call("status", Value::Null).await.unwrap();
            if holds(&status) {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "never {what}: {status:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
