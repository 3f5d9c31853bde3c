//! What happens because time has passed.

use computepool_core::{GenerationId, NodeId, SessionId};

use super::Turn;
use super::generation::Phase;
use super::registry::LinkPhase;
use super::session::SessionPhase;
use crate::{Effect, Loss};

impl Turn<'_> {
    pub(super) fn check_deadlines(&mut self) {
        self.check_links();
        self.check_loading();
        self.check_sessions();
        self.check_generations();
        // A shard may have been down for long enough now.
        self.places_changed = true;
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
                    self.break_session(id, Loss::Silent { who, what: "opening a session", waited_ms });
                }
                SessionPhase::Open if session.generations.is_empty() => {
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
        let generations: Vec<GenerationId> = session.generations.iter().copied().collect();
        for id in generations {
            let underway = self.state.generations.get(&id).filter(|it| it.is_underway());
            if let Some(tokens) = underway.map(|it| it.tokens) {
                self.fail(id, Loss::Expired { tokens });
            }
        }
    }

    fn check_generations(&mut self) {
        let ids: Vec<GenerationId> = self.state.generations.keys().copied().collect();
        for id in ids {
            let Some(generation) = self.state.generations.get(&id) else { continue };
            match &generation.phase {
                Phase::Opening { waiting, deadline_ms } if self.now_ms >= *deadline_ms => {
                    let session = self.state.sessions.get(&generation.session);
                    let who = session.map(|session| self.state.names(session, waiting)).unwrap_or_default();
                    let waited_ms = self.state.limits.generation_open_ms;
                    self.fail(id, Loss::Silent { who, what: "opening a generation", waited_ms });
                }
                Phase::Running { moved_ms, backlog } => {
                    let limits = &self.state.limits;
                    let extra = limits.prefill_ms_per_token.saturating_mul(*backlog);
                    let allowed = limits.stall_ms.saturating_add(extra);
                    let (waited_ms, tokens) = (self.now_ms.saturating_sub(*moved_ms), generation.tokens);
                    let session = generation.session;
                    if waited_ms >= allowed {
                        self.fail(id, Loss::Stalled { waited_ms, tokens });
                        // Whatever is stuck there, the next generation should not meet it.
                        self.retire(session);
                    }
                }
                Phase::Closing { deadline_ms, .. } if self.now_ms >= *deadline_ms => self.stop_waiting(id),
                _ => {}
            }
        }
    }
}
