//! How many connections one address may hold or be about to make.
//!
//! The limits in all keep a flood from costing too much; these keep one host from using them up alone. Addresses that
//! reach this node through a relay are not told apart here: the relay has limits of its own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::paths::ip_of;

/// Why a connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Crowded {
    /// Too many are in their handshake.
    #[error("{host} has {limit} connections in their handshake")]
    Pending { host: IpAddr, limit: u32 },
    /// Too many are there already.
    #[error("{host} has {limit} connections")]
    Established { host: IpAddr, limit: u32 },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    pending: u32,
    established: u32,
}

/// The behaviour. Its tables have an entry per inbound connection at most, which the limits in all bound.
#[derive(Debug)]
pub(super) struct Doors {
    max_pending: u32,
    max_established: u32,
    hosts: HashMap<IpAddr, Count>,
    /// Who is behind each inbound connection, and whether it is past its handshake.
    connections: HashMap<ConnectionId, (IpAddr, bool)>,
}

impl Doors {
    pub(super) fn new(max_pending: u32, max_established: u32) -> Self {
        Self { max_pending, max_established, hosts: HashMap::new(), connections: HashMap::new() }
    }

    fn knock(&mut self, id: ConnectionId, host: IpAddr) -> Result<(), Crowded> {
        let count = self.hosts.get(&host).copied().unwrap_or_default();
        if count.pending >= self.max_pending {
            return Err(Crowded::Pending { host, limit: self.max_pending });
        }
        if count.pending + count.established >= self.max_established {
            return Err(Crowded::Established { host, limit: self.max_established });
        }
        self.hosts.entry(host).or_default().pending += 1;
        self.connections.insert(id, (host, false));
        Ok(())
    }

    fn enter(&mut self, id: ConnectionId) {
        if let Some((host, entered @ false)) = self.connections.get_mut(&id) {
            *entered = true;
            let count = self.hosts.entry(*host).or_default();
            count.pending = count.pending.saturating_sub(1);
            count.established += 1;
        }
    }

    fn leave(&mut self, id: ConnectionId) {
        let Some((host, entered)) = self.connections.remove(&id) else { return };
        let Some(count) = self.hosts.get_mut(&host) else { return };
        let part = if entered { &mut count.established } else { &mut count.pending };
        *part = part.saturating_sub(1);
        if *count == Count::default() {
            self.hosts.remove(&host);
        }
    }
}

/// Whose connection it is: an IPv4 address, or an IPv6 /64, which is what one customer gets.
fn host_of(address: &Multiaddr) -> Option<IpAddr> {
    match ip_of(address)? {
        IpAddr::V6(ip) => Some(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64))),
        v4 => Some(v4),
    }
}

impl NetworkBehaviour for Doors {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match host_of(remote) {
            Some(host) => self.knock(id, host).map_err(ConnectionDenied::new),
            None => Ok(()),
        }
    }

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

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => self.enter(established.connection_id),
            FromSwarm::ConnectionClosed(closed) => self.leave(closed.connection_id),
            FromSwarm::ListenFailure(failure) => self.leave(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> IpAddr {
        host_of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn one_host_fills_its_own_share_and_no_other() {
        let mut doors = Doors::new(2, 3);
        let (crowd, other) = (host("/ip4/203.0.113.1/tcp/1"), host("/ip4/203.0.113.2/tcp/1"));
        let ids: Vec<_> = (1..=6).map(ConnectionId::new_unchecked).collect();
        assert_eq!(doors.knock(ids[0], crowd), Ok(()));
        assert_eq!(doors.knock(ids[1], crowd), Ok(()));
        assert_eq!(doors.knock(ids[2], crowd), Err(Crowded::Pending { host: crowd, limit: 2 }));
        assert_eq!(doors.knock(ids[2], other), Ok(()), "another host is not concerned");
        doors.enter(ids[0]);
        doors.enter(ids[0]);
        assert_eq!(doors.knock(ids[3], crowd), Ok(()));
        doors.enter(ids[1]);
        assert_eq!(doors.knock(ids[4], crowd), Err(Crowded::Established { host: crowd, limit: 3 }));
        doors.leave(ids[0]);
        assert_eq!(doors.knock(ids[4], crowd), Ok(()), "whoever leaves makes room");
        for id in ids {
            doors.leave(id);
        }
        assert!(doors.hosts.is_empty() && doors.connections.is_empty(), "nothing is left behind: {doors:?}");
    }

    #[test]
    fn an_ipv6_customer_is_one_host() {
        assert_eq!(host("/ip6/2001:db8:1:2:3::4/tcp/1"), host("/ip6/2001:db8:1:2:ffff::1/udp/2/quic-v1"));
        assert_ne!(host("/ip6/2001:db8:1:2::4/tcp/1"), host("/ip6/2001:db8:1:3::4/tcp/1"));
        assert_eq!(host("/ip6/::ffff:203.0.113.1/tcp/1"), host("/ip4/203.0.113.1/tcp/9"));
        let relayed = format!("/p2p/{}", PeerId::random()).parse().unwrap();
        assert_eq!(host_of(&relayed), None);
    }
}
