//! Sessions: a client's ticket on a route, from its opening to its closing.

use std::collections::BTreeSet;

use computepool_core::control::OrchestratorMessage;
use computepool_core::ports::{Record, SessionRecord};
use computepool_core::{
    ClientId, Fault, GenerationId, LayerRange, NodeId, RouteTicket, SessionId, SessionLimits, SignedTicket,
};

use super::failover::Blame;
use super::legs::LegPhase;
use super::routing::Chosen;
use super::{State, Turn};
use crate::refusal::{heard, is_second_hand};
use crate::{Loss, Refusal, Violation};

/// One client's use of one route.
pub(super) struct Session {
    pub(super) client: ClientId,
    pub(super) pool: usize,
    /// Entry first.
    pub(super) hops: Vec<Hop>,
    pub(super) phase: SessionPhase,
    pub(super) expires_ms: u64,
    pub(super) used_ms: u64,
    /// Takes no new leg and is closed when its last one has ended.
    pub(super) retired: bool,
    /// By their ids on the wire.
    pub(super) legs: BTreeSet<GenerationId>,
}

pub(super) struct Hop {
    pub(super) node: NodeId,
    pub(super) layers: LayerRange,
    /// Its link was lost while the session was open; nothing is sent to it any more.
    pub(super) gone: bool,
}

pub(super) enum SessionPhase {
    Opening {
        /// Hops that have not answered.
        waiting: BTreeSet<usize>,
        deadline_ms: u64,
    },
    Open,
}

impl Session {
    /// Where `node` stands in the route, unless it is gone.
    pub(super) fn place_of(&self, node: &NodeId) -> Option<usize> {
        self.hops.iter().position(|hop| !hop.gone && &hop.node == node)
    }

    /// Whether `node` was a hop and its link was lost since. Back on a new link, it may still speak of old work.
    pub(super) fn was_hop(&self, node: &NodeId) -> bool {
        self.hops.iter().any(|hop| hop.gone && &hop.node == node)
    }

    /// The hops that are still there.
    pub(super) fn present(&self) -> impl Iterator<Item = (usize, &Hop)> {
        self.hops.iter().enumerate().filter(|(_, hop)| !hop.gone)
    }

    pub(super) fn mark_gone(&mut self, node: &NodeId) {
        for hop in self.hops.iter_mut().filter(|hop| &hop.node == node) {
            hop.gone = true;
        }
    }

    /// The nodes at these places.
    pub(super) fn waited_for(&self, hops: &BTreeSet<usize>) -> Vec<NodeId> {
        hops.iter().filter_map(|hop| self.hops.get(*hop)).map(|hop| hop.node.clone()).collect()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, SessionPhase::Open)
    }
}

impl State {
    /// The sessions a node takes part in, with what it serves there.
    pub(super) fn sessions_of<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = (SessionId, LayerRange)> + 'a {
        self.sessions.iter().filter_map(|(id, session)| {
            let place = session.place_of(node)?;
            Some((*id, session.hops[place].layers))
        })
    }

    /// The named hops, for people.
    pub(super) fn names(&self, session: &Session, hops: &BTreeSet<usize>) -> String {
        let named = hops.iter().filter_map(|hop| session.hops.get(*hop)).map(|hop| self.who(&hop.node, hop.layers));
        named.collect::<Vec<_>>().join(", ")
    }
}

