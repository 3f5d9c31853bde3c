//! Legs: a generation on one route, from its opening to its closing.

use std::collections::BTreeSet;

use computepool_core::control::{GenerationPart, OrchestratorMessage};
use computepool_core::ports::Adopt;
use computepool_core::{Fault, Generate, GenerationEvent, GenerationId, NodeId, SessionId};

use super::failover::Blame;
use super::generation::{Generation, Phase};
use super::ids::leg_id;
use super::{State, Turn};
use crate::refusal::{breaks_session, heard, is_second_hand};
use crate::{Loss, Violation};

/// What a leg starts from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// Nothing, and the client waits for it.
    Anew,
    /// Nothing, and the client does not wait: another leg serves it meanwhile.
    Shadow,
    /// The KV of another leg.
    Adopting(Adopt),
}

impl Start {
    fn adopt(self) -> Option<Adopt> {
        match self {
            Self::Anew | Self::Shadow => None,
            Self::Adopting(adopt) => Some(adopt),
        }
    }
}

/// A generation on one route.
pub(super) struct Leg {
    pub(super) generation: GenerationId,
    /// How many legs of the generation there were before.
    pub(super) number: u32,
    pub(super) session: SessionId,
    /// The index of the first token that it gives: so many were produced when it was opened.
    pub(super) from: u32,
    /// The index of its next token.
    pub(super) due: u32,
    /// It gave its last token.
    pub(super) finished: bool,
    /// Others ran on the same nodes meanwhile, so that its pace says little of them.
    pub(super) shared: bool,
    /// When it began and when its first token came.
    pub(super) begun_ms: u64,
    pub(super) first_ms: Option<u64>,
    pub(super) last_ms: u64,
    pub(super) start: Start,
    pub(super) phase: LegPhase,
}

pub(super) enum LegPhase {
    AwaitingSession,
    Opening {
        /// Hops that have not admitted it.
        waiting: BTreeSet<usize>,
        deadline_ms: u64,
    },
    Running {
        /// When it began, or its last token came.
        moved_ms: u64,
        /// The same on the clock that stands still while nobody looks.
        watched_ms: u64,
        /// Positions that the route had to work on before this one's first token could come.
        backlog: u64,
    },
    Closing {
        /// Hops that have not accounted for it.
        waiting: BTreeSet<usize>,
        deadline_ms: u64,
        /// Its KV was taken over by another leg, and nobody was told to close it.
        adopted: bool,
    },
}

impl Leg {
    /// Whether it may still give tokens.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self.phase, LegPhase::Closing { .. })
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, LegPhase::Running { .. })
    }

    /// Notes that a token came.
    pub(super) fn took(&mut self, now_ms: u64) {
        self.first_ms.get_or_insert(now_ms);
        self.last_ms = now_ms;
    }
}

/// What the hop at `place` of `hops` is told of a request: the entry gets what is fed, the exit what it samples by, and
/// those between neither.
fn part(request: &Generate, start: Start, place: usize, hops: usize) -> GenerationPart {
    let (entry, exit) = (place == 0, place + 1 == hops);
    let told = match (entry, exit) {
        (true, _) => Some(request.clone()),
        (false, true) => {
            // Of the penalties, this one alone looks at the prompt.
            let needs_prompt = request.sampling.repetition_penalty != 1.0;
            let prompt = if needs_prompt { request.prompt.clone() } else { Vec::new() };
            Some(Generate {
                prompt,
                produced: request.produced.clone(),
                max_tokens: request.max_tokens,
                sampling: request.sampling.clone(),
                constraint: request.constraint.clone(),
                logprobs: request.logprobs,
                ignore_eos: request.ignore_eos,
            })
        }
        (false, false) => None,
    };
    let prompt_len = request.prompt.len() as u32;
    let max_len = prompt_len.saturating_add(request.max_tokens);
    let prompt_len = prompt_len.saturating_add(request.produced.len() as u32);
    GenerationPart {
        max_len,
        prompt_len,
        adopt: start.adopt(),
        unhurried: matches!(start, Start::Shadow),
        request: told,
    }
}

