//! A node: its engine, its lanes, and its link to the orchestrator, kept up for as long as it runs.

mod advert;
mod benchmark;
mod keeper;
mod operator;
mod speed;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::{Engine as _, SystemClock};
use computepool_core::{Fault, FaultCode, Invite, LayerRange, NodeId};
use computepool_engine::client::{EngineClient, EngineLaunch, EngineSnapshot, Timing};
use computepool_engine::pipe::DeviceChoice;
use computepool_model::catalogue::ModelSource;
use computepool_node::{ExitReason, Feed, SharedEngine};
use computepool_transport::lanes::{AcceptLimits, HopLinks, LaneOptions};
use computepool_transport::{Carried, Network, NetworkOptions};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::identity::{IdentityLock, identity};
use crate::models;
use crate::paths::cache_folder;
use crate::stock::{ShelfSettings, Stock, Supplied};
use advert::{Announcer, Offer};
pub use benchmark::{Measured, benchmark};
pub use keeper::{Duty, Link};
use keeper::{Keeper, USAGE_EVERY};
use operator::Operator;
pub use operator::{EarnPurse, EarnSettings};
use speed::Conditions;

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// What its owner calls it.
    pub name: String,
    /// Where its identity is kept; `None` makes one for this run.
    pub identity: Option<PathBuf>,
    /// Where neighbours reach it, as multiaddresses.
    pub listen: Vec<String>,
    /// Public addresses of this machine that its owner knows of, as multiaddresses.
    pub external: Vec<String>,
    /// The orchestrator, and the relays to be reached through.
    pub join: Invite,
    /// Reach beyond this machine: relays, hole punching, port mapping, discovery on the local network.
    pub outward: bool,
    /// The models on its disk.
    pub models: Vec<ModelSource>,
    /// Where weights go that it fetches; `None` fetches none and gives none to others.
    pub shelf: Option<ShelfSettings>,
    /// The only layers it will serve, where its owner insists.
    pub layers: Option<LayerRange>,
    /// Bytes it offers for weights and KV; `None` offers nine tenths of the GPU's free memory, or without a GPU half of
    /// the machine's memory.
    pub memory_bytes: Option<u64>,
    /// Processor threads for the engine.
    pub threads: u32,
    /// Who is paid for its work; nobody where its owner lends it.
    pub earn: Option<EarnSettings>,
    /// The folder the engine executables are in; `None` is that of this program.
    pub engines: Option<PathBuf>,
}

/// How a running node is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeAddress {
    /// Its peer id.
    pub node: NodeId,
    /// Multiaddresses it listens on.
    pub addresses: Vec<String>,
}

/// A running node.
pub struct RunningNode {
    address: NodeAddress,
    network: Network,
    engine: Arc<EngineClient>,
    duty: watch::Sender<Duty>,
    link: watch::Sender<Link>,
    leaving: CancellationToken,
    keeper: tokio::task::JoinHandle<ExitReason>,
    _identity: IdentityLock,
}

/// How long an engine may take to end by itself: what it knows is worth nothing by then.
const ENGINE_STOP: Duration = Duration::from_millis(300);

/// What is offered where the system does not say how much memory it has.
const FALLBACK_MEMORY: u64 = 2 << 30;

