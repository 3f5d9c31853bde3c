//! A node: its engine, its lanes, and its link to the orchestrator, kept up for as long as it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_core::control::{CONTROL_VERSION, NodeMessage};
use computepool_core::ports::{Engine, IncomingLane, SystemClock};
use computepool_core::{EngineUsage, Fault, FaultCode, LayerRange, NodeId};
use computepool_engine::client::{EngineClient, EngineLaunch, EngineSnapshot, Timing};
use computepool_engine::pipe::DeviceChoice;
use computepool_model::catalogue::ModelSource;
use computepool_node::{ExitReason, Feed, Node, NodeOptions, NodeParts, SharedEngine};
use computepool_transport::control::{ControlClient, ControlOptions, ControlSender};
use computepool_transport::lanes::{AcceptLimits, HopLinks, LaneOptions};
use computepool_transport::{Identity, Network, NetworkOptions, PeerVerifier};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::identity::{IdentityLock, identity};
use crate::models;

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// What its owner calls it.
    pub name: String,
    /// Where its identity is kept; `None` makes one for this run.
    pub identity: Option<PathBuf>,
    /// Where neighbours reach it, as multiaddresses.
    pub listen: Vec<String>,
    /// The orchestrator's multiaddresses, each ending in `/p2p/ID`.
    pub orchestrator: Vec<String>,
    /// The models on its disk.
    pub models: Vec<ModelSource>,
    /// The only layers it will serve, where its owner insists.
    pub layers: Option<LayerRange>,
    /// Bytes it offers for weights and KV; `None` offers nine tenths of the GPU's free memory, or without a GPU half of
    /// the machine's memory.
    pub memory_bytes: Option<u64>,
    /// Processor threads for the engine.
    pub threads: u32,
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
    leaving: CancellationToken,
    keeper: tokio::task::JoinHandle<ExitReason>,
    _identity: IdentityLock,
}

/// What is offered where the system does not say how much memory it has.
const FALLBACK_MEMORY: u64 = 2 << 30;

/// The wait before the orchestrator is tried again; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A link that lasted this long was a good one: after it the first pause is short again.
const GOOD_LINK: Duration = Duration::from_secs(30);

/// How long a node that was told to leave lets running generations go on, and how long its engine may take to free
/// them.
const DRAIN: Duration = Duration::from_secs(10);
const FREE: Duration = Duration::from_secs(3);

/// How often the engine is asked what it uses, and the orchestrator told, where that has changed.
const USAGE_EVERY: Duration = Duration::from_millis(250);

