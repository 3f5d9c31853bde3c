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

mod chat;
pub mod commands;
mod consents;
mod departure;
mod downloads;
mod forecast;
mod launch;
mod owner;
mod programs;
mod purses;
mod settings;
mod sharing;
mod status;
mod threads;
mod today;
mod traffic;
pub mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use computepool_core::{Amount, Asset, Fault, FaultCode};
use computepool_model::catalogue::ModelSource;
pub use computepool_sensors::Observation;
use computepool_transport::Carried;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::node::half_the_memory;
use crate::node::{Duty, EarnPurse, EarnSettings, NodeSettings};
use crate::paths;
use crate::policy::{Reason, Verdict};
use chat::Chat;
use consents::Ledger;
use downloads::Downloads;
pub use launch::{Launch, Launched};
use owner::Owner;
use programs::Programs;
use programs::keys::Keys;
use programs::log::Requests;
use purses::Purses;
pub use settings::{Electricity, Found, Intent, Look, Settings, SettingsFile, Setup, Sharing, Theme, Using};
use sharing::{Keeper, Plan};
pub use sharing::{SharingPhase, SharingState};
use threads::Threads;
use traffic::Traffic;
pub use wire::{Face, HostEvent, Notice, Problem, Status};

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

    /// Lets the person at the machine choose a file, outside the page; nothing where none was chosen. Blocks.
    fn choose_file(&self, _title: &str) -> Result<Option<PathBuf>, Fault> {
        Err(unknown("this host shows no files".to_owned()).hint("use `computepool wallet import`"))
    }

    /// Ends the application in order: what runs is handed over first. Returns at once.
    fn quit(&self);

    /// Whether there is a tray to be found in; nothing where that is no question.
    fn tray(&self) -> Option<bool> {
        None
    }

    /// Whether it starts when its owner logs in, by the system's own word; nothing where it cannot.
    fn autostart(&self) -> Option<bool> {
        None
    }

    /// Has it start when its owner logs in, or not any more.
    fn set_autostart(&self, _on: bool) -> Result<(), Fault> {
        Err(unknown("this host is not started by a login".to_owned()))
    }
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
    /// The invite to the network to serve in, where the owner has named no other.
    pub invite: Option<String>,
    /// The endpoint to ask, where the owner has named no other.
    pub endpoint: Option<String>,
    /// A key to that endpoint, for an owner who runs it.
    pub endpoint_key: Option<String>,
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
    purses: Purses,
    chat: Chat,
    threads: Threads,
    verdict: watch::Receiver<Verdict>,
    sharing: watch::Receiver<SharingState>,
    plan: watch::Sender<Plan>,
    traffic: Arc<Mutex<Traffic>>,
    today: watch::Sender<Option<today::Earned>>,
    keys: Keys,
    requests: Requests,
    downloads: Downloads,
    programs: watch::Sender<Programs>,
    events: broadcast::Sender<HostEvent>,
    invited: Mutex<Option<String>>,
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
        let wallets = options.wallets.clone().unwrap_or_else(|| folder.join("wallets"));
        let purses = Purses::within(wallets, options.chain.clone());
        let (threads, keys) = (Threads::within(&folder), Keys::within(&folder));
        let (events, _) = broadcast::channel(EVENTS);
        let inner = Inner {
            folder,
            options,
            file,
            trouble,
            settings,
            agreed,
            consents,
            purses,
            chat: Chat::default(),
            threads,
            verdict,
            sharing,
            plan,
            traffic,
            today: watch::Sender::new(None),
            keys,
            requests: Requests::default(),
            downloads: Downloads::default(),
            programs: watch::Sender::default(),
            events,
            invited: Mutex::default(),
            stop,
            tasks: Mutex::default(),
        };
        let desktop = Self(Arc::new(inner));
        desktop.plan_anew()?;
        let tasks = [
            tokio::spawn(owner.run()),
            tokio::spawn(keeper.run()),
            tokio::spawn(status::tell(desktop.clone())),
            tokio::spawn(today::watch(desktop.clone())),
            tokio::spawn(programs::keep(desktop.clone())),
        ];
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

    /// Somebody has opened an invite link. It is shown to the owner; nothing is joined by a link alone.
    pub fn offer_invite(&self, link: &str) -> Result<(), Fault> {
        let invite: computepool_core::Invite = link.parse()?;
        *self.0.invited.lock().unwrap_or_else(PoisonError::into_inner) = Some(invite.to_string());
        Ok(())
    }

    fn answer_invite(&self, join: bool) -> Result<(), Fault> {
        let invited = self.0.invited.lock().unwrap_or_else(PoisonError::into_inner).take();
        match invited.filter(|_| join) {
            Some(invite) => self.set(|settings| settings.sharing.invite = Some(invite)).map(|_| ()),
            None => Ok(()),
        }
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
        self.0.chat.stop_all();
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
        let options = &self.0.options;
        let Some(invite) = sharing.invite.as_ref().or(options.invite.as_ref()) else { return Ok(None) };
        let earn = match &sharing.wallet {
            None => None,
            Some(wallet) => match self.0.purses.purse(wallet) {
                Ok(purse) => Some(EarnSettings {
                    chain: self.0.purses.card_path()?,
                    purse: EarnPurse::Open(purse),
                    least_per_hour: match sharing.least_per_hour.as_str() {
                        "" => Amount::zero(Asset::Usdc),
                        text => Amount::parse(text, Asset::Usdc)?,
                    },
                }),
                // Nobody works for nothing because a wallet is locked.
                Err(_) => return Ok(None),
            },
        };
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
            models: self.model_sources(),
            shelf: sharing.disk_gb.map(|gb| crate::ShelfSettings {
                folder: self.0.folder.join("weights"),
                max_bytes: Some(u64::from(gb) * 1_000_000_000),
                download_limit: None,
                upload_limit: settings.rules.upload_kib_s.map(|kib| u64::from(kib) << 10),
            }),
            layers: None,
            memory_bytes: sharing.memory_mb.map(|mb| u64::from(mb) << 20),
            threads: sharing.threads.unwrap_or_else(spare_threads),
            earn,
            engines: options.engines.clone(),
        }))
    }
}

