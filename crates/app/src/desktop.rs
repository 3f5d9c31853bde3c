//! The desktop application without its shell: what is behind the tray and the window.
//!
//! ```text
//!  sensors ─→ Owner (policy) ─→ verdict ─→ Keeper ─→ the node, its engine
//!  settings ─┘                     │          │
//!                                  └── Status ┴─→ tray, window, page
//!  page ─→ command table ─→ settings, consents, wallet, chats, …
//! ```
//!
//! A [`Host`] is what carries it: the tray application, or the headless host that serves the page on loopback. Both reach it
//! through [`Desktop::call`], the one table of [`commands`], and hear of changes through [`Desktop::events`].

pub mod commands;
mod consents;
mod owner;
mod settings;
mod sharing;
mod status;
mod traffic;
pub mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use computepool_core::{Fault, FaultCode};
use computepool_model::catalogue::ModelSource;
use computepool_sensors::Observation;
use computepool_transport::Carried;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::node::{Duty, NodeSettings};
use crate::paths;
use crate::policy::{Reason, Verdict};
use consents::Ledger;
use owner::Owner;
pub use settings::{Electricity, Found, Intent, Look, Settings, SettingsFile, Setup, Sharing, Theme, Using};
use sharing::{Keeper, Plan};
pub use sharing::{SharingPhase, SharingState};
use traffic::Traffic;
pub use wire::{HostEvent, Notice};

/// Events that wait for a slow page; older ones are dropped, and the page asks for everything anew.
const EVENTS: usize = 256;

/// What only the carrier of the application can do.
pub trait Host: Send + Sync {
    /// How it is called: `desktop` or `headless`.
    fn kind(&self) -> &'static str;

    /// Shows a secret to the person at the machine, outside the page, and returns once it has been dismissed. Blocks.
    fn show_secret(&self, title: &str, text: &computepool_wallet::Secret<String>) -> Result<(), Fault>;

    /// Says something where the system shows such things.
    fn notify(&self, notice: &Notice);
}

/// What a desktop application starts from.
pub struct DesktopOptions {
    /// Where settings, wallets and conversations are; the user's data folder where none is named.
    pub folder: Option<PathBuf>,
    /// The models on the disk.
    pub models: Vec<ModelSource>,
    /// The folder of the engine executables; that of this program where none is named.
    pub engines: Option<PathBuf>,
    /// What the machine says.
    pub seen: watch::Receiver<Observation>,
    /// Our own processes, for those who look at what others use.
    pub pids: Arc<Mutex<Vec<u32>>>,
    /// Listens on loopback only, and looks for nobody on the network.
    pub loopback: bool,
    /// The chain's card, by its name or its file; the user's where none is named.
    pub chain: Option<PathBuf>,
    /// The folder of wallets; within [`Self::folder`] where none is named.
    pub wallets: Option<PathBuf>,
    /// What carries it.
    pub host: Arc<dyn Host>,
}

