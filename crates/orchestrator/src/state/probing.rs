//! Probing: nodes are asked to measure the paths that a route would take.

use std::collections::BTreeSet;

use computepool_core::NodeId;
use computepool_core::control::{Contact, OrchestratorMessage};

use super::{State, Turn};

/// The most peers in one request.
const MAX_PEERS: usize = 16;
/// Between two looks at who lacks what, in milliseconds.
const LOOK_MS: u64 = 1_000;

impl Turn<'_> {
    /// Asks nodes that have not measured the paths to their possible neighbours to do so.
    pub(super) fn probe(&mut self) {
        let now_ms = self.now_ms;
        if self.state.drain.is_some() || now_ms < self.state.probe_at_ms {
            return;
        }
        self.state.probe_at_ms = now_ms.saturating_add(LOOK_MS);
        let probe_ms = self.state.limits.probe_ms;
        let due = self.state.links.keys().filter(|id| {
            self.state.registered(id).is_some_and(|node| {
                !node.draining && node.probed_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= probe_ms)
            })
        });
        for id in due.cloned().collect::<Vec<_>>() {
            let peers = self.state.unmeasured(&id);
            if peers.is_empty() {
                continue;
            }
            if let Some(node) = self.state.registered_mut(&id) {
                node.probed_ms = Some(now_ms);
            }
            self.send(&id, OrchestratorMessage::Probe { peers });
        }
    }
}

impl State {
    /// Those whom a node could have as neighbours and has measured no path to: the holders of the places beside its own
    /// (the exit's tokens go to the entry), or any other node of its pools while it has none.
    fn unmeasured(&self, id: &NodeId) -> Vec<Contact> {
        let Some(node) = self.registered(id) else { return Vec::new() };
        let known: BTreeSet<&NodeId> = node.advert.links.iter().map(|link| &link.peer).collect();
        let mut peers: Vec<&NodeId> = Vec::new();
        match &node.place {
            Some(place) => {
                let slots = &self.pools[place.pool].slots;
                let Some(at) = slots.iter().position(|slot| slot.layers == place.layers) else { return Vec::new() };
                for beside in [(at + 1) % slots.len(), (at + slots.len() - 1) % slots.len()] {
                    peers.extend(&slots[beside].holders);
                }
            }
            None => {
                let shared = |other: &NodeId| {
                    self.registered(other).is_some_and(|it| it.offers.iter().any(|offered| node.offers(offered.pool)))
                };
                peers.extend(self.links.keys().filter(|other| shared(other)).take(4 * MAX_PEERS));
            }
        }
        let mut seen = BTreeSet::from([id]);
        peers.retain(|peer| !known.contains(peer) && seen.insert(*peer));
        let contact = |peer: &NodeId| {
            let addresses = self.registered(peer)?.advert.addresses.clone();
            (!addresses.is_empty()).then(|| Contact { node: peer.clone(), addresses })
        };
        peers.into_iter().filter_map(contact).take(MAX_PEERS).collect()
    }
}
