//! What happens because time has passed.

use computepool_core::{GenerationId, NodeId, SessionId};

use super::failover::Blame;
use super::legs::LegPhase;
use super::pool::Pool;
use super::registry::{LinkPhase, Node, PlacePhase};
use super::session::SessionPhase;
use super::{State, Turn};
use crate::{Effect, Loss};

impl State {
    /// Whether time alone may change who holds which place.
    fn is_unsettled(&self) -> bool {
        let down = |node: &Node| {
            let phase = node.place.as_ref().map(|place| &place.phase);
            matches!(phase, Some(PlacePhase::Down { .. }))
        };
        let waiting = |pool: &Pool| {
            pool.uneven_ms.is_some() || pool.slots.iter().any(|slot| slot.holders.is_empty() || !slot.coming.is_empty())
        };
        self.pools.iter().any(waiting) || self.links.keys().any(|id| self.registered(id).is_some_and(down))
    }
}

impl Turn<'_> {
    pub(super) fn check_deadlines(&mut self) {
        self.advance_watch();
        self.check_links();
        self.check_loading();
        self.check_sessions();
        self.check_legs();
        self.check_pulses();
        self.check_progress();
        self.check_remembered();
        self.probe();
        self.forecast();
        self.advise();
        // A shard may have been down for long enough now, or a place been kept for long enough.
        self.places_changed |= self.state.is_unsettled();
        self.routes_changed = true;
    }

    fn check_links(&mut self) {
        let (now_ms, limits) = (self.now_ms, &self.state.limits);
        let mut silent: Vec<NodeId> = Vec::new();
        for (node, link) in &mut self.state.links {
            let waited = now_ms.saturating_sub(link.since_ms);
            match link.phase {
                LinkPhase::Greeting if waited >= limits.hello_ms => silent.push(node.clone()),
                LinkPhase::Leaving if waited >= limits.leave_ms => {
                    link.since_ms = now_ms;
                    let why = "it was asked to leave and is still there".to_owned();
                    self.effects.push(Effect::Disconnect { node: node.clone(), why });
                }
                _ => {}
            }
        }
        for node in silent {
            let why = format!("it did not say hello within {} ms", self.state.limits.hello_ms);
            self.expel(&node, why);
        }
    }

    fn check_sessions(&mut self) {
        let ids: Vec<SessionId> = self.state.sessions.keys().copied().collect();
        for id in ids {
            let Some(session) = self.state.sessions.get(&id) else { continue };
            if self.now_ms >= session.expires_ms {
                self.expire(id);
                continue;
            }
            match &session.phase {
                SessionPhase::Opening { waiting, deadline_ms } if self.now_ms >= *deadline_ms => {
                    let who = self.state.names(session, waiting);
                    let waited_ms = self.state.limits.session_open_ms;
                    let blame = Blame::Nodes(session.waited_for(waiting));
                    self.break_session(id, &Loss::Silent { who, what: "opening a session", waited_ms }, &blame);
                }
                SessionPhase::Open if session.legs.is_empty() => {
                    let idle_ms = self.now_ms.saturating_sub(session.used_ms);
                    if idle_ms >= self.state.limits.session_idle_ms {
                        self.retire(id);
                    }
                }
                _ => {}
            }
        }
    }

    /// Nothing is accepted under the session's ticket any more.
    fn expire(&mut self, id: SessionId) {
        self.retire(id);
        let Some(session) = self.state.sessions.get(&id) else { return };
        for id in session.legs.iter().copied().collect::<Vec<GenerationId>>() {
            let Some(leg) = self.state.legs.get(&id).filter(|leg| leg.is_active()) else { continue };
            let tokens = self.state.generations.get(&leg.generation).map_or(0, |it| it.tokens());
            self.lose_leg(id, &Loss::Expired { tokens }, &Blame::Nobody);
        }
    }

    fn check_legs(&mut self) {
        for id in self.state.legs.keys().copied().collect::<Vec<GenerationId>>() {
            let Some(leg) = self.state.legs.get(&id) else { continue };
            match &leg.phase {
                LegPhase::Opening { waiting, deadline_ms } if self.now_ms >= *deadline_ms => {
                    let Some(session) = self.state.sessions.get(&leg.session) else { continue };
                    let who = self.state.names(session, waiting);
                    let blame = Blame::Nodes(session.waited_for(waiting));
                    let waited_ms = self.state.limits.generation_open_ms;
                    self.lose_leg(id, &Loss::Silent { who, what: "opening a generation", waited_ms }, &blame);
                }
                LegPhase::Running { moved_ms, backlog, .. } => {
                    let limits = &self.state.limits;
                    let extra = limits.prefill_ms_per_token.saturating_mul(*backlog);
                    let allowed = limits.stall_ms.saturating_add(extra);
                    let (waited_ms, tokens) = (self.now_ms.saturating_sub(*moved_ms), leg.due);
                    let session = leg.session;
                    if waited_ms >= allowed {
                        self.lose_leg(id, &Loss::Stalled { waited_ms, tokens }, &Blame::Route);
                        // Whatever is stuck there, the next generation should not meet it.
                        self.retire(session);
                    }
                }
                LegPhase::Closing { deadline_ms, .. } if self.now_ms >= *deadline_ms => self.stop_waiting(id),
                _ => {}
            }
        }
    }
}
