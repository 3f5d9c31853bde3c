//! Leaving in order: nothing new, what runs may end, then every node is let go.

use computepool_core::{GenerationId, NodeId, SessionId};

use super::Turn;
use super::registry::LinkPhase;
use crate::{Effect, Loss};

/// How far a drain is.
pub(super) enum Drain {
    /// Waiting for generations.
    Finishing { deadline_ms: u64 },
    /// Waiting for nodes to go.
    Leaving { deadline_ms: u64 },
    /// Over.
    Stopped,
}

impl Turn<'_> {
    pub(super) fn start_drain(&mut self, deadline_ms: u64) {
        match &mut self.state.drain {
            None => self.state.drain = Some(Drain::Finishing { deadline_ms }),
            Some(Drain::Finishing { deadline_ms: earlier }) => *earlier = deadline_ms.min(*earlier),
            Some(Drain::Leaving { .. } | Drain::Stopped) => {}
        }
        self.shown();
    }

    pub(super) fn advance_drain(&mut self) {
        if let Some(Drain::Finishing { deadline_ms }) = self.state.drain {
            if self.now_ms >= deadline_ms {
                self.fail_underway();
            }
            if self.state.generations.is_empty() {
                self.let_go();
                let deadline_ms = self.now_ms.saturating_add(self.state.limits.leave_ms);
                self.state.drain = Some(Drain::Leaving { deadline_ms });
            }
        }
        if let Some(Drain::Leaving { deadline_ms }) = self.state.drain
            && (self.state.links.is_empty() || self.now_ms >= deadline_ms)
        {
            for node in std::mem::take(&mut self.state.links).into_keys() {
                self.effects.push(Effect::Disconnect { node, why: "the orchestrator stops".into() });
            }
            self.state.drain = Some(Drain::Stopped);
            self.shown();
            self.effects.push(Effect::Stopped);
        }
    }

    fn fail_underway(&mut self) {
        let underway = self.state.generations.iter().filter(|(_, it)| it.is_underway()).map(|(id, _)| *id);
        for id in underway.collect::<Vec<GenerationId>>() {
            self.fail(id, Loss::Draining);
        }
    }

    fn let_go(&mut self) {
        for session in self.state.sessions.keys().copied().collect::<Vec<SessionId>>() {
            self.retire(session);
        }
        for node in self.state.links.keys().cloned().collect::<Vec<NodeId>>() {
            match self.state.links.get(&node).map(|link| &link.phase) {
                Some(LinkPhase::Registered(_)) => self.dismiss(&node),
                Some(LinkPhase::Greeting) => self.expel(&node, "the orchestrator is shutting down".into()),
                Some(LinkPhase::Leaving) | None => {}
            }
        }
    }
}
