//! What must hold at every hour of the day.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use computepool_core::{FinishReason, GenerationEvent, GenerationId, NodeId};
use computepool_orchestrator::{Limits, State};

use super::fleet::Fleet;
use crate::figures::{Figures, percentile};

/// Generations after which a node's speed should be known.
const KNOWN_AFTER: u32 = 12;

/// How much longer than the best route's a token may take on average, all truth being known. Every few minutes somebody
/// joins whose claims have to be tried. Whoever was slow beside a liar and is not needed since stays under suspicion,
/// which costs nobody anything; so that is told and not held against it.
const MOST_DETOUR: f64 = 0.25;

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Audit {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) expelled: u64,
    pub(crate) joins: u64,
    pub(crate) crashes: u64,
    pub(crate) goodbyes: u64,
    pub(crate) silences: u64,
    /// Events that led to a place or a route, and how long the orchestrator took for them; and the longest of any kind.
    pub(crate) planned: Vec<Duration>,
    pub(crate) longest: Duration,
    pub(crate) looks: u64,
    pub(crate) served: u64,
    /// Tokens that each client who waits has, and whether the last one said that it is the last.
    waiting: BTreeMap<GenerationId, (u32, bool)>,
    wrong: BTreeSet<String>,
    /// By stay: legs since the node registered.
    legs: BTreeMap<usize, u32>,
    /// How much longer routes took from token to token than the best there was, all truth being known: parts of it.
    detours: Vec<f64>,
    /// Believed to be at least twice as slow as they say, of all who are; and not so, of those who are not.
    liars: (u32, u32),
    honest: (u32, u32),
}

impl Audit {
    pub(crate) fn asks(&mut self, generation: GenerationId) {
        self.asked += 1;
        self.waiting.insert(generation, (0, false));
    }

    /// What a client is told: tokens in order, each once and the right one, and one end.
    pub(crate) fn told(&mut self, generation: GenerationId, event: &GenerationEvent) {
        let Some((tokens, finished)) = self.waiting.get_mut(&generation) else {
            self.wrong.insert("a client was told something after the end".into());
            return;
        };
        match event {
            GenerationEvent::Started(_) => {}
            GenerationEvent::Token(event) => {
                if event.index != *tokens || event.id != super::token(event.index) {
                    self.wrong.insert("a client got a token lost, doubled or changed".into());
                }
                *tokens += 1;
                *finished = event.finish == Some(FinishReason::Length);
            }
            GenerationEvent::Ended(usage) => {
                if !*finished || usage.completion_tokens != *tokens {
                    self.wrong.insert("an answer ended before its end".into());
                }
                self.answered += 1;
                self.waiting.remove(&generation);
            }
            GenerationEvent::Failed(_) => {
                self.failed += 1;
                self.waiting.remove(&generation);
            }
        }
    }

    /// Compares what the orchestrator shows with what is so.
    pub(crate) fn look(&mut self, state: &State, up: &BTreeSet<NodeId>, limits: &Limits) {
        self.looks += 1;
        let (shown, held) = (state.network(), state.footprint());
        self.served += u64::from(state.available().iter().all(|available| *available));
        let mut wrong = |what: &str, so: bool| {
            if so {
                self.wrong.insert(what.to_owned());
            }
        };
        let registered: BTreeSet<&NodeId> = shown.nodes.iter().map(|node| &node.node).collect();
        wrong("a node is registered twice", registered.len() != shown.nodes.len());
        wrong("a node is registered that is not linked", registered.iter().any(|id| !up.contains(*id)));
        let mut places = BTreeSet::new();
        for place in shown.pools.iter().flat_map(|pool| &pool.places) {
            for holder in &place.ready {
                wrong("a holder is not registered", !registered.contains(holder));
                wrong("a node is in two places", !places.insert(holder));
            }
        }
        wrong("more links are kept than there are", held.links > up.len());
        wrong("too many sessions", held.sessions > limits.max_sessions);
        wrong("clients wait for nobody, or nobody for clients", shown.generations != self.waiting.len() as u64);
    }

