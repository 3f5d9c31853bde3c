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
        self.sessions.set(i64::try_from(network.sessions).unwrap_or(i64::MAX));
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
