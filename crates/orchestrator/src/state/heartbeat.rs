//! Heartbeats: whether those who serve somebody are still there, and whether routes still move.
//!
//! Silence is measured on a clock of its own, which stands still while this orchestrator does: it grows with every look
//! at the deadlines, by no more than twice the time between two looks. An orchestrator that was kept from running for
//! seconds finds the answers waiting, and suspects nobody.

use std::collections::BTreeSet;

use computepool_core::control::OrchestratorMessage;
use computepool_core::{GenerationId, NodeId};

use super::Turn;
use super::failover::Blame;
use super::legs::LegPhase;
use crate::Loss;

/// How often the usual time between two tokens a route may take for one before others are looked at.
const SLOW: u64 = 10;

/// How often the expected time to the first token a route may take for it before others are looked at, and at least so
/// many times what is too long between tokens: weights may have to come from the disk first.
const SLOW_START: (u64, u64) = (10, 2);

/// What is known of a node's presence. Times on the clock that stands still while nobody looks.
#[derive(Default)]
pub(super) struct Pulse {
    /// When it was last heard.
    pub(super) heard_ms: u64,
    /// When it was asked whether it is there, if it was not heard since.
    pub(super) pinged_ms: Option<u64>,
}

impl Turn<'_> {
    /// Lets the watch clock go on.
    pub(super) fn advance_watch(&mut self) {
        let passed = self.now_ms.saturating_sub(self.state.ticked_ms);
        self.state.watch_ms += passed.min(2 * self.state.limits.tick_ms);
        self.state.ticked_ms = self.now_ms;
    }

    /// A node said something.
    pub(super) fn noticed(&mut self, id: &NodeId) {
        let watch_ms = self.state.watch_ms;
        let Some(node) = self.state.registered_mut(id) else { return };
        node.pulse = Pulse { heard_ms: watch_ms, pinged_ms: None };
        if std::mem::take(&mut node.suspect) {
            self.places_changed = true;
            self.routes_changed = true;
            self.shown();
        }
    }

    /// Asks those who take part in something and were not heard for a while, and gives up on those who do not answer.
    pub(super) fn check_pulses(&mut self) {
        let mut busy: BTreeSet<NodeId> = BTreeSet::new();
        for leg in self.state.legs.values().filter(|leg| leg.is_active()) {
            let Some(session) = self.state.sessions.get(&leg.session) else { continue };
            busy.extend(session.present().map(|(_, hop)| hop.node.clone()));
        }
        let suspected = self.state.links.keys().filter(|id| self.state.registered(id).is_some_and(|it| it.suspect));
        busy.extend(suspected.cloned());
        for id in busy {
            self.check_pulse(&id);
        }
    }

    fn check_pulse(&mut self, id: &NodeId) {
        let (watch_ms, limits) = (self.state.watch_ms, &self.state.limits);
        let (ping_after_ms, silent_ms) = (limits.ping_after_ms, limits.silent_ms);
        let Some(node) = self.state.registered_mut(id) else { return };
        match node.pulse.pinged_ms {
            None if watch_ms.saturating_sub(node.pulse.heard_ms) >= ping_after_ms => {
                node.pulse.pinged_ms = Some(watch_ms);
                self.send(id, OrchestratorMessage::Ping { nonce: watch_ms });
            }
            Some(pinged_ms) if watch_ms.saturating_sub(pinged_ms) >= silent_ms => {
                let already = std::mem::replace(&mut node.suspect, true);
                node.pulse.pinged_ms = Some(watch_ms);
                self.send(id, OrchestratorMessage::Ping { nonce: watch_ms });
                if !already {
                    self.give_up_on(id, silent_ms);
                }
            }
            _ => {}
        }
    }

    /// A node does not answer: what runs through it goes on elsewhere. Its link and its place stay until they are lost
    /// too.
    fn give_up_on(&mut self, id: &NodeId, waited_ms: u64) {
        for (session, layers) in self.state.sessions_of(id).collect::<Vec<_>>() {
            let who = self.state.who(id, layers);
            let loss = Loss::Silent { who, what: "a ping", waited_ms };
            self.break_session(session, &loss, &Blame::Node(id.clone()));
        }
        self.routes_changed = true;
        self.shown();
    }

    /// Moves generations whose route has become slow to one that shares as little with it as can be.
    pub(super) fn check_progress(&mut self) {
        let (watch_ms, slow_ms) = (self.state.watch_ms, self.state.limits.slow_ms);
        if self.state.limits.failover_ms == 0 {
            return;
        }
        let slow = self.state.legs.iter().filter_map(|(id, leg)| {
            let LegPhase::Running { watched_ms, backlog, .. } = leg.phase else { return None };
            let generation = self.state.generations.get(&leg.generation)?;
            let waited_ms = watch_ms.saturating_sub(watched_ms);
            let most_ms = match (leg.first_ms, generation.interval) {
                (Some(_), Some(usual)) => slow_ms.max((usual / 8).saturating_mul(SLOW)),
                (Some(_), None) => return None,
                // Once only: where every route is as slow, going from one to the other helps nobody.
                (None, _) if generation.fruitless > 1 => return None,
                (None, _) => {
                    let expected_ms = self.state.pools[generation.pool].expected_first_ms(backlog)?;
                    slow_ms.saturating_mul(SLOW_START.1).max(expected_ms.saturating_mul(SLOW_START.0))
                }
            };
            (generation.main == Some(*id) && waited_ms >= most_ms).then_some((*id, waited_ms))
        });
        for (id, waited_ms) in slow.collect::<Vec<(GenerationId, u64)>>() {
            let Some(leg) = self.state.legs.get(&id) else { continue };
            let Some(session) = self.state.sessions.get(&leg.session) else { continue };
            let nodes: BTreeSet<NodeId> = session.hops.iter().map(|hop| hop.node.clone()).collect();
            let (pool, tokens, of) = (session.pool, leg.due, leg.session);
            if self.can_avoid(pool, &nodes) {
                self.retire(of);
                self.lose_leg(id, &Loss::Stalled { waited_ms, tokens }, &Blame::Route);
            } else if let Some(LegPhase::Running { watched_ms, .. }) =
                self.state.legs.get_mut(&id).map(|it| &mut it.phase)
            {
                // Where there is no other route, looking for one is not worth it at every tick.
                *watched_ms = watch_ms;
            }
        }
    }
}
