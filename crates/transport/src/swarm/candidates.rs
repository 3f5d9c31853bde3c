//! Addresses that this node may have to the outside: what is worth a check, and what a punch should try.
//!
//! libp2p's identify proposes an observed address only where its port is one that this node listens on, and otherwise
//! the observed host with the listening port, which is wrong behind a NAT that gives a port of its own. [`Candidates`]
//! proposes what several hosts observed alike. [`Sifted`] keeps AutoNAT from asking others about addresses that cannot
//! be public, each of which would cost up to 100 KB, and about more of them than a node can have.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};

use libp2p::autonat::v2::client;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::paths::{ip_of, is_circuit, is_global};

/// Addresses that are checked or proposed over the life of a node.
const MAX_CANDIDATES: usize = 64;

/// Proposes addresses to the other behaviours.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    proposed: HashSet<Multiaddr>,
    queue: VecDeque<Multiaddr>,
}

impl Candidates {
    /// Proposes an address, once. The caller polls the swarm right after.
    pub(super) fn propose(&mut self, address: &Multiaddr) {
        if self.proposed.len() < MAX_CANDIDATES && self.proposed.insert(address.clone()) {
            self.queue.push_back(address.clone());
        }
    }
}

impl NetworkBehaviour for Candidates {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        match self.queue.pop_front() {
            Some(address) => Poll::Ready(ToSwarm::NewExternalAddrCandidate(address)),
            None => Poll::Pending,
        }
    }
}

/// AutoNAT's client, which is shown only what is worth a check.
#[derive(Default)]
pub(super) struct Sifted {
    client: client::Behaviour,
    shown: HashSet<Multiaddr>,
}

impl Sifted {
    fn lets_through(&mut self, address: &Multiaddr) -> bool {
        if !worth_a_check(address) {
            return false;
        }
        self.shown.contains(address) || (self.shown.len() < MAX_CANDIDATES && self.shown.insert(address.clone()))
    }
}

/// Whether an address could be public at all.
fn worth_a_check(address: &Multiaddr) -> bool {
    let names_peer = address.iter().any(|part| matches!(part, Protocol::P2p(_)));
    !names_peer && !is_circuit(address) && ip_of(address).is_some_and(is_global)
}

impl NetworkBehaviour for Sifted {
    type ConnectionHandler = THandler<client::Behaviour>;
    type ToSwarm = client::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.client.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.client.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.client.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.client.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::NewExternalAddrCandidate(candidate) = &event
            && !self.lets_through(candidate.addr)
        {
            return;
        }
        self.client.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.client.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<client::Event, THandlerInEvent<Self>>> {
        self.client.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_public_is_checked_and_not_for_ever() {
        let peer = PeerId::random();
        for (text, worth) in [
            ("/ip4/203.0.113.7/tcp/4001".to_owned(), true),
            ("/ip6/2001:db8::1/udp/4001/quic-v1".to_owned(), true),
            ("/ip4/192.168.1.7/tcp/4001".to_owned(), false),
            ("/ip4/100.64.3.3/tcp/4001".to_owned(), false),
            (format!("/ip4/203.0.113.7/tcp/4001/p2p/{peer}"), false),
            (format!("/ip4/203.0.113.7/tcp/4001/p2p/{peer}/p2p-circuit"), false),
        ] {
            assert_eq!(worth_a_check(&text.parse().unwrap()), worth, "{text}");
        }
        let (mut sifted, mut candidates) = (Sifted::default(), Candidates::default());
        let port = |port: usize| -> Multiaddr { format!("/ip4/203.0.113.7/tcp/{port}").parse().unwrap() };
        let passed = (1..1000).filter(|number| sifted.lets_through(&port(*number))).count();
        assert_eq!(passed, MAX_CANDIDATES);
        assert!(sifted.lets_through(&port(1)), "what was shown once may be seen again");
        for number in (1..1000).chain(1..1000) {
            candidates.propose(&port(number));
        }
        assert_eq!(candidates.queue.len(), MAX_CANDIDATES);
    }
}
