//! How a node can be reached, judged from where others saw it come.
//!
//! A NAT that gives a socket the same outside port towards everybody ("endpoint-independent mapping", RFC 4787) can be
//! punched through; one that takes another port for every destination cannot, for nobody can tell the port in advance.
//! Two observers on different hosts are enough to tell the one from the other.

use std::net::IpAddr;

use computepool_core::Reach;
use libp2p::{Multiaddr, PeerId};

use super::paths::{ip_of, is_global, port_of};
use super::peers::Transport;

/// Observations kept; the oldest go first.
const MAX_KEPT: usize = 32;

/// From where one peer saw this node come, over one transport.
#[derive(Clone, Debug, PartialEq)]
struct Observation {
    peer: PeerId,
    /// Where that peer is itself: two peers on one host are one observer.
    host: IpAddr,
    transport: Transport,
    address: Multiaddr,
}

/// From where peers saw this node come, one observation for each peer and transport, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Observations {
    kept: Vec<Observation>,
}

impl Observations {
    /// Takes in what `peer` at `remote`, which this node dialled, observed. What says nothing about a NAT is left out:
    /// peers on the local network, and addresses that mean nothing elsewhere.
    pub(super) fn take_in(&mut self, peer: PeerId, remote: &Multiaddr, observed: &Multiaddr) -> bool {
        let (Some(host), Some(seen), Some(transport)) = (ip_of(remote), ip_of(observed), Transport::of(observed))
        else {
            return false;
        };
        if !is_global(host) || !is_global(seen) {
            return false;
        }
        self.kept.retain(|old| (old.peer, old.transport) != (peer, transport));
        if self.kept.len() >= MAX_KEPT {
            self.kept.remove(0);
        }
        self.kept.push(Observation { peer, host, transport, address: observed.clone() });
        true
    }

    /// Who saw what.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Multiaddr)> {
        self.kept.iter().map(|observation| (&observation.peer, &observation.address))
    }

    /// What the observations of two or more hosts amount to.
    ///
    /// Two hosts that saw the same port, over any transport, are enough: a connection now and then leaves from a port of
    /// its own, where the listening one is taken, and is seen with another. Where no two agree, no port is kept.
    pub(super) fn reach(&self) -> Reach {
        let over = [Transport::Tcp, Transport::Quic].map(|transport| self.by_host(transport));
        match over.iter().map(Vec::len).max() {
            _ if !self.agreed().is_empty() => Reach::Punchable,
            Some(2..) => Reach::Relayed,
            _ => Reach::Unknown,
        }
    }

    /// Addresses that two hosts or more saw alike.
    pub(super) fn agreed(&self) -> Vec<Multiaddr> {
        let mut agreed = Vec::new();
        for seen in [Transport::Tcp, Transport::Quic].map(|transport| self.by_host(transport)) {
            for (at, address) in seen.iter().enumerate() {
                if seen[..at].iter().any(|other| outside(other) == outside(address)) {
                    agreed.push((*address).clone());
                    break;
                }
            }
        }
        agreed
    }

    /// What each host saw last over `transport`.
    fn by_host(&self, transport: Transport) -> Vec<&Multiaddr> {
        let (mut hosts, mut seen) = (Vec::new(), Vec::new());
        for observation in self.kept.iter().rev().filter(|observation| observation.transport == transport) {
            if !hosts.contains(&observation.host) {
                hosts.push(observation.host);
                seen.push(&observation.address);
            }
        }
        seen
    }
}

/// The outside of a NAT that an address names.
fn outside(address: &Multiaddr) -> (Option<IpAddr>, Option<u16>) {
    (ip_of(address), port_of(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    /// Feeds (observer's host, what it saw) and gives the verdict.
    fn verdict(seen: &[(&str, &str)]) -> Reach {
        let mut observations = Observations::default();
        for (host, observed) in seen {
            observations.take_in(PeerId::random(), &address(&format!("/ip4/{host}/tcp/4001")), &address(observed));
        }
        observations.reach()
    }

    #[test]
    fn the_same_port_at_two_hosts_can_be_punched_and_another_cannot() {
        let (one, two) = ("203.0.113.1", "203.0.113.2");
        let (tcp, tcp_too) = ("/ip4/198.51.100.7/tcp/4001", "/ip4/198.51.100.7/tcp/50123");
        let (quic, quic_too) = ("/ip4/198.51.100.7/udp/4001/quic-v1", "/ip4/198.51.100.7/udp/50123/quic-v1");
        assert_eq!(verdict(&[]), Reach::Unknown);
        assert_eq!(verdict(&[(one, tcp)]), Reach::Unknown, "one host cannot tell");
        assert_eq!(verdict(&[(one, tcp), (one, tcp_too)]), Reach::Unknown, "nor can two peers on it");
        assert_eq!(verdict(&[(one, tcp), (two, quic)]), Reach::Unknown, "nor do two transports make two hosts");
        assert_eq!(verdict(&[(one, tcp), (two, tcp)]), Reach::Punchable);
        assert_eq!(verdict(&[(one, tcp), (two, tcp_too)]), Reach::Relayed);
        assert_eq!(verdict(&[(one, quic), (two, quic_too)]), Reach::Relayed);
        assert_eq!(
            verdict(&[(one, tcp), (two, tcp_too), (one, quic), (two, quic)]),
            Reach::Punchable,
            "one transport that keeps its port will do"
        );
        let three = "203.0.113.3";
        assert_eq!(verdict(&[(one, tcp), (two, tcp_too), (three, tcp)]), Reach::Punchable, "one came from elsewhere");
        let elsewhere = "/ip4/198.51.100.8/tcp/4001";
        assert_eq!(verdict(&[(one, tcp), (two, elsewhere)]), Reach::Relayed, "carriers may change the address too");
    }

    #[test]
    fn the_local_network_says_nothing_about_a_nat() {
        let tcp = "/ip4/198.51.100.7/tcp/4001";
        assert_eq!(verdict(&[("192.168.1.2", tcp), ("192.168.1.3", tcp)]), Reach::Unknown);
        let home = "/ip4/192.168.1.9/tcp/4001";
        assert_eq!(verdict(&[("203.0.113.1", home), ("203.0.113.2", home)]), Reach::Unknown);
        let circuit = "/p2p-circuit";
        assert_eq!(verdict(&[("203.0.113.1", circuit), ("203.0.113.2", circuit)]), Reach::Unknown);
    }

    #[test]
    fn a_later_observation_replaces_an_earlier_one_and_few_are_kept() {
        let (mut observations, peer) = (Observations::default(), PeerId::random());
        let (one, two) = (address("/ip4/203.0.113.1/tcp/1"), address("/ip4/203.0.113.2/tcp/1"));
        let (before, after) = (address("/ip4/198.51.100.7/tcp/1"), address("/ip4/198.51.100.7/tcp/2"));
        observations.take_in(peer, &one, &before);
        observations.take_in(PeerId::random(), &two, &after);
        assert_eq!(observations.reach(), Reach::Relayed);
        assert!(observations.take_in(peer, &one, &after), "the mapping changed");
        assert_eq!(observations.reach(), Reach::Punchable);
        for _ in 0..100 {
            observations.take_in(PeerId::random(), &one, &after);
        }
        assert_eq!(observations.iter().count(), MAX_KEPT);
    }
}
