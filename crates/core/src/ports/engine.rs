//! The engine port: one layer range that runs steps for many generations.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{Activation, ContentHash, Fault, Generate, GenerationId, ModelSpeed, ShardInfo, ShardSpec, TokenEvent};

/// Runs one shard. Commands go in order; results come on the event stream that was handed out with the engine.
pub trait Engine: Send + Sync {
    /// Loads a shard in place of any other; everything open on the old one is gone. The spec is kept: after a crash
    /// the engine loads it again by itself and says [`EngineEvent::Ready`].
    fn load(&self, spec: ShardSpec) -> BoxFuture<'_, Result<ShardInfo, Fault>>;

    /// Hands over one command; waits while the engine's queue is full. Failing means the engine is down: the events
    /// say the rest.
    fn send(&self, command: EngineCommand) -> BoxFuture<'_, Result<(), Fault>>;

    /// Times some layers of a model, with the output head. Takes the place of a load: only while no shard is loaded.
    fn measure(&self, model: ContentHash) -> BoxFuture<'_, Result<ModelSpeed, Fault>>;

    /// Ends the engine and gives its memory back.
    fn stop(&self) -> BoxFuture<'_, ()>;
}

/// What an engine is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EngineCommand {
    /// Reserve KV for a generation; answered by `Opened` or `Failed`.
    Open {
        /// Which.
        generation: GenerationId,
        /// Positions to reserve.
        max_len: u32,
        /// Positions that are fed before anything is sampled: the prompt, and what was produced of the answer before.
        prompt_len: u32,
        /// KV to take over.
        adopt: Option<Adopt>,
        /// On the exit shard: how to sample.
        request: Option<Generate>,
    },
    /// Run consecutive positions of a generation; answered by `Hidden`, `Token`, `Absorbed` or `Failed`.
    Step {
        /// Which.
        generation: GenerationId,
        /// The position of the first row.
        position: u32,
        /// Whether the exit shard samples after the last row.
        sample: bool,
        /// Token ids on the entry shard, hidden states elsewhere.
        input: StepInput,
    },
    /// Free a generation's KV; steps still queued for it are dropped. Answered by `Closed`, always and only once.
    Close {
        /// Which.
        generation: GenerationId,
    },
}

/// KV of an open generation that another one takes over. The one that had it is closed by that, even where the other
/// cannot be opened after all, and answered for with `Closed` before the other is. Where it is not open, or has fewer
/// positions, opening fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// Whose.
    pub generation: GenerationId,
    /// How many positions, from the first; steps go on after these. Must be below the new generation's `prompt_len`.
    pub positions: u32,
}

/// What a step works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StepInput {
    /// For the entry shard.
    Tokens(Vec<u32>),
    /// For the others.
    Hidden(Activation),
}

impl StepInput {
    /// How many positions.
    pub fn rows(&self) -> u32 {
        match self {
            Self::Tokens(ids) => ids.len() as u32,
            Self::Hidden(hidden) => hidden.rows(),
        }
    }
}

/// What an engine says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EngineEvent {
    /// KV is reserved.
    Opened {
        /// For which generation.
        generation: GenerationId,
    },
    /// A step's hidden states, for the next shard.
    Hidden {
        /// Whose.
        generation: GenerationId,
        /// The position of the first row.
        position: u32,
        /// Whether the exit shard samples after the last row.
        sample: bool,
        /// The hidden states.
        hidden: Activation,
        /// Microseconds of engine time, this generation's share by rows.
        compute_us: u64,
    },
    /// The exit shard sampled.
    Token {
        /// Whose.
        generation: GenerationId,
        /// Where the token stands in the sequence, prompt included.
        position: u32,
        /// Rows of the step that produced it.
        rows: u32,
        /// The token.
        event: TokenEvent,
        /// Microseconds of engine time, this generation's share by rows.
        compute_us: u64,
    },
    /// The exit shard took a chunk after which nothing is sampled.
    Absorbed {
        /// Whose.
        generation: GenerationId,
        /// The position of the first row.
        position: u32,
        /// How many rows.
        rows: u32,
        /// Microseconds of engine time, this generation's share by rows.
        compute_us: u64,
    },
    /// A generation was refused or cannot go on; its KV is free and further steps for it are ignored.
    Failed {
        /// Which.
        generation: GenerationId,
        /// Why.
        fault: Fault,
    },
    /// A generation's KV is free.
    Closed {
        /// Which.
        generation: GenerationId,
    },
    /// The engine is gone and every open generation with it; a new one is being started.
    Down {
        /// What is known of why.
        fault: Fault,
    },
    /// The engine that was lost is back with its shard loaded.
    Ready {
        /// What it holds.
        info: ShardInfo,
    },
}
