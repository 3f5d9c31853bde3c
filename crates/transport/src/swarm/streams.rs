//! Raw streams, each pinned to the connection it was asked for.
//!
//! libp2p-stream does the same but takes a random connection of the peer, drops an inbound stream while another waits,
//! and keeps a channel for every connection there ever was. Lanes need the choice, and a node that strangers connect to
//! needs the bounds.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use computepool_core::{Fault, FaultCode};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{mpsc, oneshot};

use super::Inbound;
use super::handler::StreamHandler;
use super::refusals::{Ledger, Refusal};
use super::stream::{Stream, Uses};

/// Where the opener of a stream waits for it.
pub(super) type Opened = oneshot::Sender<Result<Stream, Fault>>;

/// Asks a connection for an outbound stream.
#[derive(Debug)]
pub(super) struct OpenStream {
    pub(super) protocol: StreamProtocol,
    pub(super) reply: Opened,
}

/// Who takes the inbound streams of each protocol; shared with every connection's handler.
#[derive(Clone, Debug, Default)]
pub(super) struct Acceptors {
    by_protocol: Arc<Mutex<HashMap<StreamProtocol, mpsc::Sender<Inbound>>>>,
    refusals: Arc<Ledger>,
}

impl Acceptors {
    pub(super) fn protocols(&self) -> Vec<StreamProtocol> {
        let mut acceptors = self.lock();
        acceptors.retain(|_, acceptor| !acceptor.is_closed());
        acceptors.keys().cloned().collect()
    }

    /// Hands a stream over. One that nobody takes, or for which the queue has no room, is dropped, which resets it.
    pub(super) fn deliver(&self, protocol: &StreamProtocol, inbound: Inbound) {
        let peer = inbound.peer;
        let delivered = self.lock().get(protocol).is_some_and(|acceptor| acceptor.try_send(inbound).is_ok());
        if !delivered {
            tracing::debug!(%peer, %protocol, "an inbound stream was reset: nobody can take it now");
            self.refusals.refused(Refusal::Stream, &format_args!("nobody can take one of {protocol} from {peer} now"));
        }
    }

    fn add(&self, protocol: StreamProtocol, acceptor: mpsc::Sender<Inbound>) -> Result<(), Fault> {
        let mut acceptors = self.lock();
        if acceptors.get(&protocol).is_some_and(|other| !other.is_closed()) {
            return Err(Fault::new(FaultCode::InvalidRequest, format!("{protocol} is being accepted already")));
        }
        acceptors.insert(protocol, acceptor);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamProtocol, mpsc::Sender<Inbound>>> {
        self.by_protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The behaviour.
#[derive(Debug, Default)]
pub(super) struct Streams {
    acceptors: Acceptors,
    /// Emptied at every poll of the swarm; one command adds at most one.
    requests: VecDeque<(PeerId, ConnectionId, OpenStream)>,
    uses: HashMap<ConnectionId, Uses>,
}

impl Streams {
    pub(super) fn new(refusals: Arc<Ledger>) -> Self {
        Self { acceptors: Acceptors { refusals, ..Acceptors::default() }, ..Self::default() }
    }

    /// Whether streams of a connection are open here.
    pub(super) fn in_use(&self, connection: ConnectionId) -> bool {
        // The connection's handler holds one clone itself.
        self.uses.get(&connection).is_some_and(|uses| uses.others() > 1)
    }

    fn handler(&mut self, connection: ConnectionId, peer: PeerId) -> StreamHandler {
        let uses = self.uses.entry(connection).or_default().clone();
        StreamHandler::new(peer, self.acceptors.clone(), uses)
    }

    pub(super) fn accept(&self, protocol: StreamProtocol, acceptor: mpsc::Sender<Inbound>) -> Result<(), Fault> {
        self.acceptors.add(protocol, acceptor)
    }

    pub(super) fn open(&mut self, peer: PeerId, connection: ConnectionId, request: OpenStream) {
        self.requests.push_back((peer, connection, request));
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = StreamHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection, peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection, peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => drop(self.uses.remove(&closed.connection_id)),
            // Another behaviour may turn a connection away that had its handler here already.
            FromSwarm::ListenFailure(failure) => drop(self.uses.remove(&failure.connection_id)),
            FromSwarm::DialFailure(failure) => drop(self.uses.remove(&failure.connection_id)),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Nothing wakes this: the actor that adds a request polls the swarm right after.
        let Some((peer_id, connection, event)) = self.requests.pop_front() else { return Poll::Pending };
        Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event })
    }
}