impl RunningNode {
    /// Starts one. It keeps trying to reach its orchestrator until it is told to leave.
    pub async fn start(settings: NodeSettings) -> Result<Self, Fault> {
        let (identity, lock) = identity(settings.identity.as_deref())?;
        let catalogue = models::scan(settings.models.clone()).await?;
        if catalogue.entries().is_empty() && settings.shelf.is_none() {
            return Err(Fault::new(FaultCode::ModelNotFound, "this node has no model on its disk, and fetches none")
                .hint(
                    "name a GGUF file, a Hugging Face folder, or a folder of such with --models, or say with --fetch \
                       where fetched weights may go",
                ));
        }
        let operator = match settings.earn.clone() {
            Some(earn) => Some(Arc::new(open_wallet(earn).await?)),
            None => None,
        };
        let network_options = settings.network();
        let issuer = settings.join.orchestrator.clone();
        let upload_limit = settings.shelf.as_ref().and_then(|shelf| shelf.upload_limit);
        let stock = Stock::open(&catalogue, settings.shelf, &issuer)?;
        let engines = match settings.engines.clone() {
            Some(folder) => folder,
            None => own_folder()?,
        };
        let chosen = EngineLaunch::choose(&engines).await?;
        let best = chosen.devices.first();
        let device = best.map_or(DeviceChoice::Cpu, |report| report.device);
        let memory_bytes = match (settings.memory_bytes, best.and_then(|report| report.memory_bytes)) {
            (Some(offered), _) => offered,
            (None, Some(free)) => free / 10 * 9,
            (None, None) if device == DeviceChoice::Cpu => half_the_memory(),
            (None, None) => {
                return Err(Fault::new(FaultCode::InvalidRequest, "the GPU does not say how much memory it has")
                    .hint("say with --memory-mb how much of it to offer"));
            }
        };
        let launch = EngineLaunch {
            threads: settings.threads,
            device,
            timing: Timing { ping: USAGE_EVERY, stop: ENGINE_STOP, ..Timing::default() },
            ..EngineLaunch::new(chosen.executable.clone(), stock.lookup())
        };
        let (engine, events) = EngineClient::start(launch);
        let conditions = Conditions {
            engine: format!("{} {}", chosen.executable.display(), env!("CARGO_PKG_VERSION")),
            device: format!("{device:?}"),
            threads: settings.threads,
        };
        let folder = cache_folder()?.join("speeds");
        let whole: Vec<_> = catalogue.entries().iter().map(|entry| entry.summary.hash).collect();
        let speeds = speed::speeds(&*engine, whole, &conditions, folder).await;
        let network = Network::start(&identity, network_options).await?;
        let links = HopLinks::new(network.clone(), LaneOptions::default());
        let lanes = links.accept(issuer.clone(), Arc::new(SystemClock), AcceptLimits::default()).await?;
        let address = NodeAddress { node: network.node().clone(), addresses: network.addresses() };
        let leaving = CancellationToken::new();
        let identity = Arc::new(identity);
        let offer = Offer {
            name: settings.name,
            device: best.map_or_else(|| "CPU".to_owned(), |report| report.name.clone()),
            memory_bytes,
            layers: settings.layers,
            price_per_hour: 0,
            upload_limit,
            speeds,
            operator: operator.as_ref().map(|operator| operator.account()),
        };
        let announcer = Announcer::new(identity.clone(), network.clone(), offer, stock.clone());
        tokio::spawn(announcer.clone().run(leaving.clone()));
        let supplied = stock.supplied(&network).await?;
        tokio::spawn(announced(supplied.clone(), leaving.clone()));
        let (duty, on_duty) = watch::channel(Duty::default());
        let link = watch::Sender::new(Link::default());
        let keeper = Keeper {
            identity,
            issuer,
            addresses: settings.join.addresses,
            network: network.clone(),
            engine: SharedEngine::new(engine.clone(), events),
            snapshot: engine.snapshot(),
            links: Arc::new(links),
            lanes: Feed::new(lanes),
            weights: Some(supplied),
            announcer,
            operator,
            duty: on_duty,
            link: link.clone(),
            leaving: leaving.clone(),
        };
        Ok(Self { address, network, engine, duty, link, leaving, keeper: tokio::spawn(keeper.run()), _identity: lock })
    }

    /// How it is known.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// What its engine process uses.
    pub fn engine(&self) -> watch::Receiver<EngineSnapshot> {
        self.engine.snapshot()
    }

    /// Whether it is linked to its orchestrator.
    pub fn link(&self) -> Link {
        self.link.borrow().clone()
    }

    /// What went over the network since it was started.
    pub fn carried(&self) -> Carried {
        self.network.carried()
    }

    /// Says what it is to do with its machine from now on. Returns at once; the engine's snapshot shows when its memory is
    /// given back.
    pub fn set_duty(&self, duty: Duty) {
        self.duty.send_if_modified(|old| std::mem::replace(old, duty) != duty);
    }

