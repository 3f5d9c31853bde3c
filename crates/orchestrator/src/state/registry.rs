//! The nodes: who is connected, who said hello, and who had to go.

use computepool_core::control::{Assignment, CONTROL_VERSION, NodeMessage, OrchestratorMessage};
use computepool_core::ports::{FetchProgress, Record};
use computepool_core::ticket::CLOCK_SKEW_MS;
use computepool_core::{Advert, EngineUsage, Fault, LayerRange, NodeId, Sealed, ShardInfo};

use super::failover::Blame;
use super::generation::Phase;
use super::heartbeat::Pulse;
use super::{State, Turn, advert};
use crate::{Effect, Loss, Violation};

/// How long a node whose shard stayed down doubles no place, in milliseconds.
const REST_MS: u64 = 5 * 60_000;

/// One node's link.
pub(super) struct Link {
    pub(super) since_ms: u64,
    pub(super) phase: LinkPhase,
}

pub(super) enum LinkPhase {
    /// Connected, and has not said hello.
    Greeting,
    /// Boxed: most of a link is its node.
    Registered(Box<Node>),
    /// Told to go; whatever it still says is not heard.
    Leaving,
}

/// A node that said hello.
pub(super) struct Node {
    /// What it says of itself, cut to size.
    pub(super) advert: Advert,
    /// The same as it was signed.
    pub(super) sealed: Sealed,
    /// Pools that it can serve.
    pub(super) offers: Vec<Offered>,
    /// How many registered before it.
    pub(super) order: u64,
    pub(super) place: Option<Place>,
    pub(super) draining: bool,
    /// When it lost its place because its shard stayed down; it is asked last.
    pub(super) benched_ms: Option<u64>,
    pub(super) strikes: u32,
    /// What people should know of it beside its phase.
    pub(super) note: Option<String>,
    pub(super) usage: Option<EngineUsage>,
    /// How far the weights of its shard are, while they are fetched.
    pub(super) fetching: Option<FetchProgress>,
    pub(super) pulse: Pulse,
    /// It does not answer: nothing is put through it until it is heard again.
    pub(super) suspect: bool,
    /// How much slower it was seen to be than it says, in thousandths.
    pub(super) slowness: u32,
    /// When it was last asked to measure paths.
    pub(super) probed_ms: Option<u64>,
}

/// A pool that a node can serve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) pool: usize,
    /// The blocks of it on the node's disk, all where none are named; absent where it has to fetch them.
    pub(super) held: Option<Option<LayerRange>>,
    /// Whether it can fetch what it lacks.
    pub(super) fetches: bool,
}

impl Node {
    /// Whether it lost a place lately: others are asked first, and where none is missing it is not asked at all.
    pub(super) fn is_resting(&self, now_ms: u64) -> bool {
        self.benched_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < REST_MS)
    }

    /// Whether what it says of itself counts no more.
    pub(super) fn is_outdated(&self, now_ms: u64) -> bool {
        now_ms > self.advert.expires_ms.saturating_add(CLOCK_SKEW_MS)
    }

    pub(super) fn offers(&self, pool: usize) -> bool {
        self.offers.iter().any(|offered| offered.pool == pool)
    }
}

/// What a node was asked to serve.
pub(super) struct Place {
    pub(super) pool: usize,
    pub(super) layers: LayerRange,
    pub(super) assignment: Assignment,
    pub(super) phase: PlacePhase,
    /// How often it was asked again in vain, since it last served.
    pub(super) retries: u32,
}

pub(super) enum PlacePhase {
    Loading { since_ms: u64 },
    Ready { info: Box<ShardInfo> },
    Down { since_ms: u64, fault: Fault },
}

impl State {
    pub(super) fn registered(&self, node: &NodeId) -> Option<&Node> {
        match &self.links.get(node)?.phase {
            LinkPhase::Registered(node) => Some(node),
            _ => None,
        }
    }

    pub(super) fn registered_mut(&mut self, node: &NodeId) -> Option<&mut Node> {
        match &mut self.links.get_mut(node)?.phase {
            LinkPhase::Registered(node) => Some(node),
            _ => None,
        }
    }

    /// A node as clients and logs should read of it: `NAME (layers A..B)`.
    pub(super) fn who(&self, node: &NodeId, layers: LayerRange) -> String {
        let name = self.registered(node).map_or(node.as_str(), |node| &node.advert.name);
        format!("{name} (layers {layers})")
    }
}