impl Turn<'_> {
    /// Opens a session on a route.
    pub(super) fn open_session(
        &mut self,
        id: SessionId,
        client: &ClientId,
        pool: usize,
        route: Chosen,
        expires_ms: u64,
    ) -> Result<(), Refusal> {
        let settings = &self.state.pools[pool].settings;
        if self.state.sessions.contains_key(&id) {
            return Err(Refusal::Ticket("its id is already in use".into()));
        }
        let model = settings.summary.hash;
        let ticket = RouteTicket {
            session: id,
            model,
            hops: route.hops,
            hidden: settings.summary.hidden,
            activation: route.activation,
            limits: SessionLimits {
                max_generations: settings.max_generations,
                max_rows: settings.max_rows,
                max_context: settings.context(),
            },
            not_before_ms: self.now_ms,
            expires_ms,
        };
        let sealed = SignedTicket::seal(&ticket, self.state.signer.as_ref())
            .map_err(|error| Refusal::Ticket(error.to_string()))?;
        let waiting = (0..ticket.hops.len()).collect();
        let deadline_ms = self.now_ms.saturating_add(self.state.limits.session_open_ms);
        let hop = |hop: computepool_core::RouteHop| Hop { node: hop.node, layers: hop.layers, gone: false };
        let session = Session {
            client: client.clone(),
            pool,
            hops: ticket.hops.into_iter().map(hop).collect(),
            phase: SessionPhase::Opening { waiting, deadline_ms },
            expires_ms,
            used_ms: self.now_ms,
            retired: false,
            legs: BTreeSet::new(),
        };
        for hop in &session.hops {
            let message = OrchestratorMessage::OpenSession { ticket: sealed.clone() };
            self.effects.push(crate::Effect::Send(hop.node.clone(), message));
        }
        self.state.sessions.insert(id, session);
        self.state.current.entry((client.clone(), pool)).or_default().push(id);
        self.write(|| Record::Session(SessionRecord { session: id, client: client.clone(), model, expires_ms }));
        self.shown();
        Ok(())
    }

    pub(super) fn session_opened(&mut self, node: &NodeId, id: SessionId) {
        let Some(session) = self.state.sessions.get_mut(&id) else { return };
        let Some(place) = session.place_of(node) else {
            return self.not_its_own(node, id, "session");
        };
        let SessionPhase::Opening { waiting, .. } = &mut session.phase else {
            return self.strike(node, &Violation::Unasked("an opened session"));
        };
        if !waiting.remove(&place) {
            return self.strike(node, &Violation::Unasked("an opened session"));
        }
        if !waiting.is_empty() {
            return;
        }
        session.phase = SessionPhase::Open;
        session.used_ms = self.now_ms;
        let awaiting: Vec<GenerationId> = session.legs.iter().copied().collect();
        for leg in awaiting {
            if matches!(self.state.legs.get(&leg).map(|it| &it.phase), Some(LegPhase::AwaitingSession)) {
                self.open_leg(leg);
            }
        }
    }

    pub(super) fn session_refused(&mut self, node: &NodeId, id: SessionId, fault: Fault) {
        let Some(session) = self.state.sessions.get(&id) else { return };
        let Some(place) = session.place_of(node) else {
            return self.not_its_own(node, id, "session");
        };
        let who = self.state.who(node, session.hops[place].layers);
        let blame = if is_second_hand(fault.code) { Blame::Around(node.clone()) } else { Blame::Node(node.clone()) };
        self.break_session(id, &Loss::Given { who, fault: heard(fault) }, &blame);
    }

    /// A node spoke of work that is not its own. Not heard if it once was; otherwise the node is disconnected.
    pub(super) fn not_its_own(&mut self, node: &NodeId, session: SessionId, what: &'static str) {
        if !self.state.sessions.get(&session).is_some_and(|session| session.was_hop(node)) {
            self.expel(node, Violation::NotItsOwn(what).to_string());
        }
    }

    /// The session cannot go on: what has not finished in it is lost, and nothing new is put into it.
    pub(super) fn break_session(&mut self, id: SessionId, loss: &Loss, blame: &Blame) {
        let Some(session) = self.state.sessions.get(&id) else { return };
        let legs: Vec<GenerationId> = session.legs.iter().copied().collect();
        // While it has legs it is only marked, and they still know the route.
        self.retire(id);
        for leg in legs {
            self.lose_leg(leg, loss, blame);
        }
    }

    /// Puts nothing new into a session, and closes it once nothing runs in it any more.
    pub(super) fn retire(&mut self, id: SessionId) {
        let Some(session) = self.state.sessions.get_mut(&id) else { return };
        session.retired = true;
        let key = (session.client.clone(), session.pool);
        if let Some(current) = self.state.current.get_mut(&key) {
            current.retain(|other| *other != id);
            if current.is_empty() {
                self.state.current.remove(&key);
            }
        }
        self.close_if_done(id);
    }

    /// Closes a retired session in which nothing runs.
    pub(super) fn close_if_done(&mut self, id: SessionId) {
        let done = |session: &Session| session.retired && session.legs.is_empty();
        if !self.state.sessions.get(&id).is_some_and(done) {
            return;
        }
        let Some(session) = self.state.sessions.remove(&id) else { return };
        self.write(|| Record::SessionClosed(id));
        self.shown();
        let nodes: Vec<NodeId> = session.present().map(|(_, hop)| hop.node.clone()).collect();
        for node in &nodes {
            self.send(node, OrchestratorMessage::CloseSession { session: id });
        }
        for node in &nodes {
            self.dismiss_if_done(node);
        }
    }
}
