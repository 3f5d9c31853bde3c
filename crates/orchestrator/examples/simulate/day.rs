//! A day in the life of an orchestrator: a thousand machines that join, leave, crash, fall silent and lie, and clients
//! who ask. The state machine is the real one; clock, links and machines are simulated.

mod audit;
mod fleet;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use computepool_core::control::{CONTROL_VERSION, NodeMessage, OrchestratorMessage};
use computepool_core::ports::ControlEvent;
use computepool_core::{
    ActivationType, ClientId, FinishReason, Generate, GenerationId, LayerRange, ModelId, NodeId, Sampling, SessionId,
    ShardInfo, ShardSpec, TokenEvent,
};
use computepool_orchestrator::plan::Prediction;
use computepool_orchestrator::{Asked, Effect, Event, EventKind, Limits, PoolSettings, State, apply};

use crate::figures::Figures;
use crate::stopwatch::{Stopwatch, resident_bytes};
use crate::worlds::{Dice, model};
use audit::Audit;
use fleet::{Checksum, Checksums, Fleet};

const MACHINES: usize = 1_000;
const LIARS_PERCENT: u64 = 10;
const DAY_MS: u64 = 24 * 3_600_000;
/// On average: how long a machine stays, how long it stays away, and how long until it falls silent for a while.
const STAYS_MS: f64 = 4.0 * 3_600_000.0;
const AWAY_MS: f64 = 20.0 * 60_000.0;
const TALKS_MS: f64 = 8.0 * 3_600_000.0;
/// On average between two questions.
const ASKS_MS: f64 = 12_000.0;
/// Of how many routes it is asked whether there was a better one.
const SAMPLED_PERCENT: u64 = 10;
const RENEWS_MS: u64 = 40 * 60_000;
const TICK_MS: u64 = 1_000;
/// No answer of the planner may take longer.
const MOST_MS: f64 = 100.0;
/// Memory may grow by no more than this after the first two hours.
const MOST_GROWTH: u64 = 64 << 20;

/// The one true token at each place.
pub(crate) fn token(index: u32) -> u32 {
    index.wrapping_mul(2_654_435_761) % 1000
}

/// Something that is going to happen.
enum Coming {
    Tick,
    Ask,
    Join(usize),
    /// By itself: politely, or without a word.
    Go(usize, u64, bool),
    Silence(usize, u64),
    Renew(usize, u64),
    Says(usize, u64, Box<NodeMessage>),
    Token(GenerationId, u64),
}

/// A machine's link, while it has one.
#[derive(Clone, Copy, Default)]
struct Link {
    up: bool,
    /// Counts links, so that what belongs to an old one is not taken for this one's.
    number: u64,
    silent_until_ms: u64,
}

/// The ranges of a route, whose they are, and on which of its links each machine was asked.
type Route = Vec<(LayerRange, usize, u64)>;

/// One leg as its nodes know it.
struct Leg {
    pool: usize,
    route: Route,
    next: u32,
    end: u32,
    /// What it really takes.
    real: Prediction,
}

struct Day {
    dice: Dice,
    now_ms: u64,
    start_ms: u64,
    coming: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Coming>,
    counter: u64,
    state: State,
    limits: Limits,
    pools: Vec<PoolSettings>,
    fleet: Fleet,
    links: Vec<Link>,
    sessions: BTreeMap<SessionId, (usize, Route)>,
    legs: BTreeMap<GenerationId, Leg>,
    audit: Audit,
    stopwatch: Stopwatch,
}

