//! The inference port: what the HTTP face asks of the orchestrator.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::Text;
use crate::{
    ClientId, EngineUsage, Fault, Generate, GenerationEvent, LayerRange, ModelId, ModelSummary, NodeId, ShardInfo,
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
