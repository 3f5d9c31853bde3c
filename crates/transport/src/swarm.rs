//! One libp2p node: TCP with Noise and Yamux, QUIC, circuits through relays; raw streams; and what it takes to reach
//! others and to be reached.
//!
//! The swarm runs as an actor; a [`Network`] is its handle and may be cloned. All behaviours are composed in
//! `swarm/behaviour.rs`.
//!
//! **Which connection a stream takes.** Two peers may be connected several times, over TCP and QUIC, directly and through
//! a relay. A stream says what it [`Prefer`]s and is pinned to that connection. One through a relay is taken only where
//! there is no other, and is closed once another has come and no stream uses it any more. Prefill asks for TCP, because
//! libp2p's QUIC keeps the kernel's small receive buffer and drops bursts; where only QUIC is connected, TCP is dialled
//! beside it if an address promises it, and QUIC is used where that fails. Everything else takes the connection with the
//! shortest measured round trip.
//!
//! **Behind a NAT** a node keeps reservations at relays, so that others reach it through circuits, and lets DCUtR punch
//! a direct way as soon as a circuit is open. Relays carry activations without a limit of bytes
//! ([`RelayLimits`]). What a node learns of its own standing is in [`Network::preflight`].

use std::sync::Arc;
use std::time::Duration;

use computepool_core::{Fault, FaultCode, NodeId, Reach};
use libp2p::{PeerId, StreamProtocol};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::identity::{Identity, node_of, peer_of};
use crate::measure;

mod actor;
mod addresses;
mod behaviour;
mod candidates;
mod carried;
mod connect;
mod doors;
mod finding;
mod futile;
mod handler;
mod options;
mod paths;
mod peers;
mod preflight;
mod queries;
mod reach;
mod refusals;
mod relays;
mod stream;
mod streams;
mod surroundings;
mod table;

pub use carried::Carried;
pub use options::{NetworkOptions, RelayLimits};
pub use peers::{PeerPath, Prefer, Transport};
pub use preflight::{Observed, PortMapping, Preflight};
pub use refusals::Refusals;
pub(crate) use refusals::{Ledger, Refusal};
pub(crate) use stream::Stream;

use actor::{Boards, Command, Setup, SwarmActor};
use carried::Scales;
use futile::Futile;
use peers::Peers;
use surroundings::Surroundings;

/// Commands waiting for the swarm; callers wait when it is full.
const COMMANDS: usize = 64;

/// Inbound streams of one protocol waiting for their acceptor; more are reset.
const INBOUND: usize = 64;

/// A stream that a peer opened.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) peer: PeerId,
    pub(crate) stream: Stream,
}

