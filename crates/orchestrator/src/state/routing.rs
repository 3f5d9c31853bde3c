//! Routes: which holder of every place serves a session.

use std::collections::{BTreeMap, BTreeSet};

use computepool_core::{ActivationType, ClientId, GenerationId, LayerRange, NodeId, RouteHop, SessionId};

use super::pool::{Pool, Slot};
use super::registry::PlacePhase;
use super::{State, Turn, ids};
use crate::plan::{self, Holder, Machine, Paths, PlanError, Problem};
use crate::{Refusal, RouteGap};

/// The longest list of addresses in a ticket is shared by this many hops.
const TICKET_ADDRESSES: usize = 192;
/// The most holders of one place that are considered.
const MAX_HOLDERS: usize = 16;
/// The most routes on which one client's generations of a pool run at once.
const MAX_ROUTES: usize = 4;

/// A route for a session.
pub(super) struct Chosen {
    /// Entry first.
    pub(super) hops: Vec<RouteHop>,
    /// How hidden states are stored on it.
    pub(super) activation: ActivationType,
    /// How many of its nodes were to be avoided.
    pub(super) avoided: usize,
    /// What it is predicted to take a stream that is alone on it.
    pub(super) prediction: plan::Prediction,
}

/// The places of a pool, each with those who could serve it now.
struct Ready<'a> {
    activation: ActivationType,
    places: Vec<(LayerRange, Vec<&'a NodeId>)>,
}

impl State {
    /// Whether a complete route serves a pool, and what is missing if not.
    pub(super) fn is_served(&self, pool: usize) -> Result<(), RouteGap> {
        self.ready(pool).map(|_| ())
    }

    /// How many nodes could be lost at any place without a gap.
    pub(super) fn redundancy(&self, pool: usize) -> Option<u32> {
        let ready = self.ready(pool).ok()?;
        ready.places.iter().map(|(_, holders)| holders.len().saturating_sub(1) as u32).min()
    }

