//! Who is connected, over what, and how far away. Written by the swarm's actor, read by everybody.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use computepool_core::PathKind;
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;
use tokio::time::Instant;

use super::paths;

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// TCP with Noise and Yamux.
    Tcp,
    /// QUIC.
    Quic,
}

impl Transport {
    /// What an address leads over, to the relay where it is a circuit; `None` for what this node does not speak.
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        address.iter().find_map(|part| match part {
            Protocol::Tcp(_) => Some(Self::Tcp),
            Protocol::QuicV1 => Some(Self::Quic),
            _ => None,
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Quic => "QUIC",
        })
    }
}

/// One connection to a peer, for people and for the planner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPath {
    /// What lies between.
    pub kind: PathKind,
    /// What it runs over; to the relay, where one lies between.
    pub transport: Transport,
    /// The peer's end of it, a multiaddress; the relay's, where one lies between.
    pub address: String,
    /// Smoothed round trip time; `None` before the first ping came back.
    pub rtt: Option<Duration>,
}

/// Which of several connections a stream takes. One through a relay is only taken where there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The one with the shortest round trip.
    Nearest,
    /// The nearest over this transport, and any other only where there is none.
    Over(Transport),
}

/// Which connections do for what somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// Any.
    Any,
    /// Any that leads through no relay.
    Direct,
    /// One over this transport that leads through no relay.
    Over(Transport),
}

/// One established connection.
#[derive(Clone, Debug)]
struct Connection {
    id: ConnectionId,
    kind: PathKind,
    transport: Transport,
    address: Multiaddr,
    dialled: bool,
    rtt: Option<Duration>,
    missed_pings: u32,
    since: Instant,
    /// Set on a relayed connection once nothing better is to be expected.
    hopeless: bool,
}

/// Every established connection, by peer, oldest first. Bounded by the swarm's connection limits.
#[derive(Debug)]
pub(super) struct Peers {
    table: RwLock<HashMap<PeerId, Vec<Connection>>>,
    changes: watch::Sender<()>,
}

impl Default for Peers {
    fn default() -> Self {
        Self { table: RwLock::default(), changes: watch::Sender::new(()) }
    }
}

impl Peers {
    pub(super) fn opened(&self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        // Of a circuit that somebody opened to us only our own end names the relay.
        let address = match endpoint {
            ConnectedPoint::Listener { local_addr, .. } if endpoint.is_relayed() => local_addr,
            _ => endpoint.get_remote_address(),
        };
        let (kind, transport) = (paths::kind_of(address), Transport::of(address).unwrap_or(Transport::Tcp));
        let connection = Connection {
            id,
            kind,
            transport,
            address: address.clone(),
            dialled: endpoint.is_dialer(),
            rtt: None,
            missed_pings: 0,
            since: Instant::now(),
            hopeless: false,
        };
        self.write(|table| table.entry(peer).or_default().push(connection));
        self.changes.send_replace(());
    }

    pub(super) fn closed(&self, peer: &PeerId, id: ConnectionId) {
        self.write(|table| {
            if let Some(connections) = table.get_mut(peer) {
                connections.retain(|connection| connection.id != id);
                if connections.is_empty() {
                    table.remove(peer);
                }
            }
        });
        self.changes.send_replace(());
    }

    /// Notes that no NAT between here and `peer` will be punched through.
    pub(super) fn stays_relayed(&self, peer: &PeerId) {
        self.write(|table| {
            for connection in table.get_mut(peer).map(Vec::as_mut_slice).unwrap_or_default() {
                connection.hopeless = true;
            }
        });
        self.changes.send_replace(());
    }

    /// Takes in a ping: `None` is one that failed. Returns how many failed in a row.
    pub(super) fn pinged(&self, peer: &PeerId, id: ConnectionId, rtt: Option<Duration>) -> u32 {
        self.write(|table| {
            let found = table.get_mut(peer).and_then(|list| list.iter_mut().find(|connection| connection.id == id));
            let Some(connection) = found else { return 0 };
            match rtt {
                Some(rtt) => {
                    // The same weight that TCP gives a new sample is too slow at one sample in five seconds.
                    connection.rtt = Some(connection.rtt.map_or(rtt, |old| (old * 3 + rtt) / 4));
                    connection.missed_pings = 0;
                }
                None => connection.missed_pings += 1,
            }
            connection.missed_pings
        })
    }

