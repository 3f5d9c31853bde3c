//! Failover: a leg is lost, and another goes on where it was, on a route that avoids what had to do with the loss.
//!
//! What a node says of a lost leg is not the client's affair as long as somebody can go on. The next leg is told every
//! token that the client was given; sampling is a pure function of these, the parameters, the seed and the logits, so
//! that it gives the tokens that the lost one would have given.
//!
//! It is over when no token came for [`Limits::failover_ms`](crate::Limits::failover_ms), after
//! [`Limits::max_legs`](crate::Limits::max_legs) legs without one, or where the loss is the request's own.

use computepool_core::{FaultCode, GenerationId, NodeId, SessionId};

use super::Turn;
use super::generation::{Ending, Generation, Phase};
use super::legs::Start;
use super::session::Session;
use crate::refusal::is_second_hand;
use crate::{Limits, Loss};

/// The first pause before another leg, from the third fruitless one on, in milliseconds. It doubles with every other.
const PAUSE_MS: u64 = 250;
/// How long others are preferred to a node that had to do with a loss, in milliseconds.
const AVOID_MS: u64 = 60_000;
/// The most nodes that one generation avoids.
const MAX_AVOIDED: usize = 256;

/// Who had to do with a loss.
#[derive(Clone)]
pub(super) enum Blame {
    /// This node.
    Node(NodeId),
    /// These.
    Nodes(Vec<NodeId>),
    /// One of this node's neighbours, or the link to it; maybe the node itself.
    Around(NodeId),
    /// The whole route.
    Route,
    /// Nobody.
    Nobody,
}

impl Blame {
    /// Whom of a session's route it concerns.
    fn nodes(&self, session: Option<&Session>, loss: &Loss) -> Vec<NodeId> {
        let hops = session.map(|session| session.hops.as_slice()).unwrap_or_default();
        match self {
            Self::Node(node) => vec![node.clone()],
            Self::Nodes(nodes) => nodes.clone(),
            Self::Around(node) => {
                let Some(place) = hops.iter().position(|hop| &hop.node == node) else { return Vec::new() };
                let around = [(place + hops.len() - 1) % hops.len(), (place + 1) % hops.len()];
                // A lost link lies between two; a lost engine may be its own.
                let own = !matches!(loss, Loss::Given { fault, .. } if fault.code == FaultCode::LinkLost);
                let own = (own || hops.len() == 1).then_some(place);
                around.into_iter().chain(own).map(|place| hops[place].node.clone()).collect()
            }
            Self::Route => hops.iter().map(|hop| hop.node.clone()).collect(),
            Self::Nobody => Vec::new(),
        }
    }
}

impl Loss {
    /// Whether another leg could do better.
    fn is_worth_another(&self, started: bool) -> bool {
        match self {
            Self::Given { fault, .. } => match fault.code {
                FaultCode::InvalidRequest
                | FaultCode::ContextLength
                | FaultCode::BadGrammar
                | FaultCode::UnsupportedModel
                | FaultCode::ModelNotFound => false,
                FaultCode::NoCapacity => started,
                _ => true,
            },
            Self::Dropped | Self::Unread | Self::Draining => false,
            _ => true,
        }
    }

    /// Whether others may know more of it.
    fn is_second_hand(&self) -> bool {
        matches!(self, Self::Given { fault, .. } if is_second_hand(fault.code))
    }
}

impl Generation {
    fn may_seek(&self, limits: &Limits, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.moved_ms) < limits.failover_ms && self.fruitless < limits.max_legs
    }

    /// Prefers others to these nodes for a while.
    fn shun(&mut self, nodes: Vec<NodeId>, now_ms: u64) {
        self.avoid.retain(|_, until_ms| *until_ms > now_ms);
        for node in nodes {
            if self.avoid.len() < MAX_AVOIDED {
                self.avoid.insert(node, now_ms.saturating_add(AVOID_MS));
            }
        }
    }

    /// Whom to avoid now.
    pub(super) fn avoided(&self, now_ms: u64) -> impl Fn(&NodeId) -> bool + use<> {
        let nodes: Vec<NodeId> =
            self.avoid.iter().filter(|(_, until_ms)| **until_ms > now_ms).map(|(node, _)| node.clone()).collect();
        move |node| nodes.contains(node)
    }
}

