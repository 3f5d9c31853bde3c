//! An orchestrator: control links to nodes on one side, the HTTP face on the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use computepool_api::{ApiKey, ApiOptions, KeyLimits};
use computepool_core::ports::{Inference, Journal, SystemClock, Toll};
use computepool_core::{Fault, FaultCode, Invite, NodeId};
use computepool_model::catalogue::ModelSource;
use computepool_orchestrator::{Limits, Orchestrator, OrchestratorHandle, PoolSettings, Ports};
use computepool_store::Store;
use computepool_transport::control::{ControlHub, ControlOptions};
use computepool_transport::{Network, NetworkOptions, PeerVerifier, RelayLimits};
use rand::SeedableRng as _;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::identity::{IdentityLock, identity};
use crate::models;
use crate::money::{Engagements, Money, MoneySettings};
use crate::stock::{ShelfSettings, Stock};

/// How an orchestrator is set up.
#[derive(Clone, Debug)]
pub struct OrchestratorSettings {
    /// Where its identity is kept; `None` makes one for this run.
    pub identity: Option<PathBuf>,
    /// Where it listens for nodes, as multiaddresses.
    pub listen: Vec<String>,
    /// Public addresses of this machine that its owner knows of, as multiaddresses.
    pub external: Vec<String>,
    /// Relays that invited nodes are told of, as multiaddresses ending in `/p2p/ID`.
    pub relays: Vec<String>,
    /// Serves as a relay itself.
    pub relay: bool,
    /// Takes part in the table of who has which weights, and checks for nodes how they can be reached.
    pub outward: bool,
    /// Where it keeps what it must find again after a restart: a file, `sqlite:FILE` or `postgres://…`; `None` keeps
    /// nothing.
    pub state: Option<String>,
    /// The models it offers.
    pub models: Vec<ModelSource>,
    /// Lets nodes fetch the weights: from this folder's shelf, and from the addresses of web folders in which the files of
    /// all models lie.
    pub share: Option<(ShelfSettings, Vec<String>)>,
    /// Into how many shards each is cut.
    pub shards: usize,
    /// How long a broken answer waits for somebody to go on with it.
    pub patience: Duration,
    /// The longest sequence served, in tokens.
    pub max_context: u32,
    /// Bytes of KV for each shard.
    pub kv_bytes: u64,
    /// Generations one client may have open at once.
    pub max_generations: u32,
    /// Where the HTTP face listens; `None` for none.
    pub api: Option<SocketAddr>,
    /// Keys the HTTP face accepts; without any it asks for none.
    pub keys: Vec<ApiKey>,
    /// What each client may do.
    pub key_limits: KeyLimits,
    /// Web origins that browsers may call from.
    pub allowed_origins: Vec<String>,
    /// Sells what is served; `None` gives it away. Wants a [state](Self::state) to keep its ledger in.
    pub money: Option<MoneySettings>,
}

impl OrchestratorSettings {
    /// Three shards, on this machine only.
    pub fn local(models: Vec<ModelSource>) -> Self {
        Self {
            identity: None,
            listen: NetworkOptions::loopback().listen,
            external: Vec::new(),
            relays: Vec::new(),
            relay: false,
            outward: false,
            state: None,
            models,
            share: None,
            shards: 3,
            patience: Duration::from_secs(60),
            max_context: 4096,
            kv_bytes: 512 << 20,
            max_generations: 64,
            api: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            keys: Vec::new(),
            key_limits: KeyLimits::default(),
            allowed_origins: Vec::new(),
            money: None,
        }
    }
}

impl OrchestratorSettings {
    fn network(&self) -> NetworkOptions {
        NetworkOptions {
            listen: self.listen.clone(),
            external: self.external.clone(),
            relay_server: self.relay.then(RelayLimits::default),
            nat: self.outward,
            kad: self.outward,
            mdns: self.outward,
            ..NetworkOptions::default()
        }
    }
}

/// How nodes and clients reach a running orchestrator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrchestratorAddress {
    /// Its peer id.
    pub node: NodeId,
    /// Multiaddresses with the peer id at the end, for `computepool node --orchestrator`.
    pub addresses: Vec<String>,
    /// Base address of the HTTP face, such as `http://127.0.0.1:8080/v1`.
    pub api: Option<String>,
    /// The link that lets a stranger's machine join.
    pub invite: String,
}

/// A running orchestrator.
pub struct RunningOrchestrator {
    handle: OrchestratorHandle,
    network: Network,
    address: OrchestratorAddress,
    closing: CancellationToken,
    server: Option<tokio::task::JoinHandle<()>>,
    store: Option<Arc<Store>>,
    money: Option<Money>,
    _identity: IdentityLock,
}

/// How long running generations may go on after the orchestrator was told to leave.
const DRAIN: Duration = Duration::from_secs(10);

/// How long clients may take for the last bytes of their answers after that.
const LAST_BYTES: Duration = Duration::from_secs(3);

/// Messages that may wait for one node. When a node is lost, every generation on its route is closed on the others at
/// once: one message each, and as many again to open what follows.
const CONTROL_QUEUE: usize = 8192;