/// One libp2p node. Clones are handles to the same node, which runs until [`Network::shutdown`] or until the last
/// handle is dropped.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    me: PeerId,
    nat: bool,
    dial_timeout: Duration,
    commands: mpsc::Sender<Command>,
    peers: Arc<Peers>,
    futile: Futile,
    refusals: Arc<Ledger>,
    scales: Scales,
    surroundings: watch::Receiver<Surroundings>,
    reach: watch::Receiver<Reach>,
    changes: watch::Receiver<()>,
    stop: CancellationToken,
    actor: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Network {
    /// Starts a node that listens where `options` say; returns once every listener has an address or has failed. It may
    /// take longer until relays, routers and peers have answered: see [`Network::surroundings`].
    ///
    /// A QUIC listener that fails is logged and left out. An address that is none is an `invalid_request`, any other
    /// failure an `io` fault.
    pub async fn start(identity: &Identity, options: NetworkOptions) -> Result<Self, Fault> {
        let me = peer_of(identity.id())?;
        let external = addresses::external(&me, &options.external)?;
        let (peers, refusals, stop) =
            (Arc::new(Peers::default()), Arc::new(Ledger::default()), CancellationToken::new());
        let mut scales = Scales::default();
        let mut swarm = behaviour::build(identity, &options, Arc::clone(&refusals), &mut scales)?;
        let listeners = addresses::listen(&mut swarm, &options.listen)?;
        for address in &external {
            swarm.add_external_address(address.clone());
        }
        let setup = Setup {
            keys: identity.keypair(),
            listen_timeout: options.listen_timeout,
            offer_listeners: options.relay_server.is_some() && external.is_empty(),
            loopback_only: addresses::loopback_only(&options.listen),
            serve_table: options.relay_server.is_some(),
            peers: Arc::clone(&peers),
            refusals: Arc::clone(&refusals),
            stop: stop.clone(),
        };
        let mapping = if options.upnp { PortMapping::Asking } else { PortMapping::Off };
        let known = Surroundings { said: external, mapping, ..Surroundings::default() };
        let (reach, reached) = watch::channel(known.reach());
        let (surroundings, surrounded) = watch::channel(known);
        let (changes, changed) = watch::channel(());
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (ready, listening) = oneshot::channel();
        let actor = SwarmActor::new(swarm, inbox, setup, Boards { surroundings, reach, changes }, listeners, ready);
        let inner = Inner {
            node: identity.id().clone(),
            me,
            nat: options.nat,
            dial_timeout: options.dial_timeout,
            commands,
            peers,
            futile: Futile::default(),
            refusals,
            scales,
            surroundings: surrounded,
            reach: reached,
            changes: changed,
            stop,
            actor: Mutex::new(Some(actor.start(identity.id().clone()))),
        };
        let network = Self { inner: Arc::new(inner) };
        network.use_relays(&options.relays).await?;
        measure::serve(&network).await?;
        // Some systems are slow to name their interfaces; what comes later shows up in `addresses`.
        if tokio::time::timeout(options.listen_timeout, listening).await.is_err() {
            tracing::warn!("not every listener has an address yet");
        }
        Ok(network)
    }

    /// This node's id.
    pub fn node(&self) -> &NodeId {
        &self.inner.node
    }

    /// The smoothed round trip time to `node` on the path that lanes take; `None` before the first ping came back.
    pub fn rtt(&self, node: &NodeId) -> Option<Duration> {
        self.path(node)?.rtt
    }

    /// The connection that new streams to `node` take, unless they prefer another.
    pub fn path(&self, node: &NodeId) -> Option<PeerPath> {
        self.inner.peers.path(&peer_of(node).ok()?)
    }

    /// Every connection to `node`.
    pub fn paths(&self, node: &NodeId) -> Vec<PeerPath> {
        peer_of(node).map(|peer| self.inner.peers.paths(&peer)).unwrap_or_default()
    }

    /// What went over the network since it was started.
    pub fn carried(&self) -> Carried {
        self.inner.scales.read()
    }

    /// How many peers are connected.
    pub fn connected(&self) -> usize {
        self.inner.peers.connected()
    }

    /// Closes every connection to `node`.
    pub async fn disconnect(&self, node: &NodeId) -> Result<(), Fault> {
        let peer = peer_of(node)?;
        self.command(Command::Disconnect { peer }).await
    }

    /// Closes all connections and listeners, and waits until that is done. Streams end.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        if let Some(actor) = self.inner.actor.lock().await.take()
            && let Err(error) = actor.await
        {
            tracing::error!(%error, "the network did not stop in order");
        }
    }

    /// The streams of `protocol` that peers open from now on. One acceptor per protocol.
    pub(crate) async fn accept(&self, protocol: &'static str) -> Result<mpsc::Receiver<Inbound>, Fault> {
        let (reply, answer) = oneshot::channel();
        let (sender, inbound) = mpsc::channel(INBOUND);
        let protocol = StreamProtocol::new(protocol);
        self.command(Command::Accept { protocol, sender, reply }).await?;
        answer.await.map_err(|_| stopped())??;
        Ok(inbound)
    }

    /// Where refusals are counted.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.inner.refusals)
    }

    async fn command(&self, command: Command) -> Result<(), Fault> {
        self.inner.commands.send(command).await.map_err(|_| stopped())
    }

    fn is_stopped(&self) -> bool {
        self.inner.stop.is_cancelled()
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("node", &self.inner.node).field("peers", &self.connected()).finish()
    }
}

fn stopped() -> Fault {
    Fault::new(FaultCode::Draining, "the network has been shut down")
}

/// The node id of a connected peer; its text always fits, and a peer for whom it did not would be turned away.
pub(crate) fn authenticated(peer: &PeerId) -> Option<NodeId> {
    node_of(peer).ok()
}