impl Turn<'_> {
    /// A leg cannot go on: it is closed wherever it was opened, and its generation goes on with another, if it may.
    pub(super) fn lose_leg(&mut self, id: GenerationId, loss: &Loss, blame: &Blame) {
        let now_ms = self.now_ms;
        let Some(leg) = self.state.legs.get(&id) else { return };
        let (of, active) = (leg.generation, leg.is_active());
        let blamed = blame.nodes(self.state.sessions.get(&leg.session), loss);
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        match &mut generation.phase {
            Phase::Ending(Ending::Suspected(_)) if !loss.is_second_hand() => return self.fail(of, loss.clone()),
            Phase::Ending(_) => return,
            // The place of the loss becomes known.
            Phase::Seeking { loss: told, .. } if !active && told.is_second_hand() => *told = loss.clone(),
            Phase::Underway | Phase::Seeking { .. } => {}
        }
        generation.shun(blamed, now_ms);
        if !active {
            return;
        }
        let main = generation.main == Some(id);
        if main {
            generation.main = None;
            generation.lost = true;
        }
        self.learn(id);
        self.close_leg(id);
        if !main {
            self.break_handover(of);
        }
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        if generation.main.is_some() {
            return;
        }
        if generation.handover.is_some() {
            self.routes_changed = true;
            return;
        }
        let reachable = !self.state.unreachable;
        if reachable && loss.is_worth_another(generation.started) && generation.may_seek(&self.state.limits, now_ms) {
            let pause = match generation.fruitless {
                0..=2 => 0,
                tries => PAUSE_MS << (tries - 3).min(6),
            };
            generation.phase = Phase::Seeking { loss: loss.clone(), next_ms: now_ms.saturating_add(pause) };
            self.routes_changed = true;
        } else if loss.is_second_hand() && !generation.legs.is_empty() {
            generation.phase = Phase::Ending(Ending::Suspected(loss.clone()));
        } else {
            self.fail(of, loss.clone());
        }
    }

    /// Starts the next leg of every generation that has none, where a route is there.
    pub(super) fn seek(&mut self) {
        let seeking = self.state.generations.iter().filter(|(_, it)| matches!(it.phase, Phase::Seeking { .. }));
        for of in seeking.map(|(of, _)| *of).collect::<Vec<GenerationId>>() {
            self.seek_for(of);
        }
    }

    fn seek_for(&mut self, of: GenerationId) {
        let (now_ms, limits) = (self.now_ms, &self.state.limits);
        let Some(generation) = self.state.generations.get(&of) else { return };
        let Phase::Seeking { loss, next_ms } = &generation.phase else { return };
        if !generation.may_seek(limits, now_ms) {
            let loss = loss.clone();
            return self.fail(of, loss);
        }
        // Lost legs that nobody accounts for are not piled up either.
        if now_ms < *next_ms || generation.legs.len() >= limits.max_legs as usize {
            return;
        }
        self.start_leg(of);
    }

    /// Starts a leg to serve the client, unless there is no route or no room for it now.
    fn start_leg(&mut self, of: GenerationId) {
        if let Ok(session) = self.session_for(of) {
            self.start_leg_in(of, session);
        }
    }

    /// Starts a leg to serve the client.
    pub(super) fn start_leg_in(&mut self, of: GenerationId, session: SessionId) {
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        generation.phase = Phase::Underway;
        generation.fruitless += 1;
        let leg = self.add_leg(of, session, Start::Anew);
        if let Some(generation) = self.state.generations.get_mut(&of) {
            generation.main = leg;
        }
    }
}
