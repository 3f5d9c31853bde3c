//! The messages.

use std::path::PathBuf;

use computepool_core::ports::{EngineCommand, EngineEvent};
use computepool_core::{ContentHash, Fault, ModelSpeed, ShardInfo, ShardSpec};
use serde::{Deserialize, Serialize};

/// Where an engine computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// On the processor.
    #[default]
    Cpu,
    /// On this CUDA device, counted from 0.
    Cuda(u32),
}

/// How an engine computes; the rest is in the [`ShardSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// Threads on the processor, at least one.
    pub threads: u32,
    /// Where.
    pub device: DeviceChoice,
}

/// From the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum HostMessage {
    /// Load this shard. Sent once, first; answered by `Loaded` or `LoadFailed`.
    Load {
        /// The weights: a GGUF file, or a Hugging Face folder.
        path: PathBuf,
        /// Which part of them, and how much KV.
        spec: ShardSpec,
        /// How.
        options: EngineOptions,
    },
    /// Time this model. Sent once, first, instead of a shard to load; answered by `Measured` or `LoadFailed`, after which
    /// the process ends.
    Measure {
        /// The weights: a GGUF file, or a Hugging Face folder.
        path: PathBuf,
        /// Their hash, for the answer.
        model: ContentHash,
        /// How to compute.
        options: EngineOptions,
    },
    /// For the shard.
    Command(EngineCommand),
    /// Answered by `Pong` with the same number, between two steps: proof that the engine still makes progress.
    Ping(u64),
}

/// From the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ChildMessage {
    /// The shard is loaded.
    Loaded(ShardInfo),
    /// It is not, or it could not be timed; the process ends.
    LoadFailed(Fault),
    /// How fast the model runs here; the process ends.
    Measured(ModelSpeed),
    /// From the shard.
    Event(EngineEvent),
    /// The answer to a ping.
    Pong {
        /// The ping's number.
        number: u64,
        /// What the process uses.
        stats: EngineStats,
    },
    /// The shard cannot go on; the process ends.
    Fatal(Fault),
}

/// What an engine process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStats {
    /// Bytes of memory in use now (resident set; memory-mapped weights that were touched count).
    pub rss_bytes: u64,
    /// The most it ever was. Where the system does not keep account of that, the most that was seen.
    pub peak_rss_bytes: u64,
    /// Tokens of KV reserved by open generations.
    pub kv_tokens_used: u64,
}
