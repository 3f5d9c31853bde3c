//! Who is connected, over what, and how far away. Written by the swarm's actor, read by everybody.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

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
    /// What an address leads over; `None` for what this node does not speak.
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        if address.iter().any(|part| matches!(part, Protocol::P2pCircuit)) {
            return None;
        }
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
    /// What it runs over.
    pub transport: Transport,
    /// The peer's end of it, a multiaddress.
    pub address: String,
    /// Smoothed round trip time; `None` before the first ping came back.
    pub rtt: Option<Duration>,
}

/// Which of several connections a stream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The one with the shortest round trip.
    Nearest,
    /// The nearest over this transport, and any other only where there is none.
    Over(Transport),
}

/// One established connection.
#[derive(Clone, Debug)]
struct Connection {
    id: ConnectionId,
    transport: Transport,
    address: Multiaddr,
    rtt: Option<Duration>,
    missed_pings: u32,
}

/// Every established connection, by peer, oldest first. Bounded by the swarm's connection limits.
#[derive(Debug, Default)]
pub(super) struct Peers {
    table: RwLock<HashMap<PeerId, Vec<Connection>>>,
}

impl Peers {
    pub(super) fn opened(&self, peer: PeerId, id: ConnectionId, address: Multiaddr) {
        let transport = Transport::of(&address).unwrap_or(Transport::Tcp);
        let connection = Connection { id, transport, address, rtt: None, missed_pings: 0 };
        self.write(|table| table.entry(peer).or_default().push(connection));
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

    pub(super) fn is_connected(&self, peer: &PeerId, over: Option<Transport>) -> bool {
        self.read(|table| {
            let connections = table.get(peer).map(Vec::as_slice).unwrap_or_default();
            connections.iter().any(|connection| over.is_none_or(|over| connection.transport == over))
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
        PeerPath { transport: self.transport, address: self.address.to_string(), rtt: self.rtt }
    }
}

/// The connection to take: an unmeasured one counts as far away, the oldest wins a tie.
fn best(connections: &[Connection], prefer: Prefer) -> Option<&Connection> {
    let nearest = |of: &mut dyn Iterator<Item = &'_ Connection>| -> Option<ConnectionId> {
        of.min_by_key(|connection| connection.rtt.unwrap_or(Duration::MAX)).map(|connection| connection.id)
    };
    let wanted = match prefer {
        Prefer::Nearest => None,
        Prefer::Over(transport) => nearest(&mut connections.iter().filter(|c| c.transport == transport)),
    };
    let id = wanted.or_else(|| nearest(&mut connections.iter()))?;
    connections.iter().find(|connection| connection.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefill_takes_tcp_and_the_rest_takes_the_nearest() {
        let (peers, peer) = (Peers::default(), PeerId::random());
        let [tcp, quic, far] = [1, 2, 3].map(ConnectionId::new_unchecked);
        peers.opened(peer, quic, "/ip4/10.0.0.1/udp/1/quic-v1".parse().unwrap());
        assert_eq!(peers.choose(&peer, Prefer::Over(Transport::Tcp)), Some(quic), "QUIC where there is no TCP");
        assert!(!peers.is_connected(&peer, Some(Transport::Tcp)));

        peers.opened(peer, far, "/ip4/10.0.0.1/tcp/2".parse().unwrap());
        peers.opened(peer, tcp, "/ip4/10.0.0.1/tcp/3".parse().unwrap());
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
}