pub(crate) fn run(figures: &mut Figures) {
    println!();
    println!("a day of {MACHINES} machines, {LIARS_PERCENT} % of them liars");
    let mut day = Day::new();
    let mut early = None;
    let mut looked_ms = day.now_ms;
    let end_ms = day.start_ms + DAY_MS;
    while let Some(Reverse((at_ms, number))) = day.coming.pop() {
        day.now_ms = at_ms;
        let Some(coming) = day.happenings.remove(&number) else { continue };
        day.happen(coming);
        if day.now_ms - looked_ms >= 60_000 {
            looked_ms = day.now_ms;
            day.look();
        }
        if early.is_none() && day.now_ms >= day.start_ms + DAY_MS / 12 {
            early = resident_bytes();
        }
        // A few minutes more, in which nobody asks.
        if day.now_ms > end_ms + 5 * 60_000 {
            break;
        }
    }
    for machine in 0..MACHINES {
        day.judge(machine);
    }
    if let (Some(early), Some(late)) = (early, resident_bytes()) {
        println!("memory {} MiB after two hours, {} MiB at the end", early >> 20, late >> 20);
        figures.add("rss_mib", late >> 20);
        figures.holds("memory stays bounded", late <= early + MOST_GROWTH);
    }
    day.audit.report(figures, &day.state, MOST_MS);
}

impl Day {
    fn new() -> Self {
        let mut dice = Dice(86_400);
        let mut large = model(48, 4096, 200 << 20);
        (large.id, large.hash) = (ModelId::new("large").expect("an id"), computepool_core::ContentHash([1; 32]));
        let small = model(24, 2048, 100 << 20);
        let pools = vec![PoolSettings::new(large, 4), PoolSettings::new(small, 2)];
        let summaries: Vec<_> = pools.iter().map(|pool| &pool.summary).collect();
        let fleet = Fleet::new(&mut dice, MACHINES, LIARS_PERCENT, &summaries);
        let limits = Limits { tick_ms: TICK_MS, probe_ms: 40 * 60_000, max_nodes: MACHINES + 24, ..Limits::default() };
        let signer = Arc::new(Checksum(NodeId::new("orchestrator").expect("an id")));
        let state = State::new(pools.clone(), limits.clone(), signer, Arc::new(Checksums)).expect("good settings");
        let start_ms = 1_800_000_000_000;
        let mut day = Self {
            dice,
            now_ms: start_ms,
            start_ms,
            coming: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            counter: 0,
            state,
            limits,
            pools,
            fleet,
            links: vec![Link::default(); MACHINES],
            sessions: BTreeMap::new(),
            legs: BTreeMap::new(),
            audit: Audit::default(),
            stopwatch: Stopwatch::new(),
        };
        for machine in 0..MACHINES {
            let in_ms = day.dice.below(10 * 60_000);
            day.later(in_ms, Coming::Join(machine));
        }
        day.later(TICK_MS, Coming::Tick);
        day.later(15 * 60_000, Coming::Ask);
        day
    }

    fn later(&mut self, in_ms: u64, coming: Coming) {
        self.counter += 1;
        self.coming.push(Reverse((self.now_ms + in_ms, self.counter)));
        self.happenings.insert(self.counter, coming);
    }

    /// A Poisson process: when it happens next, if it happens every `mean` milliseconds.
    fn chance_ms(&mut self, mean: f64) -> u64 {
        (-(1.0 - self.dice.unit()).ln() * mean) as u64 + 1
    }

    fn says(&mut self, machine: usize, in_ms: u64, message: NodeMessage) {
        let number = self.links[machine].number;
        self.later(in_ms, Coming::Says(machine, number, Box::new(message)));
    }

