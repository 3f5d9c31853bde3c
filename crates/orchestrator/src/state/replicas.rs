//! Replicas: places held by several nodes, so that one can be lost.

use std::collections::BTreeMap;

use computepool_core::NodeId;

use super::Turn;
use super::registry::PlacePhase;
use crate::plan::{self, Filled, Problem};

/// The most nodes that hold one place.
const MAX_HOLDERS: usize = 16;
/// How long a place stays without anybody before another place gives one of its nodes up, in milliseconds.
const VACANT_MS: u64 = 3_000;

impl Turn<'_> {
    /// Gives nodes that come back the place they held: their engines may still have it loaded.
    pub(super) fn take_back(&mut self, pool: usize) {
        for place in 0..self.state.pools[pool].slots.len() {
            let slot = &self.state.pools[pool].slots[place];
            if slot.coming.is_empty() || slot.holders.len() >= MAX_HOLDERS {
                continue;
            }
            let back = slot.coming.iter().map(|it| &it.node).filter(|id| {
                let free = |id| self.state.registered(id).is_some_and(|node| node.place.is_none() && !node.draining);
                free(id) && self.state.fits(pool, slot.layers, id)
            });
            for id in back.cloned().collect::<Vec<_>>() {
                self.assign(pool, place, id);
            }
        }
    }

    /// Spreads spare nodes over the places.
    pub(super) fn double(&mut self, pool: usize) {
        let it = &self.state.pools[pool];
        let rested = |id: &NodeId| self.state.registered(id).is_some_and(|node| !node.is_resting(self.now_ms));
        let spares: Vec<NodeId> = self.state.spares(pool).into_iter().map(|(id, _)| id).filter(rested).collect();
        if it.slots.is_empty() || spares.is_empty() {
            return;
        }
        // Only who is of use counts as a holder here.
        let good = |id: &&NodeId| !self.state.failed_for_good(id, self.now_ms);
        let held: Vec<Vec<NodeId>> =
            it.slots.iter().map(|slot| slot.holders.iter().filter(good).cloned().collect()).collect();
        if held.iter().all(|holders| holders.len() >= MAX_HOLDERS) {
            return;
        }
        let (machines, nodes) = self.state.machines(it, held.iter().flatten().chain(&spares));
        let indices: BTreeMap<&NodeId, usize> = nodes.iter().enumerate().map(|(index, id)| (id, index)).collect();
        let index = |id: &NodeId| indices.get(id).copied();
        let places: Vec<Filled> = it
            .slots
            .iter()
            .zip(&held)
            .map(|(slot, holders)| Filled { layers: slot.layers, holders: holders.iter().filter_map(index).collect() })
            .collect();
        let spare_indices: Vec<usize> = spares.iter().filter_map(index).collect();
        let paths = self.state.paths(&nodes);
        let given = plan::spread(&Problem::of(&it.settings), &machines, &paths, &places, &spare_indices, MAX_HOLDERS);
        for (spare, place) in given {
            let id = nodes[spare].clone();
            if self.state.fits(pool, self.state.pools[pool].slots[place].layers, &id) {
                self.assign(pool, place, id);
            }
        }
    }

    /// Moves a holder from the place that has most to one that has at least two fewer, once nobody else came for as long
    /// as a lost shard is waited for. A place without anybody waits no longer than a link takes to come back, and for it
    /// even busy nodes move.
    pub(super) fn level(&mut self, pool: usize) {
        let it = &self.state.pools[pool];
        let counts: Vec<usize> = it.slots.iter().map(|slot| self.state.good_holders(slot)).collect();
        let poorest = (0..counts.len()).min_by_key(|place| counts[*place]);
        let uneven = poorest.filter(|place| counts.iter().any(|count| *count >= counts[*place] + 2));
        let Some(poorest) = uneven.filter(|_| !it.is_expecting(self.now_ms)) else {
            self.state.pools[pool].uneven_ms = None;
            return;
        };
        let since_ms = it.uneven_ms.unwrap_or(self.now_ms);
        let down_ms = self.state.limits.down_ms;
        let patience_ms = if counts[poorest] == 0 { down_ms.min(VACANT_MS) } else { down_ms };
        if self.now_ms.saturating_sub(since_ms) < patience_ms {
            self.state.pools[pool].uneven_ms = Some(since_ms);
            return;
        }
        let (layers, loads) = (it.slots[poorest].layers, self.state.loads());
        let load = |id: &NodeId| loads.get(id).copied().unwrap_or(0);
        let is_ready = |id: &NodeId| {
            let place = self.state.registered(id).and_then(|node| node.place.as_ref());
            place.is_some_and(|place| matches!(place.phase, PlacePhase::Ready { .. }))
        };
        let counts = &counts;
        let rich = (0..counts.len()).filter(|place| counts[*place] >= counts[poorest] + 2);
        let movable = rich.flat_map(|place| it.slots[place].holders.iter().map(move |id| (counts[place], id)));
        let mover = movable
            .filter(|(_, id)| self.state.fits(pool, layers, id))
            .filter(|(_, id)| counts[poorest] == 0 || load(id) == 0)
            .min_by_key(|(count, id)| (load(id), is_ready(id), std::cmp::Reverse(*count)))
            .map(|(_, id)| id.clone());
        self.state.pools[pool].uneven_ms = Some(self.now_ms);
        if let Some(mover) = mover {
            self.release(&mover);
            self.assign(pool, poorest, mover);
        }
    }

    /// Takes a node out of its place and its sessions; it stays registered.
    fn release(&mut self, id: &NodeId) {
        self.vacate(id, false);
        for (session, layers) in self.state.sessions_of(id).collect::<Vec<_>>() {
            let loss = crate::Loss::Moved { who: self.state.who(id, layers) };
            self.break_session(session, &loss, &super::failover::Blame::Node(id.clone()));
        }
        if let Some(node) = self.state.registered_mut(id) {
            node.place = None;
        }
    }
}
