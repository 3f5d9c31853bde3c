//! The state machine: what an orchestrator knows, and how an event changes it.

mod admission;
mod advert;
mod closing;
mod deadlines;
mod drain;
mod failover;
mod generation;
mod handover;
mod heartbeat;
mod ids;
mod journal;
mod legs;
mod pace;
mod pool;
mod probing;
mod registry;
mod replicas;
mod routing;
mod session;
mod shards;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use computepool_core::control::{Assignment, OrchestratorMessage};
use computepool_core::ports::{ControlEvent, Record, Signer, Verifier};
use computepool_core::{ClientId, GenerationEvent, GenerationId, NodeId, SessionId};

use crate::settings::{self, Limits, PoolSettings, SettingsError};
use crate::{Effect, Event, EventKind};
use drain::Drain;
use generation::Generation;
use journal::Remembered;
use legs::Leg;
use pool::Pool;
use registry::Link;
use session::Session;

/// Everything an orchestrator knows. Changed by [`apply`] alone.
pub struct State {
    limits: Limits,
    pools: Vec<Pool>,
    links: BTreeMap<NodeId, Link>,
    sessions: BTreeMap<SessionId, Session>,
    /// The sessions that take a client's next generations in a pool.
    current: BTreeMap<(ClientId, usize), Vec<SessionId>>,
    /// By the ids that their clients know.
    generations: BTreeMap<GenerationId, Generation>,
    /// By their ids on the wire.
    legs: BTreeMap<GenerationId, Leg>,
    /// Counts hellos, to remember their order.
    registrations: u64,
    assignments: Assignment,
    drain: Option<Drain>,
    /// No node can be reached any more.
    unreachable: bool,
    now_ms: u64,
    /// When deadlines were last looked at.
    ticked_ms: u64,
    /// Counts milliseconds while somebody looks.
    watch_ms: u64,
    /// When to look next at who lacks measured paths.
    probe_at_ms: u64,
    /// When to ask the advisor next, at the earliest.
    advice_at_ms: u64,
    /// Machines came, went, or are known better since predictions were made.
    forecast_stale: bool,
    /// The same since the advisor was asked.
    advice_stale: bool,
    failovers: u64,
    handovers: u64,
    remembered: Remembered,
    /// Whether anybody keeps records.
    journaled: bool,
    revision: u64,
    signer: Arc<dyn Signer>,
    verifier: Arc<dyn Verifier>,
}

/// How much a [`State`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Links, registered or not, and such as are being disconnected.
    pub links: usize,
    /// Sessions, opening, open or closing.
    pub sessions: usize,
    /// Clients' current sessions; at most `sessions`.
    pub current: usize,
    /// Generations not yet accounted for.
    pub generations: usize,
    /// Their legs: the routes that they run on, or ran on and are not accounted for.
    pub legs: usize,
}

impl State {
    /// An orchestrator without nodes. The signer and the verifier are pure functions to it: they seal route tickets and
    /// check receipts.
    pub fn new(
        pools: Vec<PoolSettings>,
        limits: Limits,
        signer: Arc<dyn Signer>,
        verifier: Arc<dyn Verifier>,
    ) -> Result<Self, SettingsError> {
        settings::check(&pools, &limits)?;
        Ok(Self {
            limits,
            pools: pools.into_iter().map(Pool::new).collect(),
            links: BTreeMap::new(),
            sessions: BTreeMap::new(),
            current: BTreeMap::new(),
            generations: BTreeMap::new(),
            registrations: 0,
            assignments: 0,
            legs: BTreeMap::new(),
            drain: None,
            unreachable: false,
            now_ms: 0,
            ticked_ms: 0,
            watch_ms: 0,
            probe_at_ms: 0,
            advice_at_ms: 0,
            forecast_stale: false,
            advice_stale: false,
            failovers: 0,
            handovers: 0,
            remembered: Remembered::default(),
            journaled: false,
            revision: 0,
            signer,
            verifier,
        })
    }

    /// How much is held right now.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            links: self.links.len(),
            sessions: self.sessions.len(),
            current: self.current.values().map(Vec::len).sum(),
            generations: self.generations.len(),
            legs: self.legs.len(),
        }
    }

    /// Grows with everything that [`Self::network`] or [`Self::available`] would show.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// Takes one event in and says what to do about it, in order.
///
/// The same state and event always give the same effects.
pub fn apply(state: &mut State, event: Event) -> Vec<Effect> {
    state.now_ms = state.now_ms.max(event.at_ms);
    let mut turn = Turn {
        now_ms: state.now_ms,
        state,
        effects: Vec::new(),
        records: Vec::new(),
        places_changed: false,
        routes_changed: false,
    };
    match event.kind {
        EventKind::Control(ControlEvent::Connected(node)) => turn.connected(node),
        EventKind::Control(ControlEvent::Message(node, message)) => turn.heard(&node, *message),
        EventKind::Control(ControlEvent::Disconnected(node)) => turn.disconnected(&node),
        EventKind::LinksClosed => turn.links_closed(),
        EventKind::Ask(asked) => turn.ask(*asked),
        EventKind::Cancel(generation, why) => turn.cancel(generation, why),
        EventKind::Tick => turn.check_deadlines(),
        EventKind::Drain { deadline_ms } => turn.start_drain(deadline_ms),
    }
    if turn.places_changed {
        turn.fill_places();
        turn.routes_changed = true;
    }
    if turn.routes_changed {
        turn.hurry_handovers();
        turn.seek();
        turn.hand_over();
    }
    turn.advance_drain();
    turn.write_records();
    turn.effects
}

/// One event being applied.
struct Turn<'a> {
    state: &'a mut State,
    now_ms: u64,
    effects: Vec<Effect>,
    records: Vec<Record>,
    /// A node came, went or changed, so that places may have to be filled.
    places_changed: bool,
    /// A generation looks for a route, or one may have become possible.
    routes_changed: bool,
}

impl Turn<'_> {
    fn send(&mut self, node: &NodeId, message: OrchestratorMessage) {
        self.effects.push(Effect::Send(node.clone(), message));
    }

    fn tell(&mut self, generation: GenerationId, event: GenerationEvent) {
        self.effects.push(Effect::Tell(generation, event));
    }

    /// Something that people are shown has changed.
    fn shown(&mut self) {
        self.state.revision += 1;
    }
}
