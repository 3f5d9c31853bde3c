//! One libp2p node: TCP with Noise and Yamux, QUIC, identify, ping, connection limits and raw streams.
//!
//! The swarm runs as an actor; a [`Network`] is its handle and may be cloned. All behaviours are composed in
//! `swarm/behaviour.rs`, where relay, DCUtR and AutoNAT will join them.
//!
//! **Which connection a stream takes.** Two peers may be connected several times, over TCP and QUIC. A stream says what
//! it [`Prefer`]s and is pinned to that connection. Prefill asks for TCP, because libp2p's QUIC keeps the kernel's small
//! receive buffer and drops bursts; where only QUIC is connected, TCP is dialled beside it, and QUIC is used where that
//! fails. Everything else takes the connection with the shortest measured round trip.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::{Fault, FaultCode, NodeId};
use futures::TryFutureExt as _;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::identity::{Identity, node_of, peer_of};

mod actor;
mod addresses;
mod behaviour;
mod handler;
mod options;
mod peers;
mod streams;

pub use options::NetworkOptions;
pub use peers::{PeerPath, Prefer, Transport};

use actor::{Command, SwarmActor};
use peers::Peers;

/// Commands waiting for the swarm; callers wait when it is full.
const COMMANDS: usize = 64;

/// Inbound streams of one protocol waiting for their acceptor; more are reset.
const INBOUND: usize = 64;

/// How often a broken attempt to open a stream is made again: peers that dial each other in the same instant can
/// break each other's connection.
const ATTEMPTS: u32 = 3;

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
    dial_timeout: Duration,
    commands: mpsc::Sender<Command>,
    peers: Arc<Peers>,
    addresses: watch::Receiver<Vec<Multiaddr>>,
    stop: CancellationToken,
    actor: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Network {
    /// Starts a node that listens where `options` say; returns once every listener has an address or has failed.
    ///
    /// A QUIC listener that fails is logged and left out. Any other failure is an `io` fault.
    pub async fn start(identity: &Identity, options: NetworkOptions) -> Result<Self, Fault> {
        let me = peer_of(identity.id())?;
        let mut swarm = behaviour::build(identity, &options)?;
        let listeners = addresses::listen(&mut swarm, &options.listen)?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (publish, addresses) = watch::channel(Vec::new());
        let (ready, listening) = oneshot::channel();
        let (peers, stop) = (Arc::new(Peers::default()), CancellationToken::new());
        let actor = SwarmActor::new(swarm, inbox, Arc::clone(&peers), publish, listeners, ready, stop.clone());
        let actor = Mutex::new(Some(actor.start(identity.id().clone())));
        let dial_timeout = options.dial_timeout;
        let inner = Inner { node: identity.id().clone(), me, dial_timeout, commands, peers, addresses, stop, actor };
        let network = Self { inner: Arc::new(inner) };
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

    /// The multiaddresses it listens on, as text and without its peer id.
    pub fn addresses(&self) -> Vec<String> {
        self.inner.addresses.borrow().iter().map(ToString::to_string).collect()
    }

    /// Connects to `node` at one of `addresses`, unless it is connected already. Fails with `link_lost` when none of
    /// them answers as `node`, `invalid_request` when none of them is a multiaddress.
    pub async fn dial(&self, node: &NodeId, addresses: &[String]) -> Result<(), Fault> {
        let peer = peer_of(node)?;
        if peer == self.inner.me {
            return Err(Fault::new(FaultCode::InvalidRequest, "a node does not dial itself"));
        }
        self.dial_over(peer, addresses, None).await
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

    /// How many peers are connected.
    pub fn connected(&self) -> usize {
        self.inner.peers.connected()
    }

    /// Closes every connection to `node`.
    pub async fn disconnect(&self, node: &NodeId) -> Result<(), Fault> {
        let peer = peer_of(node)?;
        self.inner.commands.send(Command::Disconnect { peer }).await.map_err(|_| stopped())
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

    /// Opens a stream of `protocol` to `node`, dialling if needed.
    pub(crate) async fn open(
        &self,
        node: &NodeId,
        addresses: &[String],
        protocol: &'static str,
        prefer: Prefer,
    ) -> Result<Stream, Fault> {
        let peer = peer_of(node)?;
        if peer == self.inner.me {
            return Err(Fault::new(FaultCode::InvalidRequest, "a node opens no stream to itself"));
        }
        let mut attempt = 1;
        loop {
            match self.try_open(peer, addresses, protocol, prefer).await {
                Err(fault) if fault.code == FaultCode::LinkLost && attempt < ATTEMPTS && !self.is_stopped() => {
                    tracing::debug!(%node, attempt, %fault, "opening a stream again");
                    // Two peers that collided must not collide again: the one with the smaller id goes first.
                    let turn = if self.inner.me < peer { 1 } else { 3 };
                    sleep(Duration::from_millis(40) * turn * attempt).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_open(
        &self,
        peer: PeerId,
        addresses: &[String],
        protocol: &'static str,
        prefer: Prefer,
    ) -> Result<Stream, Fault> {
        self.dial_over(peer, addresses, None).await?;
        if let Prefer::Over(transport) = prefer
            && let Err(fault) = self.dial_over(peer, addresses, Some(transport)).await
        {
            tracing::debug!(%peer, ?transport, %fault, "staying on the connection there is");
        }
        let unreached = || Fault::new(FaultCode::LinkLost, format!("{peer} is no longer connected"));
        let connection = self.inner.peers.choose(&peer, prefer).ok_or_else(unreached)?;
        self.open_on(peer, connection, StreamProtocol::new(protocol)).await
    }

    async fn open_on(&self, peer: PeerId, connection: ConnectionId, protocol: StreamProtocol) -> Result<Stream, Fault> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Open { peer, connection, protocol, reply };
        self.inner.commands.send(command).await.map_err(|_| stopped())?;
        let lost =
            |_| Fault::new(FaultCode::LinkLost, format!("the connection to {peer} closed before a stream opened"));
        answer.map_err(lost).await?
    }

    async fn dial_over(&self, peer: PeerId, addresses: &[String], over: Option<Transport>) -> Result<(), Fault> {
        if self.is_stopped() {
            return Err(stopped());
        }
        if self.inner.peers.is_connected(&peer, over) {
            return Ok(());
        }
        let addresses = addresses::dialable(&peer, addresses, over)?;
        let (reply, answer) = oneshot::channel();
        self.inner.commands.send(Command::Dial { peer, addresses, over, reply }).await.map_err(|_| stopped())?;
        let late = |_| {
            let seconds = self.inner.dial_timeout.as_secs_f32();
            Fault::new(FaultCode::LinkLost, format!("{peer} did not answer within {seconds} s"))
        };
        timeout_at(Instant::now() + self.inner.dial_timeout, answer).await.map_err(late)?.map_err(|_| stopped())?
    }

    /// The streams of `protocol` that peers open from now on. One acceptor per protocol.
    pub(crate) async fn accept(&self, protocol: &'static str) -> Result<mpsc::Receiver<Inbound>, Fault> {
        let (reply, answer) = oneshot::channel();
        let (sender, inbound) = mpsc::channel(INBOUND);
        let command = Command::Accept { protocol: StreamProtocol::new(protocol), sender, reply };
        self.inner.commands.send(command).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())??;
        Ok(inbound)
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