impl RunningNode {
    /// Starts one. It keeps trying to reach its orchestrator until it is told to leave.
    pub async fn start(settings: NodeSettings) -> Result<Self, Fault> {
        let (issuer, addresses) = orchestrator(&settings.orchestrator)?;
        let (identity, lock) = identity(settings.identity.as_deref())?;
        let catalogue = models::scan(settings.models.clone()).await?;
        if catalogue.entries().is_empty() {
            return Err(Fault::new(FaultCode::ModelNotFound, "this node has no model on its disk")
                .hint("name a GGUF file, a Hugging Face folder, or a folder of such with --models"));
        }
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
            timing: Timing { ping: USAGE_EVERY, ..Timing::default() },
            ..EngineLaunch::new(chosen.executable, models::lookup(&catalogue))
        };
        let (engine, events) = EngineClient::start(launch);
        let options = NetworkOptions { listen: settings.listen.clone(), ..Default::default() };
        let network = Network::start(&identity, options).await?;
        let links = HopLinks::new(network.clone(), LaneOptions::default());
        let lanes = links.accept(issuer.clone(), Arc::new(SystemClock), AcceptLimits::default()).await?;
        let address = NodeAddress { node: network.node().clone(), addresses: network.addresses() };
        let leaving = CancellationToken::new();
        let keeper = Keeper {
            identity: Arc::new(identity),
            issuer,
            addresses,
            network: network.clone(),
            engine: SharedEngine::new(engine.clone(), events),
            snapshot: engine.snapshot(),
            links: Arc::new(links),
            lanes: Feed::new(lanes),
            hello: NodeMessage::Hello {
                version: CONTROL_VERSION,
                name: settings.name,
                addresses: address.addresses.clone(),
                models: catalogue.entries().iter().map(|entry| entry.summary.clone()).collect(),
                memory_bytes,
                layers: settings.layers,
            },
            leaving: leaving.clone(),
        };
        Ok(Self { address, network, engine, leaving, keeper: tokio::spawn(keeper.run()), _identity: lock })
    }

    /// How it is known.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// What its engine process uses.
    pub fn engine(&self) -> watch::Receiver<EngineSnapshot> {
        self.engine.snapshot()
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

/// Keeps one node after another running around the same engine, as the link to the orchestrator comes and goes.
struct Keeper {
    identity: Arc<Identity>,
    issuer: NodeId,
    addresses: Vec<String>,
    network: Network,
    engine: Arc<SharedEngine>,
    snapshot: watch::Receiver<EngineSnapshot>,
    links: Arc<HopLinks>,
    lanes: Feed<IncomingLane>,
    hello: NodeMessage,
    leaving: CancellationToken,
}

impl Keeper {
    async fn run(self) -> ExitReason {
        let mut pause = FIRST_PAUSE;
        loop {
            let options = ControlOptions::default();
            let connect = ControlClient::connect(&self.network, &self.issuer, &self.addresses, options);
            match self.leaving.run_until_cancelled(connect).await {
                None => return ExitReason::Shutdown,
                Some(Ok((sender, messages))) => {
                    let linked = Instant::now();
                    tracing::info!(orchestrator = %self.issuer, "linked to the orchestrator");
                    match self.serve(sender.clone(), messages).await {
                        // An orchestrator that goes away in order comes back like one that crashed.
                        reason @ (ExitReason::ControlLost | ExitReason::ControlStalled | ExitReason::Left) => {
                            let why = sender.ended().map(|fault| fault.to_string()).unwrap_or_default();
                            tracing::warn!(%reason, why, "no longer linked to the orchestrator; trying again");
                        }
                        reason => return reason,
                    }
                    if linked.elapsed() > GOOD_LINK {
                        pause = FIRST_PAUSE;
                    }
                }
                Some(Err(fault)) => tracing::warn!(%fault, "the orchestrator cannot be reached; trying again"),
            }
            if self.leaving.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return ExitReason::Shutdown;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn serve(
        &self,
        sender: ControlSender,
        control_in: futures::stream::BoxStream<'static, computepool_core::control::OrchestratorMessage>,
    ) -> ExitReason {
        let (control_out, queue) = mpsc::channel(256);
        let forward = tokio::spawn(forward(queue, self.snapshot.clone(), sender));
        let mut node = Node::start(NodeParts {
            identity: self.identity.clone(),
            verifier: Arc::new(PeerVerifier),
            clock: Arc::new(SystemClock),
            issuer: self.issuer.clone(),
            engine: self.engine.clone(),
            links: self.links.clone(),
            lanes: self.lanes.clone(),
            control_out,
            control_in,
            hello: self.hello.clone(),
            options: NodeOptions { drain_patience: DRAIN, close_patience: FREE, ..NodeOptions::default() },
        });
        let reason = tokio::select! {
            reason = node.wait() => reason,
            () = self.leaving.cancelled() => node.shutdown().await,
        };
        forward.await.ok();
        reason
    }
}

/// Writes what a node says onto its control link, and between that what its engine uses.
async fn forward(
    mut queue: mpsc::Receiver<NodeMessage>,
    engine: watch::Receiver<EngineSnapshot>,
    sender: ControlSender,
) {
    let mut told = None;
    let mut ticks = tokio::time::interval(USAGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut greeted = false;
    loop {
        let message = tokio::select! {
            biased;
            message = queue.recv() => match message {
                Some(message) => message,
                None => return,
            },
            // The first message is the hello; nothing may go before it.
            _ = ticks.tick(), if greeted => match news(&mut told, &engine.borrow()) {
                Some(usage) => NodeMessage::Usage(usage),
                None => continue,
            },
        };
        greeted = true;
        if let Err(fault) = sender.send(&message).await {
            tracing::debug!(%fault, "the control link ended");
            return;
        }
    }
}

/// What the engine uses, where that is not what was told last.
fn news(told: &mut Option<EngineUsage>, engine: &EngineSnapshot) -> Option<EngineUsage> {
    let usage = EngineUsage {
        pid: engine.pid,
        rss_bytes: engine.rss_bytes,
        peak_rss_bytes: engine.peak_rss_bytes,
        kv_tokens_used: engine.kv_tokens_used,
    };
    (told.replace(usage) != Some(usage)).then_some(usage)
}

/// Splits `…/p2p/ID` addresses into the one id they must share and the addresses to dial.
fn orchestrator(addresses: &[String]) -> Result<(NodeId, Vec<String>), Fault> {
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
    found.map(|id| (id, dial)).ok_or_else(|| bad("no orchestrator was named".to_owned()))
}

fn own_folder() -> Result<PathBuf, Fault> {
    let failed = |error| Fault::new(FaultCode::Io, format!("this program cannot find its own folder: {error}"));
    let path = std::env::current_exe().map_err(failed)?;
    Ok(path.parent().unwrap_or_else(|| Path::new(".")).to_owned())
}

fn half_the_memory() -> u64 {
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
        let (node, dial) = orchestrator(&addresses).unwrap();
        assert_eq!((node.as_str(), dial.len(), dial[0].as_str()), (id, 2, "/ip4/1.2.3.4/tcp/5"));
        assert!(orchestrator(&[]).is_err());
        assert!(orchestrator(&["/ip4/1.2.3.4/tcp/5".to_owned()]).is_err());
        let other = "/ip4/1.2.3.4/tcp/5/p2p/12D3KooWOther".to_owned();
        assert!(orchestrator(&[addresses[0].clone(), other]).is_err());
    }

    #[test]
    fn usage_is_told_once_and_again_when_it_changes() {
        let mut told = None;
        let mut engine = EngineSnapshot { pid: Some(7), kv_tokens_used: 40, ..EngineSnapshot::default() };
        let first = news(&mut told, &engine).unwrap();
        assert_eq!((first.pid, first.kv_tokens_used), (Some(7), 40));
        engine.starts += 1;
        assert_eq!(news(&mut told, &engine), None, "nothing the orchestrator is told has changed");
        engine.kv_tokens_used = 0;
        assert_eq!(news(&mut told, &engine).unwrap().kv_tokens_used, 0);
    }
}