    /// Who is ready at every place, among those who store hidden states alike.
    fn ready(&self, pool: usize) -> Result<Ready<'_>, RouteGap> {
        let pool = &self.pools[pool];
        if pool.slots.is_empty() {
            let needed = pool.settings.shards;
            return Err(pool.unplanned.clone().unwrap_or(PlanError::TooFew { present: 0, needed }).into());
        }
        let mut places = Vec::with_capacity(pool.slots.len());
        for slot in &pool.slots {
            places.push((slot.layers, self.ready_holders(slot)?));
        }
        let kinds = |place: &(LayerRange, Vec<(&NodeId, ActivationType)>)| {
            place.1.iter().map(|(_, kind)| *kind).collect::<Vec<_>>()
        };
        let first: Vec<ActivationType> = places.first().map(kinds).unwrap_or_default();
        let common = first.iter().copied().find(|kind| places.iter().all(|place| kinds(place).contains(kind)));
        match (common, first.first()) {
            (Some(activation), _) => {
                let alike = places.into_iter().map(|(layers, holders)| {
                    let holders = holders.into_iter().filter(|(_, kind)| *kind == activation);
                    (layers, holders.map(|(node, _)| node).collect())
                });
                Ok(Ready { activation, places: alike.collect() })
            }
            (None, Some(expected)) => {
                let other = places.iter().find(|place| !kinds(place).contains(expected));
                let (node, kind) = other.and_then(|(_, holders)| holders.first().copied()).unzip();
                let name = node.and_then(|node| self.registered(node)).map(|node| node.advert.name.clone());
                let got = kind.map(|kind| format!("{kind:?}")).unwrap_or_default();
                Err(RouteGap::Activation { name: name.unwrap_or_default(), expected: format!("{expected:?}"), got })
            }
            (None, None) => Err(RouteGap::Vacant(pool.slots[0].layers)),
        }
    }

    fn ready_holders(&self, slot: &Slot) -> Result<Vec<(&NodeId, ActivationType)>, RouteGap> {
        let layers = slot.layers;
        let (mut ready, mut gap) = (Vec::new(), RouteGap::Vacant(layers));
        for id in &slot.holders {
            let Some((id, node)) = self.links.get_key_value(id).and_then(|(id, _)| Some((id, self.registered(id)?)))
            else {
                continue;
            };
            let doing = match node.place.as_ref().map(|place| &place.phase) {
                Some(PlacePhase::Ready { .. }) if node.suspect => "not answering for",
                Some(PlacePhase::Ready { .. }) if node.is_outdated(self.now_ms) => "past its advert with",
                Some(PlacePhase::Ready { info }) => {
                    ready.push((id, info.activation));
                    continue;
                }
                Some(PlacePhase::Loading { .. }) => "loading",
                _ => "unable to serve",
            };
            if matches!(gap, RouteGap::Vacant(_)) {
                gap = RouteGap::NotReady { name: node.advert.name.clone(), doing, layers };
            }
        }
        if ready.is_empty() { Err(gap) } else { Ok(ready) }
    }

    /// How many legs run, or are about to, on each node.
    pub(super) fn loads(&self) -> BTreeMap<NodeId, u32> {
        let mut loads = BTreeMap::new();
        for leg in self.legs.values().filter(|leg| leg.is_active()) {
            let Some(session) = self.sessions.get(&leg.session) else { continue };
            for (_, hop) in session.present() {
                match loads.get_mut(&hop.node) {
                    Some(load) => *load += 1,
                    None => {
                        loads.insert(hop.node.clone(), 1);
                    }
                }
            }
        }
        loads
    }

    /// These nodes as planning knows them.
    pub(super) fn machines<'a>(
        &self,
        pool: &Pool,
        nodes: impl Iterator<Item = &'a NodeId>,
    ) -> (Vec<Machine>, Vec<NodeId>) {
        let known: Vec<_> = self.pools.iter().map(|pool| &pool.settings.summary).collect();
        let (summary, fetches) = (&pool.settings.summary, pool.settings.source.is_some());
        nodes
            .filter_map(|id| {
                let node = self.registered(id)?;
                let machine = Machine::advertised(&node.advert, summary, &known, fetches, node.slowness);
                Some((machine, id.clone()))
            })
            .unzip()
    }

    /// The paths between these nodes, as they have measured them.
    pub(super) fn paths(&self, nodes: &[NodeId]) -> Paths {
        Paths::measured(nodes.iter().map(|id| {
            let links = self.registered(id).map(|node| node.advert.links.as_slice()).unwrap_or_default();
            (id, links)
        }))
    }

    /// The best route through a pool as things are now.
    pub(super) fn choose(
        &self,
        pool: usize,
        loads: &BTreeMap<NodeId, u32>,
        avoid: &dyn Fn(&NodeId) -> bool,
    ) -> Result<Chosen, RouteGap> {
        let Ready { activation, mut places } = self.ready(pool)?;
        let pool = &self.pools[pool];
        let load = |node: &NodeId| loads.get(node).copied().unwrap_or(0);
        for (_, holders) in &mut places {
            if holders.len() > MAX_HOLDERS {
                holders.sort_by_key(|node| (avoid(node), load(node)));
                holders.truncate(MAX_HOLDERS);
            }
        }
        let all = places.iter().flat_map(|(_, holders)| holders.iter().copied());
        let (machines, nodes) = self.machines(pool, all);
        let mut index = 0;
        let listed: Vec<(LayerRange, Vec<Holder>)> = places
            .iter()
            .map(|(layers, holders)| {
                let holder = |node: &&NodeId| {
                    index += 1;
                    Holder { machine: index - 1, active: load(node), avoid: avoid(node) }
                };
                (*layers, holders.iter().map(holder).collect())
            })
            .collect();
        let vacant = || RouteGap::Vacant(pool.slots[0].layers);
        let problem = Problem::of(&pool.settings);
        let route = plan::route(&problem, &machines, &self.paths(&nodes), &listed).ok_or_else(vacant)?;
        let addresses = (TICKET_ADDRESSES / places.len().max(1)).max(1);
        let mut hops = Vec::with_capacity(places.len());
        for ((layers, holders), chosen) in places.iter().zip(&route.holders) {
            let id = *holders.get(*chosen).ok_or_else(vacant)?;
            let node = self.registered(id).ok_or_else(vacant)?;
            let addresses = node.advert.addresses.iter().take(addresses).cloned().collect();
            hops.push(RouteHop { node: id.clone(), layers: *layers, addresses });
        }
        Ok(Chosen { hops, activation, avoided: route.avoided, prediction: route.prediction })
    }
}

