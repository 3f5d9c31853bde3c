//! What a node knows of the network around it. Written by the swarm's actor, read by everybody.

use std::collections::BTreeMap;

use computepool_core::Reach;
use libp2p::{Multiaddr, PeerId};

use super::paths::ip_of;
use super::preflight::{Observed, PortMapping, Preflight};
use super::reach::Observations;
use crate::identity::node_of;

/// No more addresses than this are named to others.
const MAX_NAMED: usize = 12;

/// Everything known. All addresses are without this node's own peer id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Surroundings {
    /// Where it listens, without circuits.
    pub(super) listeners: Vec<Multiaddr>,
    /// Where its owner says that it can be reached.
    pub(super) said: Vec<Multiaddr>,
    /// Where a peer tried and reached it (AutoNAT).
    pub(super) confirmed: Vec<Multiaddr>,
    /// What the router maps to it (UPnP).
    pub(super) mapped: Vec<Multiaddr>,
    /// What became of asking the router.
    pub(super) mapping: PortMapping,
    /// Where it can be reached through relays, and by which.
    pub(super) circuits: Vec<(PeerId, Multiaddr)>,
    /// From where others saw it come.
    pub(super) observations: Observations,
    /// The local network's nodes, by mDNS.
    pub(super) lan: BTreeMap<PeerId, Vec<Multiaddr>>,
}

impl Surroundings {
    /// How this node can be reached.
    pub(super) fn reach(&self) -> Reach {
        if self.public().next().is_some() { Reach::Public } else { self.observations.reach() }
    }

    /// Addresses at which anybody can reach it.
    fn public(&self) -> impl Iterator<Item = &Multiaddr> {
        self.said.iter().chain(&self.confirmed).chain(&self.mapped)
    }

    /// Every address there is, most direct first.
    pub(super) fn addresses(&self) -> Vec<String> {
        let circuits = self.circuits.iter().map(|(_, address)| address);
        named(self.listeners.iter().chain(self.public()).chain(circuits))
    }

    /// The addresses that are of use to others: public ones, then those of the local network, then circuits. Loopback
    /// addresses count only where there is nothing else.
    pub(super) fn dialable(&self) -> Vec<String> {
        let here = |address: &&Multiaddr| ip_of(address).is_none_or(|ip| !ip.is_loopback() && !ip.is_unspecified());
        let circuits = self.circuits.iter().map(|(_, address)| address);
        // Circuits must not fall victim to a machine with many interfaces.
        let direct = self.public().chain(self.listeners.iter().filter(here));
        let direct = direct.take(MAX_NAMED.saturating_sub(self.circuits.len().min(MAX_NAMED / 2)));
        let mut all = named(direct.chain(circuits));
        all.truncate(MAX_NAMED);
        if all.is_empty() { named(self.listeners.iter()) } else { all }
    }

    pub(super) fn preflight(&self) -> Preflight {
        let mut relays: Vec<_> = self.circuits.iter().filter_map(|(relay, _)| node_of(relay).ok()).collect();
        relays.sort_unstable();
        relays.dedup();
        let observed = self.observations.iter();
        Preflight {
            listeners: named(self.listeners.iter()),
            reach: self.reach(),
            public: named(self.public()),
            relays,
            mapping: self.mapping,
            observed: observed
                .filter_map(|(peer, address)| Some(Observed { by: node_of(peer).ok()?, address: address.to_string() }))
                .collect(),
            lan_peers: self.lan.keys().filter_map(|peer| node_of(peer).ok()).collect(),
        }
    }
}

/// Addresses as text, each once.
fn named<'a>(addresses: impl Iterator<Item = &'a Multiaddr>) -> Vec<String> {
    let mut all = Vec::new();
    for address in addresses {
        let text = address.to_string();
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn others_are_told_what_is_of_use_to_them() {
        let mut known = Surroundings {
            listeners: addresses(&["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/tcp/1", "/ip6/::1/tcp/1"]),
            ..Surroundings::default()
        };
        assert_eq!(known.dialable(), ["/ip4/192.168.1.7/tcp/1"]);
        assert_eq!(known.reach(), Reach::Unknown);
        let relay = PeerId::random();
        let circuit = format!("/ip4/203.0.113.1/tcp/1/p2p/{relay}/p2p-circuit");
        known.circuits = vec![(relay, circuit.parse().unwrap())];
        known.mapped = addresses(&["/ip4/203.0.113.9/tcp/1"]);
        assert_eq!(known.dialable(), ["/ip4/203.0.113.9/tcp/1", "/ip4/192.168.1.7/tcp/1", &circuit]);
        assert_eq!((known.reach(), known.addresses().len()), (Reach::Public, 5));
        known.mapped.clear();
        known.confirmed = addresses(&["/ip4/203.0.113.9/tcp/1"]);
        assert_eq!(known.reach(), Reach::Public);
        known.confirmed.clear();
        assert_eq!(known.reach(), Reach::Unknown, "an address that is gone is no longer counted on");

        let local: Vec<_> = (0..50).map(|host| format!("/ip4/10.0.0.{host}/tcp/1")).collect();
        known.listeners = addresses(&local.iter().map(String::as_str).collect::<Vec<_>>());
        let told = known.dialable();
        assert_eq!(told.len(), MAX_NAMED);
        assert_eq!(told.last(), Some(&circuit), "many interfaces leave room for the circuit");
        known.listeners = addresses(&["/ip4/127.0.0.1/tcp/1"]);
        known.circuits.clear();
        assert_eq!(known.dialable(), ["/ip4/127.0.0.1/tcp/1"], "a demo on one machine");
    }
}
