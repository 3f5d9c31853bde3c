//! The actor that drives the swarm.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use computepool_core::{Fault, FaultCode, NodeId};
use futures::StreamExt as _;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, ping};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Inbound;
use super::behaviour::{Behaviour, BehaviourEvent};
use super::peers::{Peers, Transport};
use super::streams::{OpenStream, Opened};

/// Pings that may fail in a row before their connection is closed.
const MAX_MISSED_PINGS: u32 = 2;

/// How long a shutdown waits for peers to be told.
const FAREWELL: Duration = Duration::from_secs(1);

type Dialled = oneshot::Sender<Result<(), Fault>>;

/// What a handle asks of the swarm.
#[derive(Debug)]
pub(super) enum Command {
    Dial { peer: PeerId, addresses: Vec<Multiaddr>, over: Option<Transport>, reply: Dialled },
    Open { peer: PeerId, connection: ConnectionId, protocol: StreamProtocol, reply: Opened },
    Accept { protocol: StreamProtocol, sender: mpsc::Sender<Inbound>, reply: oneshot::Sender<Result<(), Fault>> },
    Disconnect { peer: PeerId },
}

/// A dial under way, and everybody who waits for it.
struct Dial {
    peer: PeerId,
    over: Option<Transport>,
    waiting: Vec<Dialled>,
}

pub(super) struct SwarmActor {
    swarm: Swarm<Behaviour>,
    inbox: mpsc::Receiver<Command>,
    peers: Arc<Peers>,
    addresses: watch::Sender<Vec<Multiaddr>>,
    dials: HashMap<ConnectionId, Dial>,
    /// Listeners that have no address yet, and whom to tell when all have.
    unready: HashSet<ListenerId>,
    ready: Option<oneshot::Sender<()>>,
    stop: CancellationToken,
}

impl SwarmActor {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        inbox: mpsc::Receiver<Command>,
        peers: Arc<Peers>,
        addresses: watch::Sender<Vec<Multiaddr>>,
        listeners: Vec<ListenerId>,
        ready: oneshot::Sender<()>,
        stop: CancellationToken,
    ) -> Self {
        let unready = listeners.into_iter().collect();
        Self { swarm, inbox, peers, addresses, dials: HashMap::new(), unready, ready: Some(ready), stop }
    }

    pub(super) fn start(self, node: NodeId) -> JoinHandle<()> {
        let span = tracing::info_span!("network", %node);
        tokio::spawn(self.run().instrument(span))
    }

    async fn run(mut self) {
        self.check_ready();
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                command = self.inbox.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => break,
                },
                event = self.swarm.select_next_some() => self.handle_event(event),
            }
        }
        self.farewell().await;
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Dial { peer, addresses, over, reply } => self.handle_dial(peer, addresses, over, reply),
            Command::Open { peer, connection, protocol, reply } => {
                self.swarm.behaviour_mut().streams.open(peer, connection, OpenStream { protocol, reply });
            }
            Command::Accept { protocol, sender, reply } => {
                answer(reply, self.swarm.behaviour().streams.accept(protocol, sender));
            }
            Command::Disconnect { peer } => {
                if self.swarm.disconnect_peer_id(peer).is_err() {
                    tracing::debug!(%peer, "was not connected");
                }
            }
        }
    }

    fn handle_dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, over: Option<Transport>, reply: Dialled) {
        if self.peers.is_connected(&peer, over) {
            return answer(reply, Ok(()));
        }
        if let Some(dial) = self.dials.values_mut().find(|dial| dial.peer == peer && dial.over == over) {
            return dial.waiting.push(reply);
        }
        // `Always`: a second connection over another transport is wanted at times, and the table above is what decides.
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).build();
        let id = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => {
                self.dials.insert(id, Dial { peer, over, waiting: vec![reply] });
            }
            Err(error) => answer(reply, Err(unreachable(&peer, &error))),
        }
    }

    fn handle_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let address = endpoint.get_remote_address().clone();
                tracing::debug!(peer = %peer_id, %address, dialled = endpoint.is_dialer(), "connected");
                self.peers.opened(peer_id, connection_id, address);
                self.dials_done(&peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, cause = ?cause.map(|cause| cause.to_string()), "disconnected");
                self.peers.closed(&peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(Dial { peer, over, waiting }) = self.dials.remove(&connection_id) {
                    // The peer may have dialled us in the meantime.
                    let connected = self.peers.is_connected(&peer, over);
                    for reply in waiting {
                        answer(reply, if connected { Ok(()) } else { Err(unreachable(&peer, &error)) });
                    }
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "a connection was not made");
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                tracing::info!(%address, "listening");
                self.addresses.send_modify(|list| list.push(address));
                self.listener_ready(listener_id);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.addresses.send_modify(|list| list.retain(|known| *known != address));
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                tracing::warn!(?addresses, ?reason, "a listener closed");
                self.addresses.send_modify(|list| list.retain(|known| !addresses.contains(known)));
                self.listener_ready(listener_id);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has trouble"),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.handle_ping(event),
            _ => {}
        }
    }

    /// Answers every dial to `peer` that the connections there are now satisfy.
    fn dials_done(&mut self, peer: &PeerId) {
        let peers = &self.peers;
        self.dials.retain(|_, dial| {
            let done = dial.peer == *peer && peers.is_connected(peer, dial.over);
            if done {
                for reply in dial.waiting.drain(..) {
                    answer(reply, Ok(()));
                }
            }
            !done
        });
    }

    fn handle_ping(&mut self, event: ping::Event) {
        let ping::Event { peer, connection, result } = event;
        match result {
            Ok(rtt) => {
                self.peers.pinged(&peer, connection, Some(rtt));
            }
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                if self.peers.pinged(&peer, connection, None) >= MAX_MISSED_PINGS {
                    tracing::info!(%peer, %error, "the peer does not answer; closing the connection");
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    fn listener_ready(&mut self, listener: ListenerId) {
        self.unready.remove(&listener);
        self.check_ready();
    }

    fn check_ready(&mut self) {
        if self.unready.is_empty()
            && let Some(ready) = self.ready.take()
            && ready.send(()).is_err()
        {
            tracing::debug!("nobody waits for the listeners any more");
        }
    }

    /// Closes every connection in order, so that peers see an end and not a timeout.
    async fn farewell(mut self) {
        for peer in self.peers.all() {
            if self.swarm.disconnect_peer_id(peer).is_err() {
                tracing::debug!(%peer, "was gone already");
            }
        }
        let closing = async {
            while self.peers.connected() > 0 {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } = event {
                    self.peers.closed(&peer_id, connection_id);
                }
            }
        };
        if tokio::time::timeout(FAREWELL, closing).await.is_err() {
            tracing::debug!("some peers were not told");
        }
    }
}

fn unreachable(peer: &PeerId, error: &DialError) -> Fault {
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Fault::new(FaultCode::LinkLost, format!("cannot reach {peer}: {line}"))
        .hint("check that the peer is running and that its address and port can be reached from here")
        .retry_after_ms(1_000)
}

fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    // A caller who no longer waits needs no answer.
    if reply.send(value).is_err() {
        tracing::trace!("an answer came too late");
    }
}
