//! What the endpoint counts, in Prometheus' words.

use std::time::Duration;

use computepool_core::FaultCode;
use computepool_core::ports::{NetworkStatus, ShardPhase};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

type Labels<const N: usize> = [(&'static str, String); N];

/// The endpoint's counters.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels<3>, Counter>,
    faults: Family<Labels<1>, Counter>,
    tokens_in: Counter,
    tokens_out: Counter,
    running: Gauge,
    first_token: Histogram,
    between_tokens: Histogram,
    nodes: Family<Labels<1>, Gauge>,
    sessions: Gauge,
    kv_tokens: Family<Labels<1>, Gauge>,
    engine_memory: Family<Labels<1>, Gauge>,
    failovers: Gauge,
    handovers: Gauge,
    spares: Family<Labels<1>, Gauge>,
}

const FIRST_TOKEN_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const BETWEEN_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("computepool"),
            requests: Family::default(),
            faults: Family::default(),
            tokens_in: Counter::default(),
            tokens_out: Counter::default(),
            running: Gauge::default(),
            first_token: Histogram::new(FIRST_TOKEN_BUCKETS),
            between_tokens: Histogram::new(BETWEEN_BUCKETS),
            nodes: Family::default(),
            sessions: Gauge::default(),
            kv_tokens: Family::default(),
            engine_memory: Family::default(),
            failovers: Gauge::default(),
            handovers: Gauge::default(),
            spares: Family::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("requests", "Requests answered, by route, method and status", self.requests.clone());
        r.register("faults", "Requests and streams that ended in an error, by code", self.faults.clone());
        r.register("prompt_tokens", "Tokens of prompts", self.tokens_in.clone());
        r.register("completion_tokens", "Tokens produced", self.tokens_out.clone());
        r.register("generations_in_flight", "Generations running for this endpoint", self.running.clone());
        let help = "From a request's arrival to its first token";
        r.register_with_unit("time_to_first_token", help, Unit::Seconds, self.first_token.clone());
        let help = "Between two tokens of one generation";
        r.register_with_unit("inter_token", help, Unit::Seconds, self.between_tokens.clone());
        r.register("nodes", "Registered nodes, by phase", self.nodes.clone());
        r.register("sessions", "Open sessions", self.sessions.clone());
        r.register("kv_tokens", "Tokens of KV in use, by node", self.kv_tokens.clone());
        let help = "Memory of the engine process, by node";
        r.register_with_unit("engine_memory", help, Unit::Bytes, self.engine_memory.clone());
        let help = "Generations that went on elsewhere after a loss, since the start";
        r.register("failovers", help, self.failovers.clone());
        let help = "Generations that were handed over because a node left, since the start";
        r.register("handovers", help, self.handovers.clone());
        let help = "Nodes that could be lost at any place of a model's route without a gap; -1 while there is one";
        r.register("spares", help, self.spares.clone());
        self
    }

    /// A request was answered with this status.
    pub(crate) fn answered(&self, route: &'static str, method: &str, status: u16) {
        let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    /// A request or a stream ended in an error.
    pub(crate) fn failed(&self, code: FaultCode) {
        self.faults.get_or_create(&[("code", code.as_str().to_owned())]).inc();
    }

    /// A generation starts.
    pub(crate) fn started(&self, prompt_tokens: usize) {
        self.running.inc();
        self.tokens_in.inc_by(prompt_tokens as u64);
    }

    /// A generation is over, however it ended.
    pub(crate) fn ended(&self) {
        self.running.dec();
    }

    /// The first token of a generation came this long after the request.
    pub(crate) fn first_token(&self, wait: Duration) {
        self.tokens_out.inc();
        self.first_token.observe(wait.as_secs_f64());
    }

    /// A further token came this long after the one before.
    pub(crate) fn next_token(&self, wait: Duration) {
        self.tokens_out.inc();
        self.between_tokens.observe(wait.as_secs_f64());
    }

    /// Everything, in the OpenMetrics text format.
    pub(crate) fn render(&self, network: &NetworkStatus) -> Result<String, std::fmt::Error> {
        let phases = [ShardPhase::Idle, ShardPhase::Loading, ShardPhase::Ready, ShardPhase::Down, ShardPhase::Draining];
        for phase in phases {
            let count = network.nodes.iter().filter(|node| node.phase == phase).count();
            self.nodes.get_or_create(&[("phase", phase_name(phase).to_owned())]).set(count as i64);
        }
        let count = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        self.sessions.set(count(network.sessions));
        self.failovers.set(count(network.failovers));
        self.handovers.set(count(network.handovers));
        for pool in &network.pools {
            let spares = pool.spares.map_or(-1, i64::from);
            self.spares.get_or_create(&[("model", pool.model.to_string())]).set(spares);
        }
        // Those of nodes that are gone must not stay.
        self.kv_tokens.clear();
        self.engine_memory.clear();
        for node in &network.nodes {
            let Some(usage) = node.usage else { continue };
            let label = [("node", node.node.to_string())];
            self.kv_tokens.get_or_create(&label).set(count(usage.kv_tokens_used));
            self.engine_memory.get_or_create(&label).set(count(usage.rss_bytes));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn phase_name(phase: ShardPhase) -> &'static str {
    match phase {
        ShardPhase::Idle => "idle",
        ShardPhase::Loading => "loading",
        ShardPhase::Ready => "ready",
        ShardPhase::Down => "down",
        ShardPhase::Draining => "draining",
    }
}

#[cfg(test)]
mod tests {
    use computepool_core::ports::NodeStatus;
    use computepool_core::{EngineUsage, NodeId, Reach};

    use super::*;

    #[test]
    fn engines_are_shown_by_node_and_forgotten_with_it() {
        let metrics = Metrics::new();
        let node = NodeStatus {
            node: NodeId::new("12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN").unwrap(),
            name: "first".to_owned(),
            layers: None,
            phase: ShardPhase::Idle,
            reason: String::new(),
            shard: None,
            usage: Some(EngineUsage { rss_bytes: 5000, kv_tokens_used: 40, ..EngineUsage::default() }),
            reach: Reach::Unknown,
            links: Vec::new(),
            slowness: 1000,
            generations: 0,
            fetching: None,
            operator: None,
        };
        let line = |name: &str, value: u64| format!("computepool_{name}{{node=\"{}\"}} {value}\n", node.node);
        let network = NetworkStatus { nodes: vec![node.clone()], ..NetworkStatus::default() };
        let text = metrics.render(&network).unwrap();
        assert!(text.contains(&line("kv_tokens", 40)) && text.contains(&line("engine_memory_bytes", 5000)), "{text}");
        assert!(!metrics.render(&NetworkStatus::default()).unwrap().contains(node.node.as_str()));
    }
}
