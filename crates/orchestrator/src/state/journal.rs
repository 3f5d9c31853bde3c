//! What must be found again after a restart: what is written down, and what is made of it.
//!
//! - **Nodes** come back by themselves; what was learned of them (strikes, slowness) is waiting for them.
//! - **Places** stay as they were cut, and are kept for those who held them: an engine that still has its shard loaded is
//!   ready at once, because the shard it is asked for is the same.
//! - **Generations** that were under way have lost their clients, and are written down as interrupted.
//! - **Sessions** are their clients' until they expire. The lanes under them are gone, and a ticket names a route that may
//!   be gone too: a client's next request opens its session again, on a fresh route and under a fresh id on the wire, with
//!   the deadline that it had.

use std::collections::{BTreeMap, BTreeSet};

use computepool_core::ports::{NodeRecord, PlaceRecord, Record, SessionRecord};
use computepool_core::{Advert, ClientId, ContentHash, FaultCode, GenerationId, NodeId, SessionId};

use super::pool::Slot;
use super::{State, Turn};
use crate::Effect;

/// What is left of an earlier life. It shrinks with everybody who comes back, and with time.
#[derive(Default)]
pub(super) struct Remembered {
    nodes: BTreeMap<NodeId, NodeRecord>,
    sessions: BTreeMap<(ClientId, usize), Vec<SessionRecord>>,
    /// When what is left of the nodes is forgotten.
    until_ms: u64,
}

impl Remembered {
    /// How many sessions wait for their clients.
    pub(super) fn sessions(&self) -> usize {
        self.sessions.values().map(Vec::len).sum()
    }
}

impl State {
    /// From now on what must last is told with [`Effect::Write`], and not before: without a journal nobody would look.
    pub fn keep_records(&mut self) {
        self.journaled = true;
    }

    /// Takes over what an earlier life wrote down, and says what to write in addition. To be called before the first
    /// event, at `now_ms` in Unix milliseconds. What is not (or no longer) offered here is left out.
    pub fn restore(&mut self, now_ms: u64, records: Vec<Record>) -> Vec<Effect> {
        self.now_ms = self.now_ms.max(now_ms);
        let until_ms = now_ms.saturating_add(self.limits.restore_ms);
        let (mut begun, mut ended) = (BTreeMap::new(), BTreeSet::new());
        let mut write = Vec::new();
        let pool_of = |state: &Self, model: &ContentHash| {
            state.pools.iter().position(|pool| &pool.settings.summary.hash == model)
        };
        for record in records {
            match record {
                Record::Node(node) if self.remembered.nodes.len() < self.limits.max_nodes => {
                    self.remembered.nodes.insert(node.advert.by.clone(), node);
                }
                Record::NodeLeft(node) => {
                    self.remembered.nodes.remove(&node);
                }
                Record::Places { model, places } => {
                    let newest = places.iter().flat_map(|place| &place.holders).map(|(_, assignment)| *assignment);
                    // A number that no life can have reached would leave none for this one.
                    self.assignments = newest.filter(|it| *it < u64::MAX / 2).fold(self.assignments, u64::max);
                    if let Some(pool) = pool_of(self, &model) {
                        self.restore_places(pool, &places, until_ms);
                    }
                }
                Record::Session(session) => match pool_of(self, &session.model) {
                    Some(pool)
                        if session.expires_ms > now_ms && self.remembered.sessions() < self.limits.max_sessions =>
                    {
                        self.remembered.sessions.entry((session.client.clone(), pool)).or_default().push(session);
                    }
                    _ => write.push(Record::SessionClosed(session.session)),
                },
                Record::SessionClosed(id) => self.remembered.forget(id),
                Record::GenerationBegan { generation, .. } => {
                    begun.insert(generation, ());
                }
                Record::GenerationEnded { generation, .. } => {
                    ended.insert(generation);
                }
                _ => {}
            }
        }
        self.remembered.until_ms = until_ms;
        let interrupted = begun.into_keys().filter(|generation| !ended.contains(generation));
        write.extend(interrupted.map(|generation| interrupted_record(generation, now_ms)));
        self.revision += 1;
        if write.is_empty() || !self.journaled { Vec::new() } else { vec![Effect::Write(write)] }
    }

    fn restore_places(&mut self, pool: usize, places: &[PlaceRecord], until_ms: u64) {
        let layers = self.pools[pool].settings.summary.layer_count;
        let ends: Vec<(u32, u32)> = places.iter().map(|place| (place.layers.start(), place.layers.end())).collect();
        let whole = ends.first().is_some_and(|first| first.0 == 0)
            && ends.last().is_some_and(|last| last.1 == layers)
            && ends.windows(2).all(|pair| pair[0].1 == pair[1].0);
        // Of places that do not make a route nothing can be kept.
        if !whole || places.len() > crate::MAX_SHARDS {
            return;
        }
        let it = &mut self.pools[pool];
        it.restored_until_ms = until_ms;
        it.unplanned = None;
        it.slots = places
            .iter()
            .map(|place| {
                let mut slot = Slot::new(place.layers);
                place.holders.iter().for_each(|(node, assignment)| slot.expect(node.clone(), *assignment, until_ms));
                slot
            })
            .collect();
    }