impl Turn<'_> {
    pub(super) fn connected(&mut self, node: NodeId) {
        // A second link stands in for the first: whatever ran over that one is gone.
        self.disconnected(&node);
        let full = self.state.links.len() >= self.state.limits.max_nodes;
        if full || self.state.drain.is_some() {
            let why = if full { "all places for nodes are taken" } else { "the orchestrator is shutting down" };
            self.effects.push(Effect::Disconnect { node, why: why.into() });
            return;
        }
        self.state.links.insert(node, Link { since_ms: self.now_ms, phase: LinkPhase::Greeting });
    }

    pub(super) fn disconnected(&mut self, node: &NodeId) {
        self.lose(node);
        if self.state.links.remove(node).is_some() {
            self.shown();
        }
    }

    pub(super) fn links_closed(&mut self) {
        self.state.unreachable = true;
        let nodes: Vec<NodeId> = self.state.links.keys().cloned().collect();
        for node in nodes {
            self.disconnected(&node);
        }
        let lost = self.state.generations.iter().filter_map(|(id, it)| match &it.phase {
            Phase::Seeking { loss, .. } => Some((*id, loss.clone())),
            _ => None,
        });
        for (id, loss) in lost.collect::<Vec<_>>() {
            self.fail(id, loss);
        }
    }

    pub(super) fn heard(&mut self, node: &NodeId, message: NodeMessage) {
        let Some(link) = self.state.links.get(node) else {
            let why = Violation::NoHello.to_string();
            self.effects.push(Effect::Disconnect { node: node.clone(), why });
            return;
        };
        let registered = matches!(link.phase, LinkPhase::Registered(_));
        if registered {
            self.noticed(node);
        }
        let Some(link) = self.state.links.get(node) else { return };
        match (&link.phase, message) {
            (LinkPhase::Leaving, _) => {}
            (LinkPhase::Greeting, NodeMessage::Hello { version, advert }) => {
                if version != CONTROL_VERSION {
                    let violation = Violation::Version { expected: CONTROL_VERSION, got: version };
                    return self.expel(node, violation.to_string());
                }
                match advert::open(&advert, node, self.now_ms, self.state.verifier.as_ref()) {
                    Ok(opened) => self.register(node, opened, advert),
                    Err(violation) => self.expel(node, violation.to_string()),
                }
            }
            (LinkPhase::Greeting, _) => self.expel(node, Violation::NoHello.to_string()),
            (LinkPhase::Registered(_), NodeMessage::Hello { .. }) => {
                self.expel(node, Violation::SecondHello.to_string());
            }
            (LinkPhase::Registered(_), message) => self.heard_registered(node, message),
        }
    }

    fn heard_registered(&mut self, node: &NodeId, message: NodeMessage) {
        match message {
            NodeMessage::ShardReady { assignment, info } => self.shard_ready(node, assignment, info),
            NodeMessage::ShardDown { assignment, fault } => self.shard_down(node, assignment, fault),
            NodeMessage::SessionOpened { session } => self.session_opened(node, session),
            NodeMessage::SessionRefused { session, fault } => self.session_refused(node, session, fault),
            NodeMessage::GenerationOpened { generation } => self.generation_opened(node, generation),
            NodeMessage::GenerationFailed { generation, fault } => self.generation_failed(node, generation, fault),
            NodeMessage::Token { generation, event } => self.token(node, generation, event),
            NodeMessage::Closed { generation, receipt } => self.closed(node, generation, receipt),
            NodeMessage::Draining => self.node_draining(node),
            NodeMessage::Usage(usage) => self.node_usage(node, usage),
            NodeMessage::Advert(advert) => self.advert_renewed(node, advert),
            NodeMessage::Fetching { assignment, progress } => self.fetching(node, assignment, progress),
            // Hello is dealt with above; a message of a later version cannot be decoded, so none comes here.
            _ => {}
        }
    }

    fn register(&mut self, id: &NodeId, advert: Advert, sealed: Sealed) {
        let (strikes, slowness) = self.recall_node(&advert).unwrap_or((0, 1000));
        let node = Node {
            offers: self.offers(&advert),
            advert,
            sealed,
            order: self.state.registrations,
            place: None,
            draining: false,
            benched_ms: None,
            strikes,
            note: None,
            usage: None,
            fetching: None,
            pulse: Pulse { heard_ms: self.state.watch_ms, pinged_ms: None },
            suspect: false,
            slowness,
            probed_ms: None,
        };
        self.state.registrations += 1;
        if let Some(link) = self.state.links.get_mut(id) {
            link.phase = LinkPhase::Registered(Box::new(node));
        }
        self.record_node(id);
        self.state.news();
        self.places_changed = true;
        self.shown();
    }

    /// Ends a node's link, and everything that ran over it.
    pub(super) fn expel(&mut self, node: &NodeId, why: String) {
        self.lose(node);
        if let Some(link) = self.state.links.get_mut(node) {
            link.phase = LinkPhase::Leaving;
            link.since_ms = self.now_ms;
        }
        self.effects.push(Effect::Disconnect { node: node.clone(), why });
        self.shown();
    }

    /// Asks a node to leave, once it has nothing left to do.
    pub(super) fn dismiss(&mut self, node: &NodeId) {
        self.lose(node);
        if let Some(link) = self.state.links.get_mut(node) {
            link.phase = LinkPhase::Leaving;
            link.since_ms = self.now_ms;
        }
        self.send(node, OrchestratorMessage::Leave);
        self.shown();
    }

    /// Writes a broken rule down; at the last of too many, the node has to go.
    pub(super) fn strike(&mut self, id: &NodeId, violation: &Violation) {
        let most = self.state.limits.max_strikes;
        let Some(node) = self.state.registered_mut(id) else { return };
        node.strikes += 1;
        node.note = Some(format!("broke the protocol {} times, last: {violation}", node.strikes));
        let out = node.strikes >= most;
        self.record_node(id);
        self.shown();
        if out {
            self.expel(id, violation.to_string());
        }
    }

    /// Takes a registered node out of its place and its sessions.
    fn lose(&mut self, node: &NodeId) {
        if self.state.registered(node).is_none() {
            return;
        }
        self.vacate(node, true);
        let sessions: Vec<_> = self.state.sessions_of(node).collect();
        for (session, layers) in sessions {
            let who = self.state.who(node, layers);
            if let Some(session) = self.state.sessions.get_mut(&session) {
                session.mark_gone(node);
            }
            // In this order: once nobody waits for the node's account any more, its generations are over.
            self.break_session(session, &Loss::Node { who }, &Blame::Node(node.clone()));
            self.hop_gone(session, node);
        }
        self.write(|| Record::NodeLeft(node.clone()));
        self.state.news();
        self.places_changed = true;
    }

    fn node_usage(&mut self, id: &NodeId, usage: EngineUsage) {
        let Some(node) = self.state.registered_mut(id) else { return };
        // Saying the same again is not worth showing again.
        if node.usage.replace(usage) != Some(usage) {
            self.shown();
        }
    }

    fn fetching(&mut self, id: &NodeId, assignment: Assignment, progress: FetchProgress) {
        let Some(node) = self.state.registered_mut(id) else { return };
        if node.place.as_ref().is_some_and(|place| place.assignment == assignment) {
            node.fetching = Some(progress);
            self.shown();
        }
    }

    fn node_draining(&mut self, id: &NodeId) {
        let Some(node) = self.state.registered_mut(id) else { return };
        if std::mem::replace(&mut node.draining, true) {
            return;
        }
        self.vacate(id, false);
        self.shown();
        self.places_changed = true;
        let sessions: Vec<_> = self.state.sessions_of(id).collect();
        for (session, _) in sessions {
            self.retire(session);
        }
        self.dismiss_if_done(id);
    }

    /// A draining node that serves no session any more may go.
    pub(super) fn dismiss_if_done(&mut self, node: &NodeId) {
        let draining = self.state.registered(node).is_some_and(|node| node.draining);
        if draining && self.state.sessions_of(node).next().is_none() {
            self.dismiss(node);
        }
    }

    /// Frees the place that a node holds, if any, and keeps it in mind where it may come back. The node itself still
    /// knows what it serves.
    pub(super) fn vacate(&mut self, node: &NodeId, may_return: bool) {
        let until_ms = self.now_ms.saturating_add(self.state.limits.restore_ms);
        let assignment = self.state.registered(node).and_then(|node| node.place.as_ref()).map(|it| it.assignment);
        for pool in &mut self.state.pools {
            for slot in &mut pool.slots {
                let before = slot.holders.len();
                slot.holders.retain(|holder| holder != node);
                if slot.holders.len() < before {
                    pool.unwritten = true;
                    if let Some(assignment) = assignment.filter(|_| may_return) {
                        slot.expect(node.clone(), assignment, until_ms);
                    }
                }
            }
        }
    }
}
