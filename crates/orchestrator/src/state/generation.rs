//! Generations while they open and run.

use std::collections::{BTreeMap, BTreeSet};

use computepool_core::control::{GenerationPart, OrchestratorMessage};
use computepool_core::{Fault, Generate, GenerationEvent, GenerationId, NodeId, SessionId, SignedReceipt, TokenEvent};

use super::{State, Turn};
use crate::refusal::{breaks_session, heard, is_second_hand};
use crate::{Loss, Violation};

/// One request on its way.
pub(super) struct Generation {
    pub(super) session: SessionId,
    pub(super) prompt_len: u32,
    pub(super) max_tokens: u32,
    pub(super) logprobs: Option<u8>,
    pub(super) vocabulary: u32,
    /// Kept until the shards have been told of it. Boxed: most generations are past that.
    pub(super) request: Option<Box<Generate>>,
    /// Tokens passed to the client.
    pub(super) tokens: u32,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    AwaitingSession,
    Opening {
        /// Hops that have not admitted it.
        waiting: BTreeSet<usize>,
        deadline_ms: u64,
    },
    Running {
        /// When it began, or its last token came.
        moved_ms: u64,
        /// Prompt tokens that the route had to work on before this one's first token could come.
        backlog: u64,
    },
    Closing {
        /// What the client has yet to hear.
        ending: Ending,
        /// Hops that have not accounted for it.
        waiting: BTreeSet<usize>,
        receipts: BTreeMap<usize, SignedReceipt>,
        deadline_ms: u64,
    },
}

/// What the client of a closing generation is told.
pub(super) enum Ending {
    /// Nothing more: it has been told.
    Told,
    /// Every token has come: the end, once the shards have accounted for it.
    Finished,
    /// A node has noticed that something is lost, maybe beyond it: this, once the shards have accounted for it, unless
    /// the place of the loss becomes known before.
    Suspected(Loss),
}

impl Generation {
    /// Whether tokens are still to come.
    pub(super) fn is_underway(&self) -> bool {
        !matches!(self.phase, Phase::Closing { .. })
    }

    /// Whether the client still waits for its end.
    pub(super) fn is_untold(&self) -> bool {
        !matches!(self.phase, Phase::Closing { ending: Ending::Told, .. })
    }

    /// Whether a loss would be what ends it for its client.
    pub(super) fn is_losable(&self) -> bool {
        !matches!(self.phase, Phase::Closing { ending: Ending::Told | Ending::Finished, .. })
    }

    fn check(&self, event: &TokenEvent) -> Result<(), Violation> {
        let due = self.tokens;
        if event.index != due {
            return Err(Violation::TokenOrder { expected: due, got: event.index });
        }
        if event.id >= self.vocabulary {
            return Err(Violation::Vocabulary { got: event.id, vocabulary: self.vocabulary });
        }
        if due + 1 >= self.max_tokens && event.finish.is_none() {
            return Err(Violation::NoFinish(self.max_tokens));
        }
        let (got, most) = (event.logprob.as_ref().map_or(0, |it| it.top.len()), self.logprobs.unwrap_or(0));
        if got > usize::from(most) {
            return Err(Violation::Logprobs { got, most: usize::from(most) });
        }
        Ok(())
    }
}

/// What the hop at `place` of `hops` is told of a request: the entry gets the prompt, the exit what it samples by, and
/// those between neither.
fn part(request: &Generate, place: usize, hops: usize) -> GenerationPart {
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
    GenerationPart { max_len: prompt_len.saturating_add(request.max_tokens), prompt_len, adopt: None, request: told }
}