    fn is_linked(&self, machine: usize, number: u64) -> bool {
        self.links[machine].up && self.links[machine].number == number
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Tick => {
                self.event(EventKind::Tick);
                self.later(TICK_MS, Coming::Tick);
            }
            Coming::Ask => {
                if self.now_ms < self.start_ms + DAY_MS {
                    self.ask();
                    let in_ms = self.chance_ms(ASKS_MS);
                    self.later(in_ms, Coming::Ask);
                }
            }
            Coming::Join(machine) => self.join(machine),
            Coming::Go(machine, number, politely) if self.is_linked(machine, number) => {
                if politely {
                    self.audit.goodbyes += 1;
                    self.says(machine, 1, NodeMessage::Draining);
                } else {
                    self.audit.crashes += 1;
                    self.unlink(machine);
                }
            }
            Coming::Silence(machine, number) if self.is_linked(machine, number) => {
                self.audit.silences += 1;
                self.links[machine].silent_until_ms = self.now_ms + 2_000 + self.dice.below(30_000);
                let in_ms = self.chance_ms(TALKS_MS);
                self.later(in_ms, Coming::Silence(machine, number));
            }
            Coming::Renew(machine, number) if self.is_linked(machine, number) => {
                let advert = self.fleet.advert(machine, self.now_ms);
                self.says(machine, 1, NodeMessage::Advert(advert));
                self.later(RENEWS_MS, Coming::Renew(machine, number));
            }
            Coming::Says(machine, number, message) if self.is_linked(machine, number) => {
                // Who is silent says it afterwards.
                let waits = self.links[machine].silent_until_ms.saturating_sub(self.now_ms);
                if waits > 0 {
                    return self.later(waits, Coming::Says(machine, number, message));
                }
                let id = self.fleet.machines[machine].id.clone();
                self.event(EventKind::Control(ControlEvent::Message(id, message)));
            }
            Coming::Token(generation, in_vain) => self.token(generation, in_vain),
            Coming::Go(..) | Coming::Silence(..) | Coming::Renew(..) | Coming::Says(..) => {}
        }
    }

    fn join(&mut self, machine: usize) {
        self.audit.joins += 1;
        let link = &mut self.links[machine];
        *link = Link { up: true, number: link.number + 1, silent_until_ms: 0 };
        let number = link.number;
        self.event(EventKind::Control(ControlEvent::Connected(self.fleet.machines[machine].id.clone())));
        let advert = self.fleet.advert(machine, self.now_ms);
        self.says(machine, 1, NodeMessage::Hello { version: CONTROL_VERSION, advert });
        let (politely, goes_ms, silent_ms) = (self.dice.chance(50), self.chance_ms(STAYS_MS), self.chance_ms(TALKS_MS));
        self.later(goes_ms, Coming::Go(machine, number, politely));
        self.later(silent_ms, Coming::Silence(machine, number));
        self.later(RENEWS_MS, Coming::Renew(machine, number));
    }

    /// A machine's link is gone; it comes back another time.
    fn unlink(&mut self, machine: usize) {
        if std::mem::take(&mut self.links[machine].up) {
            self.judge(machine);
            let id = self.fleet.machines[machine].id.clone();
            self.event(EventKind::Control(ControlEvent::Disconnected(id)));
            let in_ms = self.chance_ms(AWAY_MS);
            self.later(in_ms, Coming::Join(machine));
        }
    }

    fn judge(&mut self, machine: usize) {
        // Showing the network takes a while, and few of a thousand have served.
        if self.audit.knows(machine) {
            let id = &self.fleet.machines[machine].id;
            let known = self.state.network().nodes.into_iter().find(|node| &node.node == id);
            self.audit.judge(&self.fleet, machine, known.map(|node| node.slowness));
        }
        self.audit.forget(machine);
    }

    fn ask(&mut self) {
        self.counter += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.counter.to_le_bytes());
        let pool = self.dice.below(self.pools.len() as u64) as usize;
        let request = Generate {
            prompt: vec![1; 1 + self.dice.below(200) as usize],
            produced: Vec::new(),
            max_tokens: 10 + self.dice.below(40) as u32,
            sampling: Sampling::default(),
            constraint: None,
            logprobs: None,
            ignore_eos: false,
        };
        let asked = Asked {
            generation: GenerationId(bytes),
            session: SessionId(bytes),
            client: ClientId::new(format!("client-{}", self.dice.below(12))).expect("an id"),
            model: self.pools[pool].summary.id.clone(),
            request,
        };
        self.audit.asks(asked.generation);
        self.event(EventKind::Ask(Box::new(asked)));
    }

    fn event(&mut self, kind: EventKind) {
        let (state, at_ms) = (&mut self.state, self.now_ms);
        let (effects, took) = self.stopwatch.time(|| apply(state, Event { at_ms, kind }));
        let plans = |effect: &Effect| {
            let planned = |message: &OrchestratorMessage| {
                matches!(message, OrchestratorMessage::Assign { .. } | OrchestratorMessage::OpenSession { .. })
            };
            matches!(effect, Effect::Send(_, message) if planned(message))
        };
        if effects.iter().any(plans) {
            self.audit.planned.push(took);
        }
        self.audit.longest = self.audit.longest.max(took);
        for effect in effects {
            match effect {
                Effect::Send(node, message) => {
                    if let Some(machine) = self.fleet.named(&node).filter(|machine| self.links[*machine].up) {
                        self.hear(machine, message);
                    }
                }
                Effect::Disconnect { node, .. } => {
                    self.audit.expelled += 1;
                    if let Some(machine) = self.fleet.named(&node) {
                        self.unlink(machine);
                    }
                }
                Effect::Tell(generation, event) => self.audit.told(generation, &event),
                _ => {}
            }
        }
    }

    /// What a machine does when it is told something.
    fn hear(&mut self, machine: usize, message: OrchestratorMessage) {
        match message {
            OrchestratorMessage::Assign { assignment, spec, .. } => {
                let info = self.info(&spec);
                let in_ms = 3_000 + self.dice.below(60_000);
                self.says(machine, in_ms, NodeMessage::ShardReady { assignment, info });
            }
            OrchestratorMessage::Ping { nonce } => self.says(machine, 20, NodeMessage::Pong { nonce }),
            OrchestratorMessage::Probe { peers } => {
                let peers: Vec<usize> = peers.iter().filter_map(|peer| self.fleet.named(&peer.node)).collect();
                self.fleet.probe(machine, peers.into_iter());
                let advert = self.fleet.advert(machine, self.now_ms + 500);
                self.says(machine, 500, NodeMessage::Advert(advert));
            }
            OrchestratorMessage::OpenSession { ticket } => {
                let issuer = NodeId::new("orchestrator").expect("an id");
                let Ok(ticket) = ticket.open(&issuer, &Checksums, self.now_ms) else { return };
                let pool = self.pools.iter().position(|pool| pool.summary.hash == ticket.model).unwrap_or(0);
                let named = |hop: &computepool_core::RouteHop| {
                    let machine = self.fleet.named(&hop.node)?;
                    Some((hop.layers, machine, self.links[machine].number))
                };
                let route = ticket.hops.iter().filter_map(named).collect();
                self.sessions.insert(ticket.session, (pool, route));
                self.says(machine, 40, NodeMessage::SessionOpened { session: ticket.session });
            }
            OrchestratorMessage::CloseSession { session } => {
                self.sessions.remove(&session);
            }
            OrchestratorMessage::OpenGeneration { session, generation, part } => {
                self.open(machine, session, generation, &part);
            }
            OrchestratorMessage::Begin { generation } => {
                if let Some(leg) = self.legs.get(&generation) {
                    let in_ms = leg.real.first_ns.div_ceil(1_000_000);
                    self.later(in_ms, Coming::Token(generation, 0));
                }
            }
            OrchestratorMessage::CloseGeneration { generation } => {
                self.legs.remove(&generation);
                self.says(machine, 20, NodeMessage::Closed { generation, receipt: None });
            }
            OrchestratorMessage::Leave => self.unlink(machine),
            _ => {}
        }
    }

    fn open(
        &mut self,
        machine: usize,
        session: SessionId,
        generation: GenerationId,
        part: &computepool_core::control::GenerationPart,
    ) {
        if let Some(adopted) = part.adopt {
            self.legs.remove(&adopted.generation);
            let closed = NodeMessage::Closed { generation: adopted.generation, receipt: None };
            self.later(20, Coming::Says(machine, self.links[machine].number, Box::new(closed)));
        }
        let Some((pool, route)) = self.sessions.get(&session) else { return };
        if let Some(request) = &part.request {
            let hops: Vec<(LayerRange, usize)> = route.iter().map(|(layers, at, _)| (*layers, *at)).collect();
            let real = self.fleet.real(&self.pools[*pool], &hops);
            let (next, end, route) = (request.produced.len() as u32, request.max_tokens, route.clone());
            self.legs.insert(generation, Leg { pool: *pool, route, next, end, real });
        }
        self.says(machine, 25, NodeMessage::GenerationOpened { generation });
    }

    /// A token of a leg is due; `in_vain` counts how often it was, and somebody on the way did not move.
    fn token(&mut self, generation: GenerationId, in_vain: u64) {
        let Some(leg) = self.legs.get(&generation) else { return };
        let here = |(_, machine, number): &(LayerRange, usize, u64)| self.is_linked(*machine, *number);
        if !leg.route.iter().all(here) || in_vain > 2_000 {
            self.legs.remove(&generation);
            return;
        }
        let silent = |(_, machine, _): &(LayerRange, usize, u64)| self.links[*machine].silent_until_ms > self.now_ms;
        if leg.route.iter().any(silent) {
            return self.later(100, Coming::Token(generation, in_vain + 1));
        }
        let Some(&(_, exit, _)) = leg.route.last() else { return };
        let (index, last, pool, token_ns) = (leg.next, leg.next + 1 >= leg.end, leg.pool, leg.real.token_ns);
        let route: Vec<usize> = leg.route.iter().map(|(_, machine, _)| *machine).collect();
        let event = TokenEvent { index, id: token(index), logprob: None, finish: last.then_some(FinishReason::Length) };
        self.says(exit, 0, NodeMessage::Token { generation, event });
        if last {
            self.legs.remove(&generation);
            self.audit.has_served(&route);
            if self.dice.chance(SAMPLED_PERCENT)
                && let Some(best_ns) = self.best_ns(pool)
            {
                self.audit.took(token_ns, best_ns);
            }
        } else {
            if let Some(leg) = self.legs.get_mut(&generation) {
                leg.next += 1;
            }
            self.later(token_ns.div_ceil(1_000_000), Coming::Token(generation, 0));
        }
    }

    /// What the best route of a pool would take now, all truth being known.
    fn best_ns(&self, pool: usize) -> Option<u64> {
        let shown = self.state.network().pools.into_iter().nth(pool)?;
        let ready = |ids: &[NodeId]| ids.iter().filter_map(|id| self.fleet.named(id)).collect::<Vec<usize>>();
        let places: Vec<_> = shown.places.iter().map(|place| (place.layers, ready(&place.ready))).collect();
        Some(self.fleet.best(&self.pools[pool], &places)?.token_ns)
    }

    fn info(&self, spec: &ShardSpec) -> ShardInfo {
        let pool = self.pools.iter().find(|pool| pool.summary.hash == spec.model).unwrap_or(&self.pools[0]);
        ShardInfo {
            model: spec.model,
            layers: spec.layers,
            hidden: pool.summary.hidden,
            activation: ActivationType::F32,
            weight_bytes: 1,
            kv_bytes_per_token: 1,
            kv_tokens: 1 << 16,
            device: "simulated".into(),
            kernels: "none".into(),
        }
    }

    fn look(&mut self) {
        let up = (0..MACHINES).filter(|machine| self.links[*machine].up);
        let up: BTreeSet<NodeId> = up.map(|machine| self.fleet.machines[machine].id.clone()).collect();
        self.audit.look(&self.state, &up, &self.limits);
    }
}