    pub(super) fn is_connected(&self, peer: &PeerId, way: Way) -> bool {
        self.read(|table| {
            let connections = table.get(peer).map(Vec::as_slice).unwrap_or_default();
            connections.iter().any(|connection| connection.does_for(way))
        })
    }

    pub(super) fn choose(&self, peer: &PeerId, prefer: Prefer) -> Option<ConnectionId> {
        self.read(|table| best(table.get(peer)?, prefer).map(|connection| connection.id))
    }

    pub(super) fn path(&self, peer: &PeerId) -> Option<PeerPath> {
        self.read(|table| best(table.get(peer)?, Prefer::Nearest).map(Connection::path))
    }

    pub(super) fn paths(&self, peer: &PeerId) -> Vec<PeerPath> {
        self.read(|table| table.get(peer).map(|list| list.iter().map(Connection::path).collect()).unwrap_or_default())
    }

    /// The peer's end of a connection that this node dialled without a relay.
    pub(super) fn dialled(&self, peer: &PeerId, id: ConnectionId) -> Option<Multiaddr> {
        self.read(|table| {
            let connection = table.get(peer)?.iter().find(|connection| connection.id == id)?;
            let direct = connection.dialled && connection.kind != PathKind::Relayed;
            direct.then(|| connection.address.clone())
        })
    }

    /// Since when `peer` is connected through a relay alone, and something better may still come.
    pub(super) fn only_relayed_since(&self, peer: &PeerId) -> Option<Instant> {
        self.read(|table| {
            let connections = table.get(peer)?;
            let hopeful = connections.iter().all(|c| c.kind == PathKind::Relayed && !c.hopeless);
            connections.iter().map(|c| c.since).max().filter(|_| hopeful)
        })
    }

    /// Relayed connections of peers to whom another connection has lasted for `settled`.
    pub(super) fn relayed_to_spare(&self, settled: Duration, now: Instant) -> Vec<(PeerId, ConnectionId)> {
        self.read(|table| {
            let replaced = table.iter().filter(|(_, connections)| {
                connections
                    .iter()
                    .any(|c| c.kind != PathKind::Relayed && now.saturating_duration_since(c.since) >= settled)
            });
            let relayed = replaced.flat_map(|(peer, connections)| {
                connections.iter().filter(|c| c.kind == PathKind::Relayed).map(|c| (*peer, c.id))
            });
            relayed.collect()
        })
    }