impl Turn<'_> {
    /// Asks every hop to admit a generation.
    pub(super) fn open_generation(&mut self, id: GenerationId) {
        let deadline_ms = self.now_ms.saturating_add(self.state.limits.generation_open_ms);
        let Some(generation) = self.state.generations.get_mut(&id) else { return };
        let Some(session) = self.state.sessions.get(&generation.session) else { return };
        let Some(request) = generation.request.take() else { return };
        let hops = session.hops.len();
        generation.phase = Phase::Opening { waiting: (0..hops).collect(), deadline_ms };
        for (place, hop) in session.present() {
            let part = part(&request, place, hops);
            let message = OrchestratorMessage::OpenGeneration { session: generation.session, generation: id, part };
            self.effects.push(crate::Effect::Send(hop.node.clone(), message));
        }
    }

    /// Where `node` stands in the generation's route. A node that never had a place in it is disconnected.
    pub(super) fn place_in(&mut self, node: &NodeId, id: GenerationId) -> Option<usize> {
        let session = self.state.generations.get(&id)?.session;
        let place = self.state.sessions.get(&session)?.place_of(node);
        if place.is_none() {
            self.not_its_own(node, session, "generation");
        }
        place
    }

    pub(super) fn generation_opened(&mut self, node: &NodeId, id: GenerationId) {
        let Some(place) = self.place_in(node, id) else { return };
        let Some(generation) = self.state.generations.get_mut(&id) else { return };
        let asked = match &mut generation.phase {
            Phase::Closing { .. } => return,
            Phase::Opening { waiting, .. } => waiting.remove(&place),
            Phase::AwaitingSession | Phase::Running { .. } => false,
        };
        if !asked {
            return self.strike(node, &Violation::Unasked("an admitted generation"));
        }
        if matches!(&generation.phase, Phase::Opening { waiting, .. } if waiting.is_empty()) {
            self.begin(id);
        }
    }

    fn begin(&mut self, id: GenerationId) {
        let Some(generation) = self.state.generations.get(&id) else { return };
        let Some(session) = self.state.sessions.get(&generation.session) else { return };
        let (pool, own) = (session.pool, u64::from(generation.prompt_len));
        let Some(entry) = session.hops.first().map(|hop| hop.node.clone()) else { return };
        // Prompts share the route: each has to wait for those that are worked on beside it.
        let mut backlog = own;
        let State { generations, sessions, .. } = &mut *self.state;
        for (_, other) in generations.iter_mut().filter(|(other, _)| **other != id) {
            if other.tokens > 0 || sessions.get(&other.session).is_none_or(|session| session.pool != pool) {
                continue;
            }
            if let Phase::Running { backlog: others, .. } = &mut other.phase {
                *others = others.saturating_add(own);
                backlog = backlog.saturating_add(u64::from(other.prompt_len));
            }
        }
        if let Some(generation) = generations.get_mut(&id) {
            generation.phase = Phase::Running { moved_ms: self.now_ms, backlog };
        }
        self.send(&entry, OrchestratorMessage::Begin { generation: id });
        self.tell(id, GenerationEvent::Started(id));
    }

    pub(super) fn token(&mut self, node: &NodeId, id: GenerationId, mut event: TokenEvent) {
        let Some(place) = self.place_in(node, id) else { return };
        let now_ms = self.now_ms;
        let Some(generation) = self.state.generations.get_mut(&id) else { return };
        let Some(session) = self.state.sessions.get(&generation.session) else { return };
        if place + 1 != session.hops.len() {
            return self.expel(node, Violation::NotItsOwn("token").to_string());
        }
        let checked = match &mut generation.phase {
            // Told to stop, the exit may have had some on their way.
            Phase::Closing { ending: Ending::Told | Ending::Suspected(_), .. } => return,
            Phase::Closing { ending: Ending::Finished, .. } => Err(Violation::TokenAfterFinish),
            Phase::AwaitingSession | Phase::Opening { .. } => Err(Violation::Unasked("a token")),
            Phase::Running { .. } => generation.check(&event),
        };
        if let Err(violation) = checked {
            return self.fail_by(node, id, violation);
        }
        generation.tokens += 1;
        generation.phase = Phase::Running { moved_ms: now_ms, backlog: 0 };
        if generation.logprobs.is_none() {
            event.logprob = None;
        }
        let last = event.finish.is_some();
        self.tell(id, GenerationEvent::Token(event));
        if last {
            self.close(id, Ending::Finished);
        }
    }

    pub(super) fn generation_failed(&mut self, node: &NodeId, id: GenerationId, fault: Fault) {
        let Some(place) = self.place_in(node, id) else { return };
        let Some(generation) = self.state.generations.get(&id) else { return };
        match generation.phase {
            Phase::Closing { .. } => return,
            Phase::AwaitingSession => return self.strike(node, &Violation::Unasked("a failed generation")),
            Phase::Opening { .. } | Phase::Running { .. } => {}
        }
        let session = generation.session;
        let Some(layers) = self.state.sessions.get(&session).map(|session| session.hops[place].layers) else { return };
        let (who, fault) = (self.state.who(node, layers), heard(fault));
        let broken = breaks_session(fault.code);
        let second_hand = is_second_hand(fault.code);
        let loss = Loss::Given { who, fault };
        match second_hand {
            true => self.suspect(id, &loss),
            false => self.fail(id, loss),
        }
        if broken {
            self.retire(session);
        }
    }

    /// A node broke the rules of a generation: that is the end of it, and noted with the node.
    pub(super) fn fail_by(&mut self, node: &NodeId, id: GenerationId, violation: Violation) {
        let layers = self.place_in(node, id).and_then(|place| {
            let session = self.state.sessions.get(&self.state.generations.get(&id)?.session)?;
            Some(session.hops.get(place)?.layers)
        });
        if let Some(layers) = layers {
            let who = self.state.who(node, layers);
            self.fail(id, Loss::Violation { who, violation: violation.clone() });
        }
        self.strike(node, &violation);
    }
}
