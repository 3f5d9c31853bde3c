//! The inference port: what the HTTP face asks of the orchestrator.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::{FetchProgress, Text};
use crate::money::Account;
use crate::{
    ClientId, EngineUsage, Fault, Generate, GenerationEvent, LayerRange, LinkMeasure, ModelId, ModelSummary, NodeId,
    Reach, ShardInfo,
};

/// Runs generations on whatever routes there are.
pub trait Inference: Send + Sync {
    /// Starts a generation. Dropping the stream cancels it and frees its KV on every shard.
    fn generate<'a>(
        &'a self,
        client: &'a ClientId,
        model: &'a ModelId,
        request: Generate,
    ) -> BoxFuture<'a, Result<BoxStream<'static, GenerationEvent>, Fault>>;

    /// The models offered, with what turns their text into tokens and back.
    fn models(&self) -> Vec<(ModelStatus, Arc<dyn Text>)>;

    /// The state of the network as this orchestrator knows it.
    fn status(&self) -> NetworkStatus;
}

/// A model as users see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// What it is.
    pub summary: ModelSummary,
    /// The longest sequence served, in tokens; at most the model's own.
    pub max_context: u32,
    /// Whether a complete route serves it now.
    pub available: bool,
    /// Unix seconds since when it is offered.
    pub created: u64,
}

/// What an orchestrator knows of its nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Registered nodes, in route order where they have a place.
    pub nodes: Vec<NodeStatus>,
    /// Sessions open now.
    pub sessions: u64,
    /// Generations running now.
    pub generations: u64,
    /// How each model is served, in the order they are offered.
    #[serde(default)]
    pub pools: Vec<PoolStatus>,
    /// Generations that went on elsewhere after a loss, since the start.
    #[serde(default)]
    pub failovers: u64,
    /// Generations that were handed over because a node left, since the start.
    #[serde(default)]
    pub handovers: u64,
    /// Why nothing can be written down that a restart would have to find, while that is so.
    #[serde(default)]
    pub journal_fault: Option<String>,
}

/// How one model is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Which model.
    pub model: ModelId,
    /// The places of a route, entry first; empty while the model is not cut.
    pub places: Vec<PlaceStatus>,
    /// How many nodes could be lost at any place without a gap; absent while there is a gap.
    pub spares: Option<u32>,
    /// What was predicted of the fastest route.
    pub predicted: Option<Pace>,
    /// What its generations really took lately.
    pub measured: Option<Pace>,
    /// What the split advisor says, for people.
    pub advice: Option<String>,
}

/// One place of a route, and who can serve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceStatus {
    /// Which blocks.
    pub layers: LayerRange,
    /// Nodes with these loaded and serving.
    pub ready: Vec<NodeId>,
    /// Nodes that are loading them, or were lost with them a moment ago.
    pub coming: Vec<NodeId>,
}

/// How fast a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Microseconds from one token to the next, for one stream.
    pub token_us: u64,
    /// Microseconds to the first token after a prompt of 128 tokens.
    pub first_us: u64,
}

/// One node as its orchestrator knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Who.
    pub node: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// What it was asked to serve.
    pub layers: Option<LayerRange>,
    /// How far it is.
    pub phase: ShardPhase,
    /// Why it is there, in words for people.
    pub reason: String,
    /// What it holds, once loaded.
    pub shard: Option<ShardInfo>,
    /// What its engine process uses, once the node has said so. Nothing is decided by it.
    #[serde(default)]
    pub usage: Option<EngineUsage>,
    /// How it can be reached.
    #[serde(default)]
    pub reach: Reach,
    /// Paths it has measured.
    #[serde(default)]
    pub links: Vec<LinkMeasure>,
    /// How much slower it was seen to be than it says, in thousandths; 1000 is as it says.
    #[serde(default)]
    pub slowness: u32,
    /// Generations it takes part in now.
    #[serde(default)]
    pub generations: u64,
    /// How far the weights of its shard are, while they are fetched.
    #[serde(default)]
    pub fetching: Option<FetchProgress>,
    /// Who is paid for its work.
    #[serde(default)]
    pub operator: Option<Account>,
}

/// How far a node is with its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardPhase {
    /// Registered, without a shard.
    Idle,
    /// Loading.
    Loading,
    /// Serving.
    Ready,
    /// The shard cannot serve; the reason says why.
    Down,
    /// Finishing what it has.
    Draining,
}
