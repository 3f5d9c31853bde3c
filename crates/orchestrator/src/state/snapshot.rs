//! What people are shown.

use std::collections::BTreeMap;

use computepool_core::NodeId;
use computepool_core::ports::{NetworkStatus, NodeStatus, PlaceStatus, PoolStatus, ShardPhase};

use super::State;
use super::pool::{Pool, Slot};
use super::registry::{LinkPhase, Node, PlacePhase};

impl State {
    /// The network as this orchestrator knows it: nodes with a place in route order, then the others in order of
    /// registration.
    pub fn network(&self) -> NetworkStatus {
        let mut nodes: Vec<(&NodeId, &Node)> = self
            .links
            .iter()
            .filter_map(|(id, link)| match &link.phase {
                LinkPhase::Registered(node) => Some((id, node.as_ref())),
                _ => None,
            })
            .collect();
        nodes.sort_by_key(|(_, node)| {
            let place = node.place.as_ref().map_or((usize::MAX, 0), |place| (place.pool, place.layers.start()));
            (place, node.order)
        });
        let loads = self.loads();
        let generations = self.generations.values().filter(|generation| generation.is_untold()).count();
        NetworkStatus {
            nodes: nodes.into_iter().map(|(id, node)| self.node_status(id, node, &loads)).collect(),
            sessions: (self.sessions.len() + self.remembered.sessions()) as u64,
            generations: generations as u64,
            pools: (0..self.pools.len()).map(|pool| self.pool_status(pool)).collect(),
            failovers: self.failovers,
            handovers: self.handovers,
            journal_fault: None,
        }
    }

    /// For each pool, in the order it was given, whether a complete route serves it and new requests are taken.
    pub fn available(&self) -> Vec<bool> {
        (0..self.pools.len()).map(|pool| self.drain.is_none() && self.is_served(pool).is_ok()).collect()
    }

    fn node_status(&self, id: &NodeId, node: &Node, loads: &BTreeMap<NodeId, u32>) -> NodeStatus {
        let (phase, reason, shard) = match &node.place {
            None => (ShardPhase::Idle, self.idle_reason(node), None),
            Some(place) => match &place.phase {
                PlacePhase::Loading { .. } => (ShardPhase::Loading, "loading its layers".to_owned(), None),
                PlacePhase::Ready { info } => (ShardPhase::Ready, "serving".to_owned(), Some(info.as_ref().clone())),
                PlacePhase::Down { fault, .. } => (ShardPhase::Down, fault.message.clone(), None),
            },
        };
        let (phase, reason) = if node.draining {
            (ShardPhase::Draining, "finishing what it has, takes nothing new".to_owned())
        } else {
            (phase, reason)
        };
        let reason = if node.suspect { format!("{reason}, but does not answer") } else { reason };
        let reason =
            if node.is_outdated(self.now_ms) { format!("{reason}, but its advert has expired") } else { reason };
        let reason = match &node.note {
            Some(note) => format!("{reason}; {note}"),
            None => reason,
        };
        let layers = node.place.as_ref().map(|place| place.layers);
        NodeStatus {
            node: id.clone(),
            name: node.advert.name.clone(),
            layers,
            phase,
            reason,
            shard,
            usage: node.usage,
            reach: node.advert.reach,
            links: node.advert.links.clone(),
            slowness: node.slowness,
            generations: loads.get(id).copied().unwrap_or(0).into(),
            fetching: node.fetching,
            operator: node.advert.operator,
        }
    }

    fn pool_status(&self, index: usize) -> PoolStatus {
        let pool = &self.pools[index];
        let is_ready = |id: &&NodeId| {
            let place = self.registered(id).filter(|node| !node.suspect).and_then(|node| node.place.as_ref());
            place.is_some_and(|place| matches!(place.phase, PlacePhase::Ready { .. }))
        };
        let place = |slot: &Slot| {
            let (ready, loading): (Vec<&NodeId>, Vec<&NodeId>) = slot.holders.iter().partition(is_ready);
            let coming = loading.into_iter().chain(slot.coming.iter().map(|it| &it.node)).cloned().collect();
            PlaceStatus { layers: slot.layers, ready: ready.into_iter().cloned().collect(), coming }
        };
        PoolStatus {
            model: pool.settings.summary.id.clone(),
            places: pool.slots.iter().map(place).collect(),
            spares: self.redundancy(index),
            predicted: pool.predicted,
            measured: pool.measured,
            advice: pool.advice.clone(),
        }
    }

    fn idle_reason(&self, node: &Node) -> String {
        let offered: Vec<&Pool> = node.offers.iter().filter_map(|pool| self.pools.get(pool.pool)).collect();
        let Some(first) = offered.first() else {
            return "it has none of the models offered here".to_owned();
        };
        let too_long = |pool: &&Pool| node.advert.layers.is_some_and(|it| it.end() > pool.settings.summary.layer_count);
        if offered.iter().all(too_long) {
            let layers = first.settings.summary.layer_count;
            return match node.advert.layers {
                Some(insisted) => format!("it insists on layers {insisted} of a model with {layers}"),
                None => "spare".to_owned(),
            };
        }
        if let Some(error) = offered.iter().find_map(|pool| pool.unplanned.as_ref()) {
            return format!("waiting: {error}");
        }
        let vacant = offered.iter().flat_map(|pool| &pool.slots).any(|slot| slot.holders.is_empty());
        match node.advert.layers {
            Some(insisted) => format!("spare: it insists on layers {insisted}, and no such place is vacant"),
            None if vacant => "spare: it has too little memory for the vacant place".to_owned(),
            None => "spare: every place of the route has as many nodes as it may have".to_owned(),
        }
    }
}
