//! What nodes say of their shards.

use computepool_core::control::Assignment;
use computepool_core::{Fault, FaultCode, NodeId, ShardInfo};

use super::failover::Blame;
use super::registry::PlacePhase;
use super::{State, Turn};
use crate::refusal::{heard, plain};
use crate::{Loss, Violation};

/// The longest description of a device or its kernels that is kept, in characters.
const MAX_DESCRIPTION: usize = 120;
/// The longest pause before a shard that stays down is assigned to its holder again, in milliseconds.
const MAX_RETRY_MS: u64 = 5 * 60_000;

impl State {
    /// Whether the holder of a place has been down for so long that a spare should take it.
    pub(super) fn failed_for_good(&self, node: &NodeId, now_ms: u64) -> bool {
        match self.registered(node).and_then(|node| node.place.as_ref()).map(|place| &place.phase) {
            Some(PlacePhase::Down { since_ms, .. }) => now_ms.saturating_sub(*since_ms) >= self.limits.down_ms,
            _ => false,
        }
    }

    /// Whether the holder of a place that nobody else can take has been down for long enough to be asked again; the
    /// pause doubles with every time that this came to nothing.
    pub(super) fn may_retry(&self, node: &NodeId, now_ms: u64) -> bool {
        let Some(place) = self.registered(node).and_then(|node| node.place.as_ref()) else { return false };
        let PlacePhase::Down { since_ms, .. } = place.phase else { return false };
        let doubled = 1_u64.checked_shl(place.retries).unwrap_or(u64::MAX);
        now_ms.saturating_sub(since_ms) >= self.limits.down_ms.saturating_mul(doubled).min(MAX_RETRY_MS)
    }
}

impl Turn<'_> {
    pub(super) fn shard_ready(&mut self, id: &NodeId, assignment: Assignment, info: ShardInfo) {
        let last = self.state.assignments;
        if assignment > last {
            return self.expel(id, Violation::Assignment { got: assignment, last }.to_string());
        }
        let Some(node) = self.state.registered_mut(id) else { return };
        let Some(place) = node.place.as_mut().filter(|place| place.assignment == assignment) else {
            // Of a place that was taken away meanwhile: at least it can load again.
            if node.place.is_none() && node.benched_ms.take().is_some() {
                node.note = None;
                self.places_changed = true;
                self.shown();
            }
            return;
        };
        let layers = place.layers;
        let (pool, short) = (place.pool, |text: &str| plain(text, MAX_DESCRIPTION));
        let (device, kernels) = (short(&info.device), short(&info.kernels));
        let summary = &self.state.pools[pool].settings.summary;
        if info.model != summary.hash || info.layers != layers || info.hidden != summary.hidden {
            let expected = format!("layers {layers} of {} with {} wide states", summary.hash, summary.hidden);
            let got = format!("layers {} of {} with {} wide states", info.layers, info.model, info.hidden);
            return self.expel(id, Violation::WrongShard { expected, got }.to_string());
        }
        let info = ShardInfo { device, kernels, ..info };
        if let Some(node) = self.state.registered_mut(id) {
            node.benched_ms = None;
            node.fetching = None;
            if let Some(place) = &mut node.place {
                // Saying the same again is not worth showing again.
                if matches!(&place.phase, PlacePhase::Ready { info: known } if **known == info) {
                    return;
                }
                place.phase = PlacePhase::Ready { info: Box::new(info) };
                place.retries = 0;
            }
        }
        self.places_changed = true;
        self.routes_changed = true;
        self.shown();
    }

    pub(super) fn shard_down(&mut self, id: &NodeId, assignment: Assignment, fault: Fault) {
        let last = self.state.assignments;
        if assignment > last {
            return self.expel(id, Violation::Assignment { got: assignment, last }.to_string());
        }
        self.put_down(id, assignment, heard(fault));
    }

    /// Takes a shard out of service until its node says that it is ready again.
    pub(super) fn put_down(&mut self, id: &NodeId, assignment: Assignment, fault: Fault) {
        let now_ms = self.now_ms;
        let Some(node) = self.state.registered_mut(id) else { return };
        let Some(place) = node.place.as_mut().filter(|place| place.assignment == assignment) else { return };
        let since_ms = match place.phase {
            PlacePhase::Down { since_ms, .. } => since_ms,
            _ => now_ms,
        };
        place.phase = PlacePhase::Down { since_ms, fault: fault.clone() };
        self.shown();
        let sessions: Vec<_> = self.state.sessions_of(id).collect();
        for (session, layers) in sessions {
            let who = self.state.who(id, layers);
            let loss = Loss::Shard { who, fault: fault.clone() };
            self.break_session(session, &loss, &Blame::Node(id.clone()));
        }
    }

    /// A shard that does not load in time counts as down.
    pub(super) fn check_loading(&mut self) {
        let (now_ms, load_ms) = (self.now_ms, self.state.limits.load_ms);
        let late = |phase: &PlacePhase| match phase {
            PlacePhase::Loading { since_ms } => now_ms.saturating_sub(*since_ms) >= load_ms,
            _ => false,
        };
        let nodes = self.state.links.keys().filter_map(|id| {
            let place = self.state.registered(id)?.place.as_ref()?;
            late(&place.phase).then(|| (id.clone(), place.assignment))
        });
        for (id, assignment) in nodes.collect::<Vec<_>>() {
            let fault = Fault::new(FaultCode::Stalled, format!("the shard did not load within {load_ms} ms"));
            self.put_down(&id, assignment, fault);
        }
    }

    /// Takes a node's place away, because its shard stayed down.
    pub(super) fn bench(&mut self, id: &NodeId) {
        let now_ms = self.now_ms;
        let Some(node) = self.state.registered_mut(id) else { return };
        let Some(place) = node.place.take() else { return };
        node.benched_ms = Some(now_ms);
        if let PlacePhase::Down { fault, .. } = place.phase {
            node.note = Some(format!("lost layers {} to a spare: {}", place.layers, fault.message));
        }
        self.vacate(id, false);
        self.shown();
    }
}