    /// Waits until the node has ended without being told to, and says why. Losing its orchestrator does not end it.
    pub async fn ended(&mut self) -> ExitReason {
        (&mut self.keeper).await.unwrap_or(ExitReason::Panicked)
    }

    /// Finishes what runs and stops.
    pub async fn leave(mut self) {
        self.leaving.cancel();
        if !self.keeper.is_finished() {
            (&mut self.keeper).await.ok();
        }
        self.engine.stop().await;
        self.network.shutdown().await;
    }
}

/// Opening a wallet takes a moment, and may ask a person.
async fn open_wallet(earn: EarnSettings) -> Result<Operator, Fault> {
    let opened = tokio::task::spawn_blocking(move || Operator::open(&earn)).await;
    opened.map_err(|error| Fault::new(FaultCode::Internal, format!("the wallet was not opened: {error}")))?
}

/// Says what is on the disk as soon as there is a table to say it in: peers come before they can be told.
async fn announced(supplied: Arc<Supplied>, stop: CancellationToken) {
    const SETTLE: Duration = Duration::from_secs(5);
    let announcing = async {
        tokio::time::sleep(SETTLE).await;
        supplied.announce().await;
    };
    stop.run_until_cancelled(announcing).await;
}

impl NodeSettings {
    fn network(&self) -> NetworkOptions {
        let reach = if self.outward { NetworkOptions::wide() } else { NetworkOptions::default() };
        NetworkOptions {
            listen: self.listen.clone(),
            external: self.external.clone(),
            relays: self.join.relays.clone(),
            ..reach
        }
    }
}

/// An invite made of `…/p2p/ID` addresses, which must share one id.
pub fn invite(addresses: &[String]) -> Result<Invite, Fault> {
    let bad = |what: String| {
        Fault::new(FaultCode::InvalidRequest, what)
            .hint("an orchestrator's address looks like /ip4/203.0.113.7/tcp/4001/p2p/12D3Koo…")
    };
    let mut found: Option<NodeId> = None;
    let mut dial = Vec::new();
    for address in addresses {
        let (place, id) = address.rsplit_once("/p2p/").ok_or_else(|| bad(format!("{address} names no peer id")))?;
        let id = NodeId::new(id)?;
        if found.as_ref().is_some_and(|other| other != &id) {
            return Err(bad("the addresses name different orchestrators".to_owned()));
        }
        found = Some(id);
        dial.push(place.to_owned());
    }
    found
        .map(|orchestrator| Invite { orchestrator, addresses: dial, relays: Vec::new() })
        .ok_or_else(|| bad("no orchestrator was named".to_owned()))
}

fn own_folder() -> Result<PathBuf, Fault> {
    let failed = |error| Fault::new(FaultCode::Io, format!("this program cannot find its own folder: {error}"));
    let path = std::env::current_exe().map_err(failed)?;
    Ok(path.parent().unwrap_or_else(|| Path::new(".")).to_owned())
}

pub(crate) fn half_the_memory() -> u64 {
    sysinfo::System::new().map_or(FALLBACK_MEMORY, |mut system| {
        system.refresh_memory();
        system.total_memory() / 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_orchestrator_are_split_and_others_refused() {
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let addresses = [format!("/ip4/1.2.3.4/tcp/5/p2p/{id}"), format!("/ip6/::1/tcp/6/p2p/{id}")];
        let invited = invite(&addresses).unwrap();
        let (node, dial) = (invited.orchestrator, invited.addresses);
        assert_eq!((node.as_str(), dial.len(), dial[0].as_str()), (id, 2, "/ip4/1.2.3.4/tcp/5"));
        assert!(invite(&[]).is_err());
        assert!(invite(&["/ip4/1.2.3.4/tcp/5".to_owned()]).is_err());
        let other = "/ip4/1.2.3.4/tcp/5/p2p/12D3KooWOther".to_owned();
        assert!(invite(&[addresses[0].clone(), other]).is_err());
    }
}