impl Turn<'_> {
    /// Puts the next leg of a generation into a session; it opens as soon as that is open.
    pub(super) fn add_leg(&mut self, of: GenerationId, session_id: SessionId, start: Start) -> Option<GenerationId> {
        let generation = self.state.generations.get_mut(&of)?;
        let session = self.state.sessions.get_mut(&session_id)?;
        let number = generation.numbers;
        let id = leg_id(of, number);
        generation.numbers += 1;
        generation.legs.insert(id);
        session.legs.insert(id);
        session.used_ms = self.now_ms;
        let open = session.is_open();
        let leg = Leg {
            generation: of,
            number,
            session: session_id,
            from: 0,
            due: 0,
            finished: false,
            shared: false,
            begun_ms: self.now_ms,
            first_ms: None,
            last_ms: self.now_ms,
            start,
            phase: LegPhase::AwaitingSession,
        };
        self.state.legs.insert(id, leg);
        if open {
            self.open_leg(id);
        }
        Some(id)
    }

    /// Asks every hop to admit a leg.
    pub(super) fn open_leg(&mut self, id: GenerationId) {
        let deadline_ms = self.now_ms.saturating_add(self.state.limits.generation_open_ms);
        let Some(leg) = self.state.legs.get_mut(&id) else { return };
        let Some(session) = self.state.sessions.get(&leg.session) else { return };
        let Some(Generation { request, .. }) = self.state.generations.get(&leg.generation) else { return };
        let hops = session.hops.len();
        (leg.from, leg.due) = (request.produced.len() as u32, request.produced.len() as u32);
        leg.phase = LegPhase::Opening { waiting: (0..hops).collect(), deadline_ms };
        for (place, hop) in session.present() {
            let part = part(request, leg.start, place, hops);
            let message = OrchestratorMessage::OpenGeneration { session: leg.session, generation: id, part };
            self.effects.push(crate::Effect::Send(hop.node.clone(), message));
        }
    }

    /// Where `node` stands in the leg's route. A node that never had a place in it is disconnected.
    pub(super) fn place_in(&mut self, node: &NodeId, id: GenerationId) -> Option<usize> {
        let session = self.state.legs.get(&id)?.session;
        let place = self.state.sessions.get(&session)?.place_of(node);
        if place.is_none() {
            self.not_its_own(node, session, "generation");
        }
        place
    }

    pub(super) fn generation_opened(&mut self, node: &NodeId, id: GenerationId) {
        let Some(place) = self.place_in(node, id) else { return };
        let Some(leg) = self.state.legs.get_mut(&id) else { return };
        let asked = match &mut leg.phase {
            LegPhase::Closing { .. } => return,
            LegPhase::Opening { waiting, .. } => waiting.remove(&place),
            LegPhase::AwaitingSession | LegPhase::Running { .. } => false,
        };
        if !asked {
            return self.strike(node, &Violation::Unasked("an admitted generation"));
        }
        if matches!(&leg.phase, LegPhase::Opening { waiting, .. } if waiting.is_empty()) {
            self.begin(id);
        }
    }

    fn begin(&mut self, id: GenerationId) {
        let State { legs, generations, sessions, .. } = &mut *self.state;
        let Some(leg) = legs.get(&id) else { return };
        let Some(session) = sessions.get(&leg.session) else { return };
        let Some(entry) = session.hops.first().map(|hop| hop.node.clone()) else { return };
        let of = leg.generation;
        let rows = |leg: &Leg| {
            let prompt = generations.get(&leg.generation).map_or(0, |it| u64::from(it.prompt_len()));
            // What was adopted is not fed again.
            prompt
                .saturating_add(u64::from(leg.from))
                .saturating_sub(leg.start.adopt().map_or(0, |it| it.positions.into()))
        };
        // Prompts share the route: each has to wait for those that are worked on beside it.
        let (own, mut backlog, mut shared) = (rows(leg), rows(leg), false);
        for (_, other) in legs.iter_mut().filter(|(other, _)| **other != id) {
            let others = rows(other);
            let Some(route) = sessions.get(&other.session).filter(|other| other.pool == session.pool) else { continue };
            let meets = route.hops.iter().any(|hop| session.place_of(&hop.node).is_some());
            let LegPhase::Running { backlog: theirs, .. } = &mut other.phase else { continue };
            if !meets {
                continue;
            }
            (shared, other.shared) = (true, true);
            if other.first_ms.is_none() {
                *theirs = theirs.saturating_add(own);
                backlog = backlog.saturating_add(others);
            }
        }
        let (moved_ms, watched_ms) = (self.now_ms, self.state.watch_ms);
        if let Some(leg) = self.state.legs.get_mut(&id) {
            leg.phase = LegPhase::Running { moved_ms, watched_ms, backlog };
            (leg.begun_ms, leg.shared) = (moved_ms, shared);
        }
        self.send(&entry, OrchestratorMessage::Begin { generation: id });
        let first = self.state.generations.get_mut(&of).is_some_and(|it| !std::mem::replace(&mut it.started, true));
        if first {
            self.tell(of, GenerationEvent::Started(of));
        }
    }

    pub(super) fn generation_failed(&mut self, node: &NodeId, id: GenerationId, fault: Fault) {
        let Some(place) = self.place_in(node, id) else { return };
        let Some(leg) = self.state.legs.get(&id) else { return };
        match leg.phase {
            LegPhase::Closing { .. } => return,
            LegPhase::AwaitingSession => return self.strike(node, &Violation::Unasked("a failed generation")),
            LegPhase::Opening { .. } | LegPhase::Running { .. } => {}
        }
        let session = leg.session;
        let Some(layers) = self.state.sessions.get(&session).map(|session| session.hops[place].layers) else { return };
        let (who, fault) = (self.state.who(node, layers), heard(fault));
        let (broken, code) = (breaks_session(fault.code), fault.code);
        let blame = if is_second_hand(code) { Blame::Around(node.clone()) } else { Blame::Node(node.clone()) };
        self.lose_leg(id, &Loss::Given { who, fault }, &blame);
        if broken {
            self.retire(session);
        }
    }

    /// A node broke the rules of a generation: that is the end of the leg, and noted with the node.
    pub(super) fn violated(&mut self, node: &NodeId, id: GenerationId, violation: Violation) {
        let found = self.place_in(node, id).and_then(|place| {
            let leg = self.state.legs.get(&id)?;
            let layers = self.state.sessions.get(&leg.session)?.hops.get(place)?.layers;
            Some((leg.generation, self.state.who(node, layers)))
        });
        if let Some((of, who)) = found {
            let loss = Loss::Violation { who, violation: violation.clone() };
            let ended = self.state.generations.get(&of).is_some_and(|it| matches!(it.phase, Phase::Ending(_)));
            match ended {
                // Who says that it has finished and then goes on cannot be believed either time.
                true => self.fail(of, loss),
                false => self.lose_leg(id, &loss, &Blame::Node(node.clone())),
            }
        }
        self.strike(node, &violation);
    }
}