    /// These nodes have served a leg to its end.
    pub(crate) fn has_served(&mut self, route: &[usize]) {
        for machine in route {
            *self.legs.entry(*machine).or_default() += 1;
        }
    }

    /// A route really took `token_ns` from token to token, where the best ready nodes would have taken `best_ns`.
    pub(crate) fn took(&mut self, token_ns: u64, best_ns: u64) {
        self.detours.push(token_ns as f64 / best_ns.max(1) as f64 - 1.0);
    }

    /// Whether a node has served long enough for its speed to be known.
    pub(crate) fn knows(&self, machine: usize) -> bool {
        self.legs.get(&machine).is_some_and(|legs| *legs >= KNOWN_AFTER)
    }

    /// A node goes; whoever comes back under its name has served nothing yet.
    pub(crate) fn forget(&mut self, machine: usize) {
        self.legs.remove(&machine);
    }

    /// A node goes, or the day ends: what is it believed to be?
    pub(crate) fn judge(&mut self, fleet: &Fleet, machine: usize, slowness: Option<u32>) {
        let Some(slowness) = slowness else { return };
        if fleet.is_liar(machine) {
            self.liars = (self.liars.0 + u32::from(slowness >= 2000), self.liars.1 + 1);
        } else {
            self.honest = (self.honest.0 + u32::from(slowness < 2000), self.honest.1 + 1);
        }
    }

    pub(crate) fn report(mut self, figures: &mut Figures, state: &State, most_ms: f64) {
        let held = state.footprint();
        let idle = self.waiting.is_empty() && held.generations == 0 && held.legs == 0;
        let (p50, p99) = (percentile(&mut self.planned, 50), percentile(&mut self.planned, 99));
        let max = percentile(&mut self.planned, 100);
        println!(
            "joins {}   goodbyes {}   crashes {}   silences {}   expelled {}",
            self.joins, self.goodbyes, self.crashes, self.silences, self.expelled
        );
        println!("asked {}   answered {}   failed {}", self.asked, self.answered, self.failed);
        println!("planned {}   p50 {p50:.2} ms   p99 {p99:.2} ms   max {max:.2} ms", self.planned.len());
        println!("any event at most {:.2} ms", self.longest.as_secs_f64() * 1000.0);
        println!("served at {} of {} looks", self.served, self.looks);
        self.detours.sort_by(f64::total_cmp);
        let mean = self.detours.iter().sum::<f64>() / self.detours.len().max(1) as f64;
        let median = self.detours.get(self.detours.len() / 2).copied().unwrap_or(0.0);
        println!(
            "liars found {} of {}   honest cleared {} of {}",
            self.liars.0, self.liars.1, self.honest.0, self.honest.1
        );
        println!("slower than the best route there was: median {median:.3}   mean {mean:.3}");
        figures.add("joins", self.joins);
        figures.add("asked", self.asked);
        figures.add("answered", self.answered);
        figures.add("failed", self.failed);
        figures.add("plan_p50_ms", format!("{p50:.3}"));
        figures.add("plan_p99_ms", format!("{p99:.3}"));
        figures.bound("plan_max_ms", max, most_ms);
        figures.add("liars_found", format!("{}/{}", self.liars.0, self.liars.1));
        figures.add("honest_cleared", format!("{}/{}", self.honest.0, self.honest.1));
        for what in &self.wrong {
            figures.holds(what, false);
        }
        figures.holds("a generation or a leg was left over", idle);
        figures.holds("nodes were expelled that broke no rule", self.expelled == 0);
        figures.holds("answers should be the rule", self.failed * 20 <= self.asked && self.answered > 0);
        figures.holds("the network should nearly always be served", self.served * 100 >= self.looks * 95);
        figures.bound("detour_mean", mean, MOST_DETOUR);
        figures.holds("three of five liars are found", self.liars.1 > 0 && self.liars.0 * 5 >= self.liars.1 * 3);
    }
}