    /// Wakes whenever a connection opened or closed, or a punch was given up.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn connected(&self) -> usize {
        self.read(HashMap::len)
    }

    pub(super) fn all(&self) -> Vec<PeerId> {
        self.read(|table| table.keys().copied().collect())
    }

    fn read<T>(&self, look: impl FnOnce(&HashMap<PeerId, Vec<Connection>>) -> T) -> T {
        look(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut HashMap<PeerId, Vec<Connection>>) -> T) -> T {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Connection {
    fn path(&self) -> PeerPath {
        PeerPath { kind: self.kind, transport: self.transport, address: self.address.to_string(), rtt: self.rtt }
    }

    fn does_for(&self, way: Way) -> bool {
        match way {
            Way::Any => true,
            Way::Direct => self.kind != PathKind::Relayed,
            Way::Over(transport) => self.kind != PathKind::Relayed && self.transport == transport,
        }
    }
}

/// The connection to take: a relayed one only where there is no other, an unmeasured one counts as far away, the oldest
/// wins a tie.
fn best(connections: &[Connection], prefer: Prefer) -> Option<&Connection> {
    let nearest = |way: Way| {
        let fit = connections.iter().filter(|connection| connection.does_for(way));
        fit.min_by_key(|connection| connection.rtt.unwrap_or(Duration::MAX))
    };
    let wanted = match prefer {
        Prefer::Nearest => None,
        Prefer::Over(transport) => nearest(Way::Over(transport)),
    };
    wanted.or_else(|| nearest(Way::Direct)).or_else(|| nearest(Way::Any))
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::core::Endpoint;
    use libp2p::core::transport::PortUse;

    fn dialled(address: &str) -> ConnectedPoint {
        let (role_override, port_use) = (Endpoint::Dialer, PortUse::Reuse);
        ConnectedPoint::Dialer { address: address.parse().unwrap(), role_override, port_use }
    }

    #[test]
    fn prefill_takes_tcp_and_the_rest_takes_the_nearest() {
        let (peers, peer) = (Peers::default(), PeerId::random());
        let [tcp, quic, far] = [1, 2, 3].map(ConnectionId::new_unchecked);
        peers.opened(peer, quic, &dialled("/ip4/10.0.0.1/udp/1/quic-v1"));
        assert_eq!(peers.choose(&peer, Prefer::Over(Transport::Tcp)), Some(quic), "QUIC where there is no TCP");
        assert!(!peers.is_connected(&peer, Way::Over(Transport::Tcp)));

        peers.opened(peer, far, &dialled("/ip4/10.0.0.1/tcp/2"));
        peers.opened(peer, tcp, &dialled("/ip4/10.0.0.1/tcp/3"));
        assert_eq!(peers.choose(&peer, Prefer::Nearest), Some(quic), "the oldest, while nothing is measured");
        for (id, ms) in [(quic, 4), (far, 90), (tcp, 8)] {
            peers.pinged(&peer, id, Some(Duration::from_millis(ms)));
        }
        assert_eq!(peers.choose(&peer, Prefer::Nearest), Some(quic));
        assert_eq!(peers.choose(&peer, Prefer::Over(Transport::Tcp)), Some(tcp));
        assert_eq!(peers.path(&peer).unwrap().transport, Transport::Quic);

        assert_eq!(peers.pinged(&peer, quic, None), 1);
        assert_eq!(peers.pinged(&peer, quic, None), 2);
        for id in [tcp, quic, far] {
            peers.closed(&peer, id);
        }
        assert_eq!((peers.connected(), peers.path(&peer)), (0, None));
    }

    #[test]
    fn a_relayed_connection_is_the_last_resort_and_spare_once_there_is_another() {
        let (peers, peer) = (Peers::default(), PeerId::random());
        let [relayed, direct] = [1, 2].map(ConnectionId::new_unchecked);
        let relay = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let inbound = ConnectedPoint::Listener {
            local_addr: format!("/ip4/203.0.113.1/tcp/1/p2p/{relay}/p2p-circuit").parse().unwrap(),
            send_back_addr: format!("/p2p/{peer}").parse().unwrap(),
        };
        peers.opened(peer, relayed, &inbound);
        let path = peers.path(&peer).unwrap();
        assert!(path.kind == PathKind::Relayed && path.address.contains(relay), "{path:?}");
        assert_eq!(peers.choose(&peer, Prefer::Over(Transport::Tcp)), Some(relayed));
        assert!(!peers.is_connected(&peer, Way::Direct) && !peers.is_connected(&peer, Way::Over(Transport::Tcp)));
        assert!(peers.only_relayed_since(&peer).is_some());
        peers.stays_relayed(&peer);
        assert_eq!(peers.only_relayed_since(&peer), None, "nothing better is to be expected");

        peers.pinged(&peer, relayed, Some(Duration::from_millis(1)));
        peers.opened(peer, direct, &dialled("/ip4/203.0.113.9/udp/1/quic-v1"));
        for prefer in [Prefer::Nearest, Prefer::Over(Transport::Tcp)] {
            assert_eq!(peers.choose(&peer, prefer), Some(direct), "even unmeasured, even over the other transport");
        }
        let settled = Duration::from_secs(1);
        let later = Instant::now() + settled;
        assert_eq!(peers.relayed_to_spare(settled, later - settled), []);
        assert_eq!(peers.relayed_to_spare(settled, later), [(peer, relayed)]);
        peers.closed(&peer, direct);
        assert_eq!(peers.relayed_to_spare(settled, later), []);
    }
}