/// The application. Clones are handles to the same.
#[derive(Clone)]
pub struct Desktop(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    options: DesktopOptions,
    file: SettingsFile,
    trouble: Option<String>,
    settings: watch::Sender<Settings>,
    agreed: watch::Sender<bool>,
    consents: Ledger,
    verdict: watch::Receiver<Verdict>,
    sharing: watch::Receiver<SharingState>,
    plan: watch::Sender<Plan>,
    traffic: Arc<Mutex<Traffic>>,
    events: broadcast::Sender<HostEvent>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Desktop {
    /// Starts it. Nothing is shared before its owner has agreed to that and switched it on.
    pub fn start(options: DesktopOptions) -> Result<Self, Fault> {
        let folder = match options.folder.clone() {
            Some(folder) => folder,
            None => paths::data_folder()?,
        };
        paths::make_folder(&folder)?;
        let file = SettingsFile::within(&folder);
        let Found { settings, trouble } = file.read()?;
        let consents = Ledger::within(&folder)?;
        let agreed = consents.agreed(consents::Scope::Share)?;
        let traffic = Arc::new(Mutex::new(Traffic::within(&folder)));
        let stop = CancellationToken::new();
        let (settings, set) = watch::channel(settings);
        let (agreed, agreeing) = watch::channel(agreed);
        let (carried, carrying) = watch::channel(Carried::default());
        let first = Verdict { duty: Duty::Release, reasons: vec![Reason::EarnOff] };
        let (judging, verdict) = watch::channel(first);
        let (telling, sharing) = watch::channel(SharingState::default());
        let (plan, planned) = watch::channel(None);
        let owner = Owner {
            seen: options.seen.clone(),
            settings: set,
            agreed: agreeing,
            carried: carrying,
            traffic: traffic.clone(),
            verdict: judging,
            stop: stop.clone(),
        };
        let keeper = Keeper {
            plan: planned,
            verdict: verdict.clone(),
            state: telling,
            carried,
            pids: options.pids.clone(),
            stop: stop.clone(),
        };
        let (events, _) = broadcast::channel(EVENTS);
        let inner = Inner {
            folder,
            options,
            file,
            trouble,
            settings,
            agreed,
            consents,
            verdict,
            sharing,
            plan,
            traffic,
            events,
            stop,
            tasks: Mutex::default(),
        };
        let desktop = Self(Arc::new(inner));
        desktop.plan_anew()?;
        let tasks =
            [tokio::spawn(owner.run()), tokio::spawn(keeper.run()), tokio::spawn(status::tell(desktop.clone()))];
        desktop.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(desktop)
    }

    /// What happens, from now on.
    pub fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.0.events.subscribe()
    }

    /// The settings that hold.
    pub fn settings(&self) -> Settings {
        self.0.settings.borrow().clone()
    }

    /// Sets something: written down first, then done.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, Fault> {
        let mut settings = self.settings();
        change(&mut settings);
        settings.check()?;
        self.0.file.write(&settings)?;
        let shared = self.0.settings.borrow().sharing != settings.sharing
            || self.0.settings.borrow().rules.memory_reserve_mb != settings.rules.memory_reserve_mb;
        self.0.settings.send_replace(settings.clone());
        if shared {
            self.plan_anew()?;
        }
        self.tell(HostEvent::Settings);
        Ok(settings)
    }

    /// The verdict that holds.
    pub fn verdict(&self) -> Verdict {
        self.0.verdict.borrow().clone()
    }

    /// The verdict, and every next one.
    pub fn verdicts(&self) -> watch::Receiver<Verdict> {
        self.0.verdict.clone()
    }

    /// How the node is.
    pub fn sharing(&self) -> watch::Receiver<SharingState> {
        self.0.sharing.clone()
    }

    /// Hands everything over, and ends.
    pub async fn quit(&self) {
        self.0.stop.cancel();
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if tokio::time::timeout(QUIT, task).await.is_err() {
                tracing::warn!("something did not end in time");
            }
        }
        self.0.traffic.lock().unwrap_or_else(PoisonError::into_inner).save();
    }

    fn tell(&self, event: HostEvent) {
        // Nobody may be listening.
        let _ = self.0.events.send(event);
    }

    /// What is to run follows from the settings.
    fn plan_anew(&self) -> Result<(), Fault> {
        let plan = self.node_settings()?;
        let same = |old: &Plan| match (old, &plan) {
            (None, None) => true,
            (Some(old), Some(new)) => format!("{old:?}") == format!("{new:?}"),
            _ => false,
        };
        if !same(&self.0.plan.borrow()) {
            self.0.plan.send_replace(plan);
        }
        Ok(())
    }

    fn node_settings(&self) -> Result<Plan, Fault> {
        let settings = self.settings();
        let sharing = &settings.sharing;
        let Some(invite) = &sharing.invite else { return Ok(None) };
        let options = &self.0.options;
        let spare = std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1)) as u32;
        let everywhere = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
        let loopback = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"];
        let listen = if options.loopback { loopback } else { everywhere };
        Ok(Some(NodeSettings {
            name: if sharing.name.is_empty() { "desktop".to_owned() } else { sharing.name.clone() },
            identity: Some(self.0.folder.join("node.key")),
            listen: listen.map(str::to_owned).to_vec(),
            external: Vec::new(),
            join: invite.parse()?,
            outward: !options.loopback,
            models: options.models.clone(),
            shelf: sharing.disk_gb.map(|gb| crate::ShelfSettings {
                folder: self.0.folder.join("weights"),
                max_bytes: Some(u64::from(gb) * 1_000_000_000),
                download_limit: None,
                upload_limit: settings.rules.upload_kib_s.map(|kib| u64::from(kib) << 10),
            }),
            layers: None,
            memory_bytes: sharing.memory_mb.map(|mb| u64::from(mb) << 20),
            threads: sharing.threads.unwrap_or(spare),
            earn: None,
            engines: options.engines.clone(),
        }))
    }
}

/// How long a part of the application may take to end.
const QUIT: Duration = Duration::from_secs(30);

/// A fault of somebody who asks for what there is not.
fn unknown(what: String) -> Fault {
    Fault::new(FaultCode::InvalidRequest, what)
}
