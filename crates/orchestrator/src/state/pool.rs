//! A pool's places: how its model is cut, and who holds which range.

use computepool_core::control::OrchestratorMessage;
use computepool_core::{ActivationType, LayerRange, NodeId, RouteHop, ShardSpec};

use super::registry::{LinkPhase, Node, Place, PlacePhase};
use super::{State, Turn};
use crate::plan::{self, Candidate, PlanError};
use crate::{PoolSettings, RouteGap};

/// The longest list of addresses in a ticket is shared by this many hops.
const TICKET_ADDRESSES: usize = 192;

/// One offered model.
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    /// The route's places, entry first; empty while the model is not cut.
    pub(super) slots: Vec<Slot>,
    /// Why the model is not cut.
    pub(super) unplanned: Option<PlanError>,
}

/// One place in a route.
pub(super) struct Slot {
    pub(super) layers: LayerRange,
    pub(super) node: Option<NodeId>,
}

impl Pool {
    pub(super) fn new(settings: PoolSettings) -> Self {
        let unplanned = Some(PlanError::TooFew { present: 0, needed: settings.shards });
        Self { settings, slots: Vec::new(), unplanned }
    }
}

impl State {
    /// The route that serves a pool now, and how hidden states are stored on it.
    pub(super) fn route(&self, pool: usize) -> Result<(Vec<RouteHop>, ActivationType), RouteGap> {
        let needed = self.pools[pool].settings.shards;
        let gap = |pool: &Pool| pool.unplanned.clone().unwrap_or(PlanError::TooFew { present: 0, needed });
        let pool = &self.pools[pool];
        let addresses = (TICKET_ADDRESSES / pool.slots.len().max(1)).max(1);
        let mut hops = Vec::with_capacity(pool.slots.len());
        let mut stored: Option<ActivationType> = None;
        for Slot { layers, node } in &pool.slots {
            let layers = *layers;
            let node = node.as_ref().and_then(|id| Some((id, self.registered(id)?)));
            let Some((id, node)) = node else { return Err(RouteGap::Vacant(layers)) };
            let info = match node.place.as_ref().map(|place| &place.phase) {
                Some(PlacePhase::Ready { info }) => info,
                Some(PlacePhase::Loading { .. }) => {
                    return Err(RouteGap::NotReady { name: node.advert.name.clone(), doing: "loading", layers });
                }
                _ => return Err(RouteGap::NotReady { name: node.advert.name.clone(), doing: "unable to serve", layers }),
            };
            let expected = *stored.get_or_insert(info.activation);
            if expected != info.activation {
                let (expected, got) = (format!("{expected:?}"), format!("{:?}", info.activation));
                return Err(RouteGap::Activation { name: node.advert.name.clone(), expected, got });
            }
            let addresses = node.advert.addresses.iter().take(addresses).cloned().collect();
            hops.push(RouteHop { node: id.clone(), layers, addresses });
        }
        match stored {
            Some(activation) => Ok((hops, activation)),
            None => Err(RouteGap::Unplanned(gap(pool))),
        }
    }

    /// Registered nodes without a place that could take one in `pool`, in order of registration; such as lost a place
    /// by failing come last.
    fn spares(&self, pool: usize) -> Vec<(NodeId, Candidate)> {
        let mut spares: Vec<_> = self
            .links
            .iter()
            .filter_map(|(id, link)| match &link.phase {
                LinkPhase::Registered(node) => Some((id, node.as_ref())),
                _ => None,
            })
            .filter(|(_, node)| node.place.is_none() && !node.draining && node.offers(pool))
            .collect();
        spares.sort_by_key(|(_, node)| (node.benched, node.order));
        let candidate = |(id, node): (&NodeId, &Node)| {
            (id.clone(), Candidate { insisted: node.advert.layers, memory_bytes: node.advert.memory_bytes })
        };
        spares.into_iter().map(candidate).collect()
    }
}

impl Turn<'_> {
    /// Cuts models that are not cut yet, and fills vacant places with spares.
    pub(super) fn fill_places(&mut self) {
        if self.state.drain.is_some() {
            return;
        }
        for pool in 0..self.state.pools.len() {
            if self.state.pools[pool].slots.iter().all(|slot| slot.node.is_none()) {
                self.cut(pool);
            } else {
                self.fill_vacant(pool);
            }
        }
    }

    fn cut(&mut self, pool: usize) {
        let spares = self.state.spares(pool);
        let candidates: Vec<Candidate> = spares.iter().map(|(_, candidate)| *candidate).collect();
        let planned = plan::plan(&self.state.pools[pool].settings, &candidates);
        self.state.pools[pool].slots.clear();
        match planned {
            Ok(shares) => {
                self.state.pools[pool].unplanned = None;
                let slot = |share: &plan::Share| Slot { layers: share.layers, node: None };
                self.state.pools[pool].slots = shares.iter().map(slot).collect();
                for (place, share) in shares.into_iter().enumerate() {
                    self.assign(pool, place, spares[share.candidate].0.clone());
                }
            }
            Err(error) => self.state.pools[pool].unplanned = Some(error),
        }
        self.shown();
    }

    fn fill_vacant(&mut self, pool: usize) {
        for place in 0..self.state.pools[pool].slots.len() {
            let Slot { layers, node } = &self.state.pools[pool].slots[place];
            let (layers, holder) = (*layers, node.clone());
            if holder.as_ref().is_some_and(|holder| !self.state.failed_for_good(holder, self.now_ms)) {
                continue;
            }
            let settings = &self.state.pools[pool].settings;
            let fitting: Vec<_> = self
                .state
                .spares(pool)
                .into_iter()
                .filter(|(_, candidate)| plan::suits(settings, layers, candidate))
                .collect();
            // Who insists on this very range is of no use anywhere else.
            let insisting = fitting.iter().find(|(_, candidate)| candidate.insisted.is_some());
            match (insisting.or(fitting.first()).cloned(), holder) {
                (Some((taker, _)), holder) => {
                    if let Some(holder) = holder {
                        self.bench(&holder);
                    }
                    self.assign(pool, place, taker);
                }
                // An engine that was given up tries again only when it is told to load.
                (None, Some(holder)) if self.state.may_retry(&holder, self.now_ms) => self.assign(pool, place, holder),
                (None, _) => {}
            }
        }
    }

    fn assign(&mut self, pool: usize, slot: usize, node: NodeId) {
        let settings = &self.state.pools[pool].settings;
        let (model, max_context) = (settings.summary.hash, settings.context());
        let layers = self.state.pools[pool].slots[slot].layers;
        let Some(memory_bytes) = self.state.registered(&node).map(|node| node.advert.memory_bytes) else { return };
        let Some(kv_bytes) = plan::kv_budget(&self.state.pools[pool].settings, layers, memory_bytes) else { return };
        self.state.assignments += 1;
        let assignment = self.state.assignments;
        let phase = PlacePhase::Loading { since_ms: self.now_ms };
        if let Some(node) = self.state.registered_mut(&node) {
            // Whoever has the place already is asked again.
            let retries = node.place.as_ref().map_or(0, |place| place.retries.saturating_add(1));
            node.place = Some(Place { pool, layers, assignment, phase, retries });
        }
        self.state.pools[pool].slots[slot].node = Some(node.clone());
        self.shown();
        let spec = ShardSpec { model, layers, kv_bytes, max_context };
        self.send(&node, OrchestratorMessage::Assign { assignment, spec, source: None });
    }
}
