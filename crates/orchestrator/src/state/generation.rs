//! Generations: what a client asked for, what it was given, and on which legs it runs.
//!
//! A generation runs as *legs*. Each leg is a generation of its own to the nodes: with an id, in a session, on a route.
//! When one is lost, the next is told what was produced so far and goes on from there, so that the client sees one
//! sequence: see [`failover`](super::failover). A leg through a node that leaves is followed by another before it ends:
//! see [`handover`](super::handover).

use std::collections::{BTreeMap, BTreeSet};

use computepool_core::{
    ClientId, Generate, GenerationEvent, GenerationId, NodeId, SessionId, SignedReceipt, TokenEvent,
};

use super::Turn;
use super::handover::Handover;
use super::legs::LegPhase;
use crate::{Loss, Violation};

/// The most receipts kept of one generation; of one that changed its route more often, the first ones.
const MAX_RECEIPTS: usize = 4096;

/// One request on its way.
pub(super) struct Generation {
    pub(super) client: ClientId,
    pub(super) pool: usize,
    pub(super) vocabulary: u32,
    /// What was asked for; `produced` are the tokens that the client was given.
    pub(super) request: Box<Generate>,
    pub(super) phase: Phase,
    /// Whether the client knows that it has begun.
    pub(super) started: bool,
    /// Legs that are not accounted for, by their ids on the wire.
    pub(super) legs: BTreeSet<GenerationId>,
    /// The leg that serves the client.
    pub(super) main: Option<GenerationId>,
    /// The legs that are to serve it next.
    pub(super) handover: Option<Handover>,
    /// Handovers that came to nothing, and when the next may be tried.
    pub(super) handovers: (u32, u64),
    /// How many legs there were.
    pub(super) numbers: u32,
    /// The session that was kept ready for it, from which those of later legs get their ids.
    pub(super) session: SessionId,
    /// When it was asked for, or was last given a token.
    pub(super) moved_ms: u64,
    /// Legs since then.
    pub(super) fruitless: u32,
    /// A leg was lost, and no token came since.
    pub(super) lost: bool,
    /// Who had to do with the loss of a leg, and until when others are preferred.
    pub(super) avoid: BTreeMap<NodeId, u64>,
    /// The usual time between two tokens, in eighths of a millisecond.
    pub(super) interval: Option<u64>,
    /// By leg and place.
    pub(super) receipts: BTreeMap<(u32, usize), SignedReceipt>,
}

pub(super) enum Phase {
    /// A leg is under way.
    Underway,
    /// None is: the last was lost like this, and the next starts as soon as it may and a route is there.
    Seeking { loss: Loss, next_ms: u64 },
    /// No token is to come.
    Ending(Ending),
}

/// What the client of an ending generation is told.
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
    /// Tokens that the client was given.
    pub(super) fn tokens(&self) -> u32 {
        self.request.produced.len() as u32
    }

    pub(super) fn prompt_len(&self) -> u32 {
        self.request.prompt.len() as u32
    }

    /// Whether tokens are still to come.
    pub(super) fn is_underway(&self) -> bool {
        !matches!(self.phase, Phase::Ending(_))
    }

    /// Whether the client still waits for its end.
    pub(super) fn is_untold(&self) -> bool {
        !matches!(self.phase, Phase::Ending(Ending::Told))
    }

    /// What may be wrong with a token of a leg that has `due` to give next.
    fn check(&self, due: u32, event: &TokenEvent) -> Result<(), Violation> {
        if event.index != due {
            return Err(Violation::TokenOrder { expected: due, got: event.index });
        }
        if event.id >= self.vocabulary {
            return Err(Violation::Vocabulary { got: event.id, vocabulary: self.vocabulary });
        }
        if due + 1 >= self.request.max_tokens && event.finish.is_none() {
            return Err(Violation::NoFinish(self.request.max_tokens));
        }
        let got = event.logprob.as_ref().map_or(0, |it| it.top.len());
        let most = self.request.logprobs.unwrap_or(0);
        if got > usize::from(most) {
            return Err(Violation::Logprobs { got, most: usize::from(most) });
        }
        match self.request.produced.get(due as usize) {
            Some(&given) if given != event.id => Err(Violation::Differs { index: due, given, got: event.id }),
            // A token that was given was not the last one.
            Some(_) if event.finish.is_some() => Err(Violation::EarlyFinish(due)),
            _ => Ok(()),
        }
    }

    pub(super) fn keep_receipt(&mut self, leg: u32, place: usize, receipt: SignedReceipt) {
        if self.receipts.len() < MAX_RECEIPTS {
            self.receipts.insert((leg, place), receipt);
        }
    }

    /// Counts the time since the last token towards what is usual: an eighth of what differs.
    fn paced(&mut self, now_ms: u64) {
        let took = now_ms.saturating_sub(self.moved_ms).saturating_mul(8);
        self.interval = Some(match self.interval {
            Some(usual) => usual - usual / 8 + took / 8,
            None => took,
        });
    }
}

impl Turn<'_> {
    pub(super) fn token(&mut self, node: &NodeId, id: GenerationId, mut event: TokenEvent) {
        let Some(place) = self.place_in(node, id) else { return };
        let (now_ms, watch_ms) = (self.now_ms, self.state.watch_ms);
        let Some(leg) = self.state.legs.get_mut(&id) else { return };
        let Some(session) = self.state.sessions.get(&leg.session) else { return };
        if place + 1 != session.hops.len() {
            return self.expel(node, Violation::NotItsOwn("token").to_string());
        }
        let Some(generation) = self.state.generations.get_mut(&leg.generation) else { return };
        let checked = match &leg.phase {
            LegPhase::Closing { .. } if leg.finished => Err(Violation::TokenAfterFinish),
            // Told to stop, the exit may have had some on their way.
            LegPhase::Closing { .. } => return,
            LegPhase::AwaitingSession | LegPhase::Opening { .. } => Err(Violation::Unasked("a token")),
            LegPhase::Running { .. } => generation.check(leg.due, &event),
        };
        if let Err(violation) = checked {
            return self.violated(node, id, violation);
        }
        leg.took(now_ms);
        leg.phase = LegPhase::Running { moved_ms: now_ms, watched_ms: watch_ms, backlog: 0 };
        leg.due += 1;
        leg.finished = event.finish.is_some();
        let (last, of) = (leg.finished, leg.generation);
        let lacked = event.index == generation.tokens();
        if lacked {
            if generation.tokens() > 0 {
                generation.paced(now_ms);
            }
            generation.request.produced.push(event.id);
            (generation.moved_ms, generation.fruitless) = (now_ms, 0);
            if std::mem::take(&mut generation.lost) {
                self.state.failovers += 1;
                self.state.revision += 1;
            }
            if generation.request.logprobs.is_none() {
                event.logprob = None;
            }
            self.tell(of, GenerationEvent::Token(event));
        }
        if last {
            self.finish(of);
        } else {
            self.advance_handover(of, id, lacked);
        }
    }
}