    /// Everything that is to be found again, as it is now: for a journal that has missed something.
    pub fn records(&self) -> Vec<Record> {
        let nodes = self.links.keys().filter_map(|id| self.node_record(id)).map(Record::Node);
        let remembered = self.remembered.nodes.values().cloned().map(Record::Node);
        let places = (0..self.pools.len()).map(|pool| self.places_record(pool));
        let open = self.sessions.iter().map(|(id, session)| {
            let model = self.pools[session.pool].settings.summary.hash;
            let (session, client, expires_ms) = (*id, session.client.clone(), session.expires_ms);
            Record::Session(SessionRecord { session, client, model, expires_ms })
        });
        let waiting = self.remembered.sessions.values().flatten().cloned().map(Record::Session);
        let untold = self.generations.iter().filter(|(_, it)| it.is_untold());
        let generations = untold.map(|(id, it)| {
            let session = it.legs.iter().find_map(|leg| self.legs.get(leg)).map_or(it.session, |leg| leg.session);
            Record::GenerationBegan { generation: *id, session, at_ms: it.moved_ms }
        });
        nodes.chain(remembered).chain(places).chain(open).chain(waiting).chain(generations).collect()
    }

    fn node_record(&self, id: &NodeId) -> Option<NodeRecord> {
        let node = self.registered(id)?;
        let (advert, strikes, slowness) = (node.sealed.clone(), node.strikes, node.slowness);
        Some(NodeRecord { advert, seen_ms: self.now_ms, strikes, slowness })
    }

    fn places_record(&self, pool: usize) -> Record {
        let it = &self.pools[pool];
        let assignment = |id: &NodeId| Some(self.registered(id)?.place.as_ref()?.assignment);
        let place = |slot: &Slot| {
            let holders = slot.holders.iter().filter_map(|id| Some((id.clone(), assignment(id)?)));
            let coming = slot.coming.iter().map(|it| (it.node.clone(), it.assignment));
            PlaceRecord { layers: slot.layers, holders: holders.chain(coming).collect() }
        };
        Record::Places { model: it.settings.summary.hash, places: it.slots.iter().map(place).collect() }
    }
}

impl Remembered {
    fn forget(&mut self, session: SessionId) {
        self.sessions.retain(|_, records| {
            records.retain(|record| record.session != session);
            !records.is_empty()
        });
    }
}

fn interrupted_record(generation: GenerationId, at_ms: u64) -> Record {
    Record::GenerationEnded { generation, at_ms, tokens: 0, fault: Some(FaultCode::Interrupted) }
}

impl Turn<'_> {
    /// Has something written down, if anybody keeps records.
    pub(super) fn write(&mut self, record: impl FnOnce() -> Record) {
        if self.state.journaled {
            self.records.push(record());
        }
    }

    pub(super) fn record_node(&mut self, id: &NodeId) {
        if !self.state.journaled {
            return;
        }
        if let Some(record) = self.state.node_record(id) {
            self.records.push(Record::Node(record));
        }
    }

    /// What is to be written goes before everything else that follows from an event.
    pub(super) fn write_records(&mut self) {
        for pool in 0..self.state.pools.len() {
            if std::mem::take(&mut self.state.pools[pool].unwritten) && self.state.journaled {
                let record = self.state.places_record(pool);
                self.records.push(record);
            }
        }
        if !self.records.is_empty() {
            self.effects.insert(0, Effect::Write(std::mem::take(&mut self.records)));
        }
    }

    /// What was learned of a node in an earlier life: strikes and slowness.
    pub(super) fn recall_node(&mut self, advert: &Advert) -> Option<(u32, u32)> {
        let record = self.state.remembered.nodes.remove(&advert.node)?;
        Some((record.strikes, record.slowness))
    }

    /// Until when the session lasts that a client had in an earlier life; it is over by that, and another follows it.
    pub(super) fn recall_session(&mut self, client: &ClientId, pool: usize) -> Option<u64> {
        let key = (client.clone(), pool);
        let records = self.state.remembered.sessions.get_mut(&key)?;
        let record = records.pop();
        if records.is_empty() {
            self.state.remembered.sessions.remove(&key);
        }
        let record = record?;
        self.write(|| Record::SessionClosed(record.session));
        Some(record.expires_ms)
    }

    /// Gives a session up that nobody has come back for; `false` where there is none.
    pub(super) fn forget_session(&mut self) -> bool {
        let Some((client, pool)) = self.state.remembered.sessions.keys().next().cloned() else { return false };
        self.recall_session(&client, pool).is_some()
    }

    /// Forgets who has not come back.
    pub(super) fn check_remembered(&mut self) {
        let now_ms = self.now_ms;
        if now_ms >= self.state.remembered.until_ms {
            for node in std::mem::take(&mut self.state.remembered.nodes).into_keys() {
                self.write(|| Record::NodeLeft(node));
            }
        }
        let expired = self.state.remembered.sessions.values().flatten().filter(|it| it.expires_ms <= now_ms);
        for session in expired.map(|it| it.session).collect::<Vec<_>>() {
            self.state.remembered.forget(session);
            self.write(|| Record::SessionClosed(session));
            self.shown();
        }
    }
}