impl Turn<'_> {
    /// The session that a generation's next leg runs in: one that its client has on the best route, or a fresh one.
    ///
    /// A client keeps the route it has while that is no busier than the best one.
    pub(super) fn session_for(&mut self, of: GenerationId) -> Result<SessionId, Refusal> {
        let Some(generation) = self.state.generations.get(&of) else { return Err(Refusal::Draining) };
        let (client, pool) = (generation.client.clone(), generation.pool);
        let fresh = ids::session_id(generation.session, generation.numbers);
        let avoid = generation.avoided(self.now_ms);
        let loads = self.state.loads();
        let settings = &self.state.pools[pool].settings;
        let (model, most) = (settings.summary.id.clone(), settings.max_generations as usize);
        let best = self.state.choose(pool, &loads, &avoid);

        let own = self.state.current.get(&(client.clone(), pool)).cloned().unwrap_or_default();
        let (lasting, ending): (Vec<_>, Vec<_>) = own.into_iter().partition(|id| {
            let expires_ms = self.state.sessions.get(id).map_or(0, |it| it.expires_ms);
            expires_ms.saturating_sub(self.now_ms) >= self.state.limits.renew_before_ms
        });
        for id in ending {
            self.retire(id);
        }
        let busiest = |nodes: &mut dyn Iterator<Item = &NodeId>| {
            nodes.map(|node| loads.get(node).copied().unwrap_or(0)).max().unwrap_or(0)
        };
        let usable = lasting.iter().filter_map(|id| {
            let session = self.state.sessions.get(id)?;
            let fits = session.legs.len() < most && !session.hops.iter().any(|hop| avoid(&hop.node));
            fits.then(|| (busiest(&mut session.hops.iter().map(|hop| &hop.node)), *id))
        });
        let usable = usable.min();
        let best = match (best, usable) {
            (Ok(best), _) => best,
            (Err(_), Some((_, own))) => return Ok(own),
            (Err(gap), None) => return Err(Refusal::NoRoute { model, gap }),
        };
        if let Some((load, own)) = usable {
            let calmest = busiest(&mut best.hops.iter().map(|hop| &hop.node));
            if load <= calmest || lasting.len() >= MAX_ROUTES {
                return Ok(own);
            }
        }
        let opened = self.room_for_session().and_then(|()| self.open_fresh(fresh, &client, pool, best));
        match (opened, usable) {
            (Err(Refusal::Full { .. }), Some((_, own))) => Ok(own),
            (opened, _) => opened.map(|()| fresh),
        }
    }

    /// Makes room for a session, at the cost of the one unused for longest.
    fn room_for_session(&mut self) -> Result<(), Refusal> {
        let most = self.state.limits.max_sessions;
        if self.state.sessions.len() + self.state.remembered.sessions() < most {
            return Ok(());
        }
        if self.forget_session() {
            return Ok(());
        }
        let idle = self.state.sessions.iter().filter(|(_, session)| session.legs.is_empty());
        let Some(oldest) = idle.min_by_key(|(_, session)| session.used_ms).map(|(id, _)| *id) else {
            return Err(Refusal::Full { what: "sessions", most });
        };
        self.retire(oldest);
        Ok(())
    }

    fn open_fresh(&mut self, id: SessionId, client: &ClientId, pool: usize, route: Chosen) -> Result<(), Refusal> {
        let limits = &self.state.limits;
        let whole = self.now_ms.saturating_add(limits.ticket_ms);
        let least = self.now_ms.saturating_add(limits.renew_before_ms);
        let remembered = self.recall_session(client, pool).filter(|expires_ms| *expires_ms >= least);
        self.open_session(id, client, pool, route, remembered.map_or(whole, |expires_ms| expires_ms.min(whole)))
    }

    /// Whether a generation could go on without any of these nodes.
    pub(super) fn can_avoid(&self, pool: usize, nodes: &BTreeSet<NodeId>) -> bool {
        let loads = self.state.loads();
        self.state.choose(pool, &loads, &|node| nodes.contains(node)).is_ok_and(|it| it.avoided < nodes.len())
    }
}
