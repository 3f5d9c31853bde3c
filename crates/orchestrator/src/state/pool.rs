//! A pool's places: how its model is cut, and who holds which range.

use std::collections::VecDeque;

use computepool_core::control::{Assignment, OrchestratorMessage};
use computepool_core::ports::Pace;
use computepool_core::{LayerRange, NodeId, ShardSpec};

use super::registry::{LinkPhase, Node, Place, PlacePhase};
use super::{State, Turn};
use crate::PoolSettings;
use crate::plan::{self, Candidate, Holding, Machine, Origin, PlanError, Problem};

/// The most nodes that a place remembers to have lost.
const MAX_COMING: usize = 16;
/// The prompt of [`Pace::first_us`], in tokens.
pub(super) const FIRST_PROMPT: u64 = 128;

/// One offered model.
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    /// The route's places, entry first; empty while the model is not cut.
    pub(super) slots: Vec<Slot>,
    /// Why the model is not cut.
    pub(super) unplanned: Option<PlanError>,
    /// What was predicted of the fastest route, while there is one.
    pub(super) predicted: Option<Pace>,
    /// What generations took lately.
    pub(super) measured: Option<Pace>,
    /// What the split advisor says.
    pub(super) advice: Option<String>,
    /// Since when one place has far fewer holders than another.
    pub(super) uneven_ms: Option<u64>,
    /// Until when the places of an earlier life are kept as they are.
    pub(super) restored_until_ms: u64,
    /// Who holds what has changed and was not written down.
    pub(super) unwritten: bool,
}

/// One place in a route.
pub(super) struct Slot {
    pub(super) layers: LayerRange,
    /// Who was asked to hold it, in that order.
    pub(super) holders: Vec<NodeId>,
    /// Who held it until a moment ago.
    pub(super) coming: VecDeque<Coming>,
}

/// A node that was lost with a place and may come back to it.
pub(super) struct Coming {
    pub(super) node: NodeId,
    /// What it was last told to load it as.
    pub(super) assignment: Assignment,
    /// Until when it is kept in mind.
    pub(super) until_ms: u64,
}

impl Slot {
    pub(super) fn new(layers: LayerRange) -> Self {
        Self { layers, holders: Vec::new(), coming: VecDeque::new() }
    }

    /// Keeps in mind that a node held this place.
    pub(super) fn expect(&mut self, node: NodeId, assignment: Assignment, until_ms: u64) {
        self.coming.retain(|other| other.node != node);
        if self.coming.len() == MAX_COMING {
            self.coming.pop_front();
        }
        self.coming.push_back(Coming { node, assignment, until_ms });
    }
}

impl Pool {
    pub(super) fn new(settings: PoolSettings) -> Self {
        let unplanned = Some(PlanError::TooFew { present: 0, needed: settings.shards });
        Self {
            settings,
            slots: Vec::new(),
            unplanned,
            predicted: None,
            measured: None,
            advice: None,
            uneven_ms: None,
            restored_until_ms: 0,
            unwritten: false,
        }
    }

    /// How long the first token of a prompt of so many tokens should take, in milliseconds: as measured, or else as
    /// predicted, whichever is more.
    pub(super) fn expected_first_ms(&self, rows: u64) -> Option<u64> {
        let paces = [self.measured, self.predicted].into_iter().flatten();
        let first_us = paces.map(|pace| pace.first_us).max()?;
        Some(first_us.saturating_mul(rows.max(FIRST_PROMPT)) / FIRST_PROMPT / 1000)
    }

    /// Whether somebody who held a place in an earlier life may still come back to it.
    pub(super) fn is_expecting(&self, now_ms: u64) -> bool {
        now_ms < self.restored_until_ms && self.slots.iter().any(|slot| !slot.coming.is_empty())
    }
}

impl State {
    /// Registered nodes without a place that could take one in `pool`, in order of registration; such as lost a place
    /// by failing come last.
    pub(super) fn spares(&self, pool: usize) -> Vec<(NodeId, Candidate)> {
        let mut spares: Vec<_> = self
            .links
            .iter()
            .filter_map(|(id, link)| match &link.phase {
                LinkPhase::Registered(node) => Some((id, node.as_ref())),
                _ => None,
            })
            .filter(|(_, node)| node.place.is_none() && !node.draining && !node.suspect && node.offers(pool))
            .filter(|(_, node)| !node.is_outdated(self.now_ms))
            .collect();
        spares.sort_by_key(|(_, node)| (node.benched_ms.is_some(), node.order));
        spares.into_iter().map(|(id, node)| (id.clone(), node.candidate())).collect()
    }

    /// Whether a node could serve exactly `layers`.
    pub(super) fn fits(&self, pool: usize, layers: LayerRange, id: &NodeId) -> bool {
        let Some(node) = self.registered(id) else { return false };
        let settings = &self.pools[pool].settings;
        let has = node.offers.iter().find(|offered| offered.pool == pool).is_some_and(|offered| match offered.held {
            Some(Some(held)) => Holding::Range(held).covers(layers) || offered.fetches,
            _ => true,
        });
        has && plan::suits(settings, layers, &node.candidate())
    }

    /// The holders of a place that have not failed for good.
    pub(super) fn good_holders(&self, slot: &Slot) -> usize {
        slot.holders.iter().filter(|holder| !self.failed_for_good(holder, self.now_ms)).count()
    }
}

impl Node {
    pub(super) fn candidate(&self) -> Candidate {
        Candidate { insisted: self.advert.layers, memory_bytes: self.advert.memory_bytes }
    }
}

