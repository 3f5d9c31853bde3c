//! Shards: what a node is asked to load, and what it then holds.

use serde::{Deserialize, Serialize};

use crate::{ActivationType, ContentHash, LayerRange, ModelId};

/// What every room needs to know of a model without opening its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// What users call it.
    pub id: ModelId,
    /// SHA-256 of the weights file, or of the folder's manifest.
    pub hash: ContentHash,
    /// The architecture, as GGUF names it: `llama`, `qwen2`, …
    pub architecture: String,
    /// Transformer blocks.
    pub layer_count: u32,
    /// Width of a hidden state.
    pub hidden: u32,
    /// Tokens in the vocabulary.
    pub vocabulary: u32,
    /// The longest sequence the model was made for, in tokens.
    pub context: u32,
    /// Bytes of weights of each block, in order.
    pub layer_bytes: Vec<u64>,
    /// Bytes of the token embedding, held by the entry shard.
    pub embedding_bytes: u64,
    /// Bytes of the final norm and the output head, held by the exit shard (a tied head counts here too).
    pub head_bytes: u64,
    /// Bytes of KV per token and block on a CPU shard.
    pub kv_bytes_per_token_layer: u64,
}

/// A layer range to load, and the memory it may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardSpec {
    /// Which weights.
    pub model: ContentHash,
    /// Which blocks.
    pub layers: LayerRange,
    /// Bytes that the KV of all generations together may take.
    pub kv_bytes: u64,
    /// The longest sequence served, in tokens.
    pub max_context: u32,
}

/// A shard that is loaded and serving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Which weights.
    pub model: ContentHash,
    /// Which blocks.
    pub layers: LayerRange,
    /// Width of a hidden state.
    pub hidden: u32,
    /// How this engine's hidden states are stored.
    pub activation: ActivationType,
    /// Bytes of weights held.
    pub weight_bytes: u64,
    /// Bytes of KV one token takes over all blocks of this shard.
    pub kv_bytes_per_token: u64,
    /// Tokens of KV that the budget holds.
    pub kv_tokens: u64,
    /// The device, for people: `CPU, 1 thread`, `NVIDIA GeForce RTX 4090`, …
    pub device: String,
    /// The kernels chosen at run time: `avx512-vnni`, `cuda-8.9`, …
    pub kernels: String,
}

/// What a node's engine process uses, as the node last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineUsage {
    /// The process, by the id its own machine gave it, while there is one.
    pub pid: Option<u32>,
    /// Bytes of memory it has now.
    pub rss_bytes: u64,
    /// The most bytes of memory it has had.
    pub peak_rss_bytes: u64,
    /// Tokens of KV reserved by open generations.
    pub kv_tokens_used: u64,
}