impl Desktop {
    /// Bytes that this machine could offer: those of its GPU, less the owner's reserve, or half of its own.
    fn memory(&self) -> u64 {
        let rules = self.settings().rules;
        let seen = self.0.options.seen.borrow();
        let shared = seen.gpus.iter().filter(|gpu| !rules.kept_gpus.contains(&gpu.id));
        let largest = shared.filter_map(|gpu| gpu.memory_total).max();
        largest.map_or_else(half_the_memory, |bytes| bytes.saturating_sub(u64::from(rules.memory_reserve_mb) << 20))
    }
}

impl computepool_api::Commands for Desktop {
    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(Desktop::call(self, name, arguments))
    }

    fn events(&self) -> BoxStream<'static, String> {
        let events = tokio_stream::wrappers::BroadcastStream::new(Desktop::events(self));
        // Who was too slow to hear everything asks for everything.
        let lines = events.map(|event| match event {
            Ok(event) => serde_json::to_string(&event).unwrap_or_default(),
            Err(_) => r#"{"kind":"settings"}"#.to_owned(),
        });
        Box::pin(lines)
    }
}

/// All but one: whoever sits at the machine has that.
fn spare_threads() -> u32 {
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(all.saturating_sub(1).max(1)).unwrap_or(1)
}

/// How long a part of the application may take to end.
const QUIT: Duration = Duration::from_secs(30);

/// A fault of somebody who asks for what there is not.
fn unknown(what: String) -> Fault {
    Fault::new(FaultCode::InvalidRequest, what)
}