impl Turn<'_> {
    /// Cuts models that are not cut yet, fills vacant places with spares, and doubles places with those that are left.
    pub(super) fn fill_places(&mut self) {
        if self.state.drain.is_some() {
            return;
        }
        let now_ms = self.now_ms;
        for pool in 0..self.state.pools.len() {
            for slot in &mut self.state.pools[pool].slots {
                slot.coming.retain(|it| it.until_ms > now_ms);
            }
            let it = &self.state.pools[pool];
            let expecting = it.is_expecting(now_ms);
            if it.slots.iter().all(|slot| slot.holders.is_empty()) && !expecting {
                self.cut(pool);
            } else {
                self.fill_vacant(pool);
            }
        }
        for pool in 0..self.state.pools.len() {
            self.take_back(pool);
            if !self.state.pools[pool].is_expecting(now_ms) {
                self.double(pool);
            }
            self.level(pool);
            self.predict(pool);
        }
    }

    fn cut(&mut self, pool: usize) {
        let spares = self.state.spares(pool);
        let planned = self.state.plan(pool, &spares);
        self.state.pools[pool].slots.clear();
        match planned {
            Ok(shares) => {
                self.state.pools[pool].unplanned = None;
                self.state.pools[pool].slots = shares.iter().map(|(layers, _)| Slot::new(*layers)).collect();
                for (place, (_, node)) in shares.into_iter().enumerate() {
                    self.assign(pool, place, node);
                }
            }
            Err(error) => self.state.pools[pool].unplanned = Some(error),
        }
        self.shown();
    }

    fn fill_vacant(&mut self, pool: usize) {
        for place in 0..self.state.pools[pool].slots.len() {
            let slot = &self.state.pools[pool].slots[place];
            if self.state.good_holders(slot) > 0 {
                self.retry_or_bench(pool, place, true);
                continue;
            }
            // Somebody who held it in an earlier life may be on the way.
            if slot.holders.is_empty() && !slot.coming.is_empty() && self.state.pools[pool].is_expecting(self.now_ms) {
                continue;
            }
            let layers = slot.layers;
            let fitting: Vec<_> =
                self.state.spares(pool).into_iter().filter(|(id, _)| self.state.fits(pool, layers, id)).collect();
            // Who insists on this very range is of no use anywhere else.
            let insisting = fitting.iter().find(|(_, candidate)| candidate.insisted.is_some());
            let Some((taker, _)) = insisting.or(fitting.first()).cloned() else {
                self.retry_or_bench(pool, place, false);
                continue;
            };
            self.retry_or_bench(pool, place, true);
            self.assign(pool, place, taker);
        }
    }

    /// Holders that failed for good lose their place where others serve it; elsewhere they are asked to try again.
    fn retry_or_bench(&mut self, pool: usize, place: usize, replaced: bool) {
        for holder in self.state.pools[pool].slots[place].holders.clone() {
            if !self.state.failed_for_good(&holder, self.now_ms) {
                continue;
            }
            if replaced {
                self.bench(&holder);
            } else if self.state.may_retry(&holder, self.now_ms) {
                // An engine that was given up tries again only when it is told to load.
                self.assign(pool, place, holder);
            }
        }
    }

    /// Has a node hold a place beside those who do.
    pub(super) fn assign(&mut self, pool: usize, slot: usize, id: NodeId) {
        let settings = &self.state.pools[pool].settings;
        let (model, max_context) = (settings.summary.hash, settings.context());
        let layers = self.state.pools[pool].slots[slot].layers;
        let Some(node) = self.state.registered(&id) else { return };
        let Some(kv_bytes) = plan::kv_budget(settings, layers, node.advert.memory_bytes) else { return };
        let held = node.offers.iter().find(|offered| offered.pool == pool).and_then(|offered| offered.held);
        let has = held.is_some_and(|held| held.is_none_or(|held| Holding::Range(held).covers(layers)));
        let source = if has { None } else { settings.source.clone() };
        self.state.assignments += 1;
        let assignment = self.state.assignments;
        let phase = PlacePhase::Loading { since_ms: self.now_ms };
        if let Some(node) = self.state.registered_mut(&id) {
            // Whoever has the place already is asked again.
            let same = node.place.as_ref().filter(|place| place.pool == pool && place.layers == layers);
            let retries = same.map_or(0, |place| place.retries.saturating_add(1));
            node.place = Some(Place { pool, layers, assignment, phase, retries });
            node.fetching = None;
        }
        let slot = &mut self.state.pools[pool].slots[slot];
        slot.coming.retain(|it| it.node != id);
        if !slot.holders.contains(&id) {
            slot.holders.push(id.clone());
        }
        self.state.pools[pool].unwritten = true;
        self.shown();
        let spec = ShardSpec { model, layers, kv_bytes, max_context };
        self.send(&id, OrchestratorMessage::Assign { assignment, spec, source });
    }
}

impl State {
    /// Cuts a model among these nodes. Where nobody has measured anything, shares of equal size are as good as any, and
    /// they go out in order of registration.
    fn plan(&self, pool: usize, spares: &[(NodeId, Candidate)]) -> Result<Vec<(LayerRange, NodeId)>, PlanError> {
        let it = &self.pools[pool];
        let (machines, nodes) = self.machines(it, spares.iter().map(|(id, _)| id));
        let measured = |machine: &Machine| machine.speed.origin != Origin::Assumed;
        if machines.iter().any(measured) {
            let placed = plan::place(&Problem::of(&it.settings), &machines, &self.paths(&nodes));
            if let Ok(placement) = placed {
                return Ok(placement.places.iter().map(|it| (it.layers, nodes[it.machine].clone())).collect());
            }
        }
        let candidates: Vec<Candidate> = spares.iter().map(|(_, candidate)| *candidate).collect();
        let shares = plan::plan(&it.settings, &candidates)?;
        Ok(shares.into_iter().map(|share| (share.layers, spares[share.candidate].0.clone())).collect())
    }
}
