//! Handover: a node leaves politely, and what runs through it goes on elsewhere before it is gone.
//!
//! 1. A *shadow* leg is opened on another route with what was produced so far. Feeding all of that takes a while; the
//!    leg through the leaver goes on giving tokens to the client meanwhile.
//! 2. At the shadow's first token it is as many tokens behind as were given meanwhile. Going on one by one it would stay
//!    behind, so a *successor* takes its KV over, in the same session and on the same nodes, and is fed what it lacks in
//!    one go. It is opened at the moment when the old leg gives a token: what it is told is then as fresh as can be, and
//!    the client waits no longer than opening takes. Whoever adopts a generation's KV closes it: every hop accounts for
//!    the shadow unasked.
//! 3. At the successor's first token the old leg is closed. Whichever leg has the next token gives it.
//!
//! Where the shadow is not behind it is its own successor. A loss on the way costs nothing as long as the old leg runs;
//! should that be what is lost, the shadow or its successor serves the client as far as it has come.

use computepool_core::ports::Adopt;
use computepool_core::{GenerationId, NodeId};

use super::Turn;
use super::generation::{Generation, Phase};
use super::legs::{LegPhase, Start};

/// The pause after a handover that came to nothing, in milliseconds.
const PAUSE_MS: u64 = 1000;

/// The legs that are to serve a client next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handover {
    /// The leg that works up to where the client is.
    pub(super) shadow: GenerationId,
    /// What became of it.
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is fed what was produced.
    Feeding,
    /// It gives tokens that the client has: it is succeeded at the next one that the client is given.
    Behind,
    /// This leg takes its KV over.
    Succeeded(GenerationId),
}

impl Turn<'_> {
    /// Starts to hand over what runs through leaving nodes, where another route is there.
    pub(super) fn hand_over(&mut self) {
        let leaving: Vec<NodeId> = self
            .state
            .links
            .keys()
            .filter(|id| self.state.registered(id).is_some_and(|it| it.draining))
            .cloned()
            .collect();
        if leaving.is_empty() {
            return;
        }
        let most = self.state.limits.max_legs;
        let concerned = self.state.generations.iter().filter(|(_, it)| {
            let (tries, next_ms) = it.handovers;
            let leg = it.main.and_then(|main| self.state.legs.get(&main));
            let session = leg.and_then(|leg| self.state.sessions.get(&leg.session));
            let through = session.is_some_and(|it| leaving.iter().any(|node| it.place_of(node).is_some()));
            matches!(it.phase, Phase::Underway)
                && it.handover.is_none()
                && tries < most
                && self.now_ms >= next_ms
                && through
        });
        for of in concerned.map(|(of, _)| *of).collect::<Vec<GenerationId>>() {
            self.hand_over_one(of);
        }
    }

    fn hand_over_one(&mut self, of: GenerationId) {
        let Some(generation) = self.state.generations.get(&of) else { return };
        let Some(old) = generation.main else { return };
        let running = self.state.legs.get(&old).is_some_and(|leg| leg.is_running());
        let Ok(session) = self.session_for(of) else { return };
        let shadow = self.add_leg(of, session, if running { Start::Shadow } else { Start::Anew });
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        if running {
            generation.handover = shadow.map(|shadow| Handover { shadow, stage: Stage::Feeding });
        } else {
            // Nothing was done yet that could be handed over.
            generation.main = shadow;
            self.close_leg(old);
        }
    }

    /// A leg gave a token, one that the client lacked or had: the next step of a handover, if it is part of one.
    pub(super) fn advance_handover(&mut self, of: GenerationId, leg: GenerationId, lacked: bool) {
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        let main = generation.main;
        let Some(Handover { shadow, stage }) = &mut generation.handover else { return };
        let shadow = *shadow;
        match *stage {
            Stage::Succeeded(successor) if successor == leg => self.promote(of, leg),
            Stage::Feeding | Stage::Behind if shadow == leg && lacked => self.promote(of, leg),
            Stage::Feeding if shadow == leg && main.is_some() => *stage = Stage::Behind,
            // Nobody gives tokens any more while it comes up.
            Stage::Feeding if shadow == leg => self.succeed(of, leg),
            Stage::Behind if main == Some(leg) => self.succeed(of, shadow),
            _ => {}
        }
    }

    /// Where the leg that a handover is from is lost, what works up to the client has no time to lose.
    pub(super) fn hurry_handovers(&mut self) {
        let left = |it: &Generation| match it.handover {
            Some(Handover { shadow, stage: Stage::Behind }) if it.main.is_none() => Some(shadow),
            _ => None,
        };
        let alone: Vec<_> = self.state.generations.iter().filter_map(|(of, it)| Some((*of, left(it)?))).collect();
        for (of, shadow) in alone {
            self.succeed(of, shadow);
        }
    }

    /// Opens the leg that takes over the KV of a shadow, and is told what the client has by now.
    fn succeed(&mut self, of: GenerationId, shadow: GenerationId) {
        let Some(generation) = self.state.generations.get(&of) else { return };
        let Some(it) = self.state.legs.get(&shadow) else { return };
        let most = self.state.pools[generation.pool].settings.max_generations as usize;
        let room = self.state.sessions.get(&it.session).is_some_and(|it| !it.retired && it.legs.len() < most);
        if !room {
            return self.promote(of, shadow);
        }
        // Whatever it sampled from has gone through all shards.
        let positions = generation.prompt_len().saturating_add(it.due).saturating_sub(1);
        let session = it.session;
        let start = Start::Adopting(Adopt { generation: shadow, positions });
        let Some(successor) = self.add_leg(of, session, start) else { return };
        if let Some(generation) = self.state.generations.get_mut(&of) {
            generation.handover = Some(Handover { shadow, stage: Stage::Succeeded(successor) });
        }
        self.adopted(shadow);
    }

    /// From now on this leg serves the client, and the one before is closed.
    fn promote(&mut self, of: GenerationId, leg: GenerationId) {
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        generation.handover = None;
        generation.handovers = (0, 0);
        let old = generation.main.replace(leg);
        self.state.handovers += 1;
        self.shown();
        if let Some(old) = old {
            self.learn(old);
            self.close_leg(old);
        }
    }

    /// A leg of a handover is lost: the other is closed too, and if the old leg still runs, it is tried again later.
    pub(super) fn break_handover(&mut self, of: GenerationId) {
        let next_ms = self.now_ms.saturating_add(PAUSE_MS);
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        let Some(Handover { shadow, stage }) = generation.handover.take() else { return };
        generation.handovers = (generation.handovers.0 + 1, next_ms);
        let successor = match stage {
            Stage::Feeding | Stage::Behind => None,
            Stage::Succeeded(successor) => Some(successor),
        };
        for leg in [Some(shadow), successor].into_iter().flatten() {
            self.close_leg(leg);
            self.disown(leg);
        }
    }

    /// The hops that have not accounted for an adopted leg are told to close it: whether they came to take it over is
    /// not certain.
    pub(super) fn disown(&mut self, id: GenerationId) {
        let by_ms = self.now_ms.saturating_add(self.state.limits.close_ms);
        let Some(leg) = self.state.legs.get_mut(&id) else { return };
        let LegPhase::Closing { waiting, adopted, deadline_ms } = &mut leg.phase else { return };
        if !std::mem::take(adopted) {
            return;
        }
        *deadline_ms = by_ms.min(*deadline_ms);
        let waiting = waiting.clone();
        self.send_close(id, &waiting);
    }
}