impl RunningOrchestrator {
    /// Starts one.
    pub async fn start(settings: OrchestratorSettings) -> Result<Self, Fault> {
        let (identity, lock) = identity(settings.identity.as_deref())?;
        let catalogue = models::scan(settings.models.clone()).await?;
        if catalogue.entries().is_empty() {
            let why =
                catalogue.skipped().iter().map(|s| format!("; {}: {}", s.path.display(), s.fault)).collect::<String>();
            return Err(Fault::new(FaultCode::ModelNotFound, format!("no model was found to offer{why}"))
                .hint("name a GGUF file or a Hugging Face folder with --model"));
        }
        let network = Network::start(&identity, settings.network()).await?;
        let (shelf, urls) = settings.share.clone().unzip();
        let shared = match shelf {
            Some(shelf) => Some(Stock::open(&catalogue, Some(shelf), identity.id())?.supplied(&network).await?),
            None => None,
        };
        let mut pools = Vec::new();
        for entry in catalogue.entries() {
            let source = match &shared {
                Some(shared) => Some(shared.share(entry, &identity, urls.clone().unwrap_or_default()).await?),
                None => None,
            };
            let pool = PoolSettings {
                max_context: settings.max_context,
                kv_bytes: settings.kv_bytes,
                max_generations: settings.max_generations,
                source,
                ..PoolSettings::new(entry.summary.clone(), settings.shards)
            };
            pools.push((pool, models::text(entry).await?));
        }
        if let Some(shared) = &shared {
            shared.announce().await;
        }
        let sold = pools.iter().map(|(pool, _)| (pool.summary.id.clone(), pool.summary.hash)).collect();
        let store = match &settings.state {
            Some(place) => Some(Store::open(place, identity.id()).await?),
            None => None,
        };
        let options = ControlOptions { queue: CONTROL_QUEUE, ..ControlOptions::default() };
        let (hub, events) = ControlHub::start(&network, options).await?;
        let (control, signer) = (Arc::new(hub), Arc::new(identity));
        let engagements = Engagements::new(control.clone());
        let ports = Ports {
            control,
            events: engagements.listen(events),
            signer: signer.clone(),
            verifier: Arc::new(PeerVerifier),
            clock: Arc::new(SystemClock),
            random: Box::new(rand::rngs::StdRng::from_os_rng()),
            journal: store.clone().map(|store| store as Arc<dyn Journal>),
        };
        let limits = Limits { failover_ms: settings.patience.as_millis() as u64, ..Limits::default() };
        let handle = Orchestrator::start(ports, pools, limits)
            .map_err(|error| Fault::new(FaultCode::InvalidRequest, error.to_string()))?;
        let node = network.node().clone();
        let at = if settings.external.is_empty() { network.addresses() } else { settings.external.clone() };
        let addresses: Vec<String> = at.iter().map(|address| format!("{address}/p2p/{node}")).collect();
        let own = if settings.relay { addresses.clone() } else { Vec::new() };
        let relays = settings.relays.iter().cloned().chain(own).collect();
        let invite = Invite { orchestrator: node.clone(), addresses: at, relays }.to_string();
        let address = OrchestratorAddress { node, addresses, api: None, invite };
        let closing = CancellationToken::new();
        let money = match settings.money.clone() {
            None => None,
            Some(money) => {
                let ledger = store.clone().ok_or_else(|| {
                    Fault::new(FaultCode::InvalidRequest, "an orchestrator that is paid must keep a ledger")
                        .hint("say with --state where")
                })?;
                Some(Money::start(money, sold, ledger, &*signer, engagements, handle.clone()).await?)
            }
        };
        let mut this = Self { handle, network, address, closing, server: None, store, money, _identity: lock };
        if let Some(listen) = settings.api {
            let mut options = ApiOptions::default();
            options.keys = settings.keys;
            options.key_limits = settings.key_limits;
            options.local_limits = settings.key_limits;
            options.allowed_origins = settings.allowed_origins;
            this.serve(listen, options).await?;
        }
        Ok(this)
    }

    async fn serve(&mut self, listen: SocketAddr, options: ApiOptions) -> Result<(), Fault> {
        let failed = |error| {
            Fault::new(FaultCode::Io, format!("the endpoint cannot listen on {listen}: {error}"))
                .hint("another program may use this port: choose one with --api, or 0 for any free one")
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let toll = self.money.as_ref().map(|money| money.payments() as Arc<dyn Toll>);
        let router = computepool_api::router(options, Arc::new(self.handle.clone()), toll);
        let closing = self.closing.clone();
        self.server = Some(tokio::spawn(async move {
            if let Err(error) = computepool_api::serve(listener, router, closing.cancelled_owned()).await {
                tracing::error!(%error, "the endpoint has ended");
            }
        }));
        self.address.api = Some(format!("http://{bound}/v1"));
        Ok(())
    }

    /// How it is reached.
    pub fn address(&self) -> &OrchestratorAddress {
        &self.address
    }

    /// What the HTTP face asks.
    pub fn inference(&self) -> Arc<dyn Inference> {
        Arc::new(self.handle.clone())
    }

    /// Waits until every offered model is served.
    pub async fn available(&self, within: Duration) -> Result<(), Fault> {
        let mut shown = self.handle.subscribe();
        let all = shown.wait_for(|snapshot| snapshot.available.iter().all(|available| *available));
        match tokio::time::timeout(within, all).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Fault::new(FaultCode::NoRoute, format!("no complete route within {} s", within.as_secs()))),
        }
    }

    /// Takes nothing new, lets running generations end, dismisses the nodes, and stops.
    pub async fn leave(self) {
        self.handle.drain(DRAIN).await;
        self.closing.cancel();
        if let Some(mut server) = self.server {
            // Every generation has ended; what is still open is a client that does not read, or reads slowly.
            if tokio::time::timeout(LAST_BYTES, &mut server).await.is_err() {
                server.abort();
            }
        }
        if let Some(money) = self.money {
            money.leave().await;
        }
        if let Some(store) = self.store
            && let Err(error) = store.close().await
        {
            tracing::warn!(%error, "the journal was not closed in order");
        }
        self.network.shutdown().await;
    }
}
