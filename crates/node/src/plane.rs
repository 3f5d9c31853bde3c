//! What all tasks of a node share, and how sessions and generations end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use computepool_core::control::NodeMessage;
use computepool_core::ports::{Clock, Links, Signer, Verifier, Weights};
use computepool_core::{Fault, FaultCode, GenerationId, HopFrame, Lane, NodeId, SessionId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::errands::{Errand, Errands};
use crate::generation::{Farewell, Generation, Phase};
use crate::lane_out::Outgoing;
use crate::options::NodeOptions;
use crate::outbox::Outbox;
use crate::recent::Recent;
use crate::session::Session;
use crate::shard::Order;
use crate::shared::{SharedEngine, lock};
use crate::snapshot::NodeSnapshot;

/// How many accounts the node remembers, so that it gives each only once.
const REMEMBERED: usize = 4096;

/// How many sessions the node remembers that are not open here any more. Their tickets last for half an hour.
const REMEMBERED_SESSIONS: usize = 4096;

pub(crate) struct Plane {
    pub(crate) me: NodeId,
    pub(crate) identity: Arc<dyn Signer>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) issuer: NodeId,
    pub(crate) engine: Arc<SharedEngine>,
    pub(crate) links: Arc<dyn Links>,
    pub(crate) weights: Option<Arc<dyn Weights>>,
    pub(crate) options: NodeOptions,
    pub(crate) outbox: Outbox,
    pub(crate) errands: Errands,
    /// The shard that the orchestrator last asked for.
    pub(crate) order: Mutex<Option<Order>>,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
    generations: Mutex<HashMap<GenerationId, Arc<Generation>>>,
    faults: Mutex<HashMap<FaultCode, u64>>,
    /// Generations that were accounted for.
    accounted: Recent<GenerationId>,
    /// Sessions that were closed or refused here.
    pub(crate) departed: Recent<SessionId>,
    draining: AtomicBool,
    pub(crate) status: watch::Sender<NodeSnapshot>,
    /// Changes when a session is added or departs, for the lanes that wait for theirs.
    pub(crate) arrivals: watch::Sender<()>,
    /// The engine's events ended.
    pub(crate) engine_gone: CancellationToken,
    /// Ends every task.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Plane {
    #[expect(clippy::too_many_arguments, reason = "called once, with the parts of a node")]
    pub(crate) fn new(
        identity: Arc<dyn Signer>,
        verifier: Arc<dyn Verifier>,
        clock: Arc<dyn Clock>,
        issuer: NodeId,
        engine: Arc<SharedEngine>,
        links: Arc<dyn Links>,
        weights: Option<Arc<dyn Weights>>,
        outbox: Outbox,
        options: NodeOptions,
    ) -> Self {
        Self {
            me: identity.node(),
            identity,
            verifier,
            clock,
            issuer,
            engine,
            links,
            weights,
            options,
            outbox,
            errands: Errands::default(),
            order: Mutex::default(),
            sessions: Mutex::default(),
            generations: Mutex::default(),
            faults: Mutex::default(),
            accounted: Recent::new(REMEMBERED),
            departed: Recent::new(REMEMBERED_SESSIONS),
            draining: AtomicBool::new(false),
            status: watch::Sender::default(),
            arrivals: watch::Sender::default(),
            engine_gone: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// What the orchestrator last asked for.
    pub(crate) fn assigned(&self) -> Option<Order> {
        lock(&self.order).clone()
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        lock(&self.sessions).get(&id).cloned()
    }

    pub(crate) fn generation(&self, id: GenerationId) -> Option<Arc<Generation>> {
        lock(&self.generations).get(&id).cloned()
    }

    pub(crate) fn all_generations(&self) -> Vec<Arc<Generation>> {
        lock(&self.generations).values().cloned().collect()
    }

    fn generations_of(&self, session: SessionId) -> Vec<Arc<Generation>> {
        let generations = lock(&self.generations);
        generations.values().filter(|generation| generation.session.id == session).cloned().collect()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Keeps a session, if there is a place for it.
    pub(crate) fn add_session(&self, session: Session) -> Result<Arc<Session>, Fault> {
        let session = Arc::new(session);
        {
            let mut sessions = lock(&self.sessions);
            if sessions.len() >= self.options.max_sessions {
                let limit = self.options.max_sessions;
                return Err(Fault::new(FaultCode::NoCapacity, format!("{limit} sessions are open on this node")));
            }
            match sessions.entry(session.id) {
                Entry::Occupied(_) => {
                    let what = format!("session {} is open already", session.id);
                    return Err(Fault::new(FaultCode::ProtocolViolation, what));
                }
                Entry::Vacant(place) => place.insert(session.clone()),
            };
        }
        self.arrivals.send_replace(());
        self.publish();
        Ok(session)
    }

    /// Keeps a generation, within the limits of its session. `Err(None)`: this id was taken before, and is answered.
    pub(crate) fn add_generation(&self, generation: Arc<Generation>) -> Result<(), Option<Fault>> {
        let session = &generation.session;
        {
            let mut generations = lock(&self.generations);
            if generations.contains_key(&generation.id) {
                return Err(None);
            }
            let mine = || generations.values().filter(|other| other.session.id == session.id);
            let (limit, open) = (session.max_generations as usize, mine().filter(|other| !other.is_over()).count());
            // Those that ended and wait to be accounted for are bounded too.
            if open >= limit || mine().count() >= 4 * limit + 16 {
                let fault = Fault::new(FaultCode::NoCapacity, format!("the session has {limit} generations open"));
                return Err(Some(fault.retry_after_ms(100)));
            }
            generations.insert(generation.id, generation.clone());
        }
        self.publish();
        Ok(())
    }

    /// Counts a fault where it arose.
    pub(crate) fn count(&self, fault: &Fault) {
        *lock(&self.faults).entry(fault.code).or_insert(0) += 1;
        self.publish();
    }

    /// Ends a generation for a fault that arose here.
    pub(crate) fn fail_here(&self, generation: &Arc<Generation>, fault: Fault) {
        if !generation.is_over() {
            tracing::warn!(generation = %generation.id, %fault, "a generation failed");
            self.count(&fault);
            self.fail(generation, fault);
        }
    }

    /// Ends a generation: frees its KV, tells the orchestrator, and the neighbour that would go on otherwise.
    pub(crate) fn fail(&self, generation: &Arc<Generation>, fault: Fault) {
        let Some(was) = generation.end() else { return };
        self.errands.push(Errand::Close(generation.clone()));
        let code = fault.code;
        self.outbox.say(NodeMessage::GenerationFailed { generation: generation.id, fault });
        if was == Phase::Open {
            self.abort(generation, code);
        }
        self.settle(generation);
    }

    /// Tells whoever waits for this node's next frame that none comes. A neighbour that does not listen is told by the
    /// orchestrator.
    fn abort(&self, generation: &Arc<Generation>, code: FaultCode) {
        let session = &generation.session;
        let lane = match (session.is_entry(), session.is_exit()) {
            (true, true) => return,
            (false, true) => Lane::Return,
            // Past the prompt chunks that may be waiting.
            (_, false) => Lane::Decode,
        };
        let frame = HopFrame::Abort { generation: generation.id, code };
        if let Err(fault) = session.send(lane, Outgoing { frame, generation: generation.clone(), room: None }) {
            tracing::debug!(generation = %generation.id, %fault, "a neighbour could not be told of an abort");
        }
    }

    /// Ends a generation because the orchestrator says so; its account follows.
    pub(crate) fn close(&self, generation: &Arc<Generation>) {
        if generation.end().is_some() {
            self.errands.push(Errand::Close(generation.clone()));
        }
        generation.report();
        self.settle(generation);
    }

    /// Ends the generation whose KV another one of its session takes over; its account follows, whatever comes of the
    /// other. Closing it on the engine is up to whoever asked for it: opening the other one does so.
    pub(crate) fn hand_over(&self, session: SessionId, id: GenerationId) -> Result<Arc<Generation>, Fault> {
        let refuse = |what: &str| {
            Err(Fault::new(FaultCode::WrongSession, format!("generation {id}, whose KV is wanted, {what}")))
        };
        let Some(generation) = self.generation(id) else {
            self.close_unknown(id);
            return refuse("is not open on this node");
        };
        if generation.session.id != session {
            return refuse("belongs to another session");
        }
        if !generation.hand_over() {
            self.close(&generation);
            return refuse("has ended on this node");
        }
        generation.report();
        Ok(generation)
    }

    /// Lets go of a generation that is over and has freed its KV.
    pub(crate) fn settle(&self, generation: &Arc<Generation>) {
        let Some(farewell) = generation.settle() else { return };
        generation.session.closed.note(generation.id);
        lock(&self.generations).remove(&generation.id);
        if farewell == Farewell::Report {
            let receipt = generation.receipt().and_then(|receipt| receipt.seal(&*self.identity));
            self.accounted.note(generation.id);
            self.outbox.say(NodeMessage::Closed { generation: generation.id, receipt });
        }
        self.publish();
    }

    /// Answers for a generation that is not here: it was refused, or ended with its session. Whoever waits for an account
    /// must not wait for ever, and gets no second one.
    pub(crate) fn close_unknown(&self, generation: GenerationId) {
        if !self.accounted.knows(generation) {
            self.accounted.note(generation);
            self.outbox.say(NodeMessage::Closed { generation, receipt: None });
        }
    }

    /// A lane of the session is gone: nothing in it can go on. `culprit` is failed for the fault itself, the others
    /// because their lane is lost with it. The orchestrator is told of the session itself too: what fell with it, if
    /// anything did, may not say enough for it to put nothing more there.
    pub(crate) fn break_session(&self, session: &Arc<Session>, fault: Fault, culprit: Option<GenerationId>) {
        let mut fallen = self.generations_of(session.id);
        fallen.retain(|generation| !generation.is_over());
        let lost = match culprit {
            None => fault.clone(),
            Some(_) => Fault::new(FaultCode::LinkLost, format!("the lane was ended: {}", fault.message)),
        };
        let first = session.break_for(lost.clone());
        // A neighbour that leaves an idle session is no fault.
        if culprit.is_some() || fault.code != FaultCode::LinkLost || !fallen.is_empty() {
            self.count(&fault);
        }
        for generation in fallen {
            let own = culprit == Some(generation.id);
            self.fail(&generation, if own { fault.clone() } else { lost.clone() });
        }
        if first {
            self.outbox.say(NodeMessage::SessionRefused { session: session.id, fault: lost });
        }
    }

    /// Ends a session with its lanes and everything open in it; the accounts follow.
    pub(crate) fn close_session(&self, id: SessionId) {
        let Some(session) = lock(&self.sessions).remove(&id) else { return };
        for generation in self.generations_of(id) {
            self.close(&generation);
        }
        session.over.cancel();
        self.depart(id);
        self.publish();
    }

    /// Turns lanes of the session away that wait for it or come later.
    pub(crate) fn depart(&self, id: SessionId) {
        self.departed.note(id);
        self.arrivals.send_replace(());
    }

    pub(crate) fn close_all(&self) {
        let sessions: Vec<_> = lock(&self.sessions).keys().copied().collect();
        for session in sessions {
            self.close_session(session);
        }
    }

    /// Ends the sessions whose time is up.
    pub(crate) fn sweep(&self) {
        let now_ms = self.clock.now_ms();
        let expired: Vec<_> = {
            let sessions = lock(&self.sessions);
            sessions.values().filter(|session| session.ticket.expires_ms < now_ms).cloned().collect()
        };
        for session in expired {
            tracing::info!(session = %session.id, "a session expired");
            let fault = Fault::new(FaultCode::TicketExpired, "the session's ticket has expired");
            for generation in self.generations_of(session.id) {
                self.fail_here(&generation, fault.clone());
            }
            self.close_session(session.id);
        }
        self.publish();
    }

    /// The state of the node now.
    fn snapshot(&self) -> NodeSnapshot {
        let (sessions, prefill_rows) = {
            let sessions = lock(&self.sessions);
            (sessions.len(), sessions.values().map(|session| session.rows_in_flight()).sum())
        };
        let generations = lock(&self.generations).len();
        NodeSnapshot { sessions, generations, prefill_rows, faults: lock(&self.faults).clone() }
    }

    /// Shows the state of the node to whoever watches it.
    pub(crate) fn publish(&self) {
        self.status.send_if_modified(|shown| {
            // Taken under the lock, so that no older state is shown after a newer one.
            let now = self.snapshot();
            let changed = *shown != now;
            *shown = now;
            changed
        });
    }
}
