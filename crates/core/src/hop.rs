//! What travels between neighbours of a route.

use serde::{Deserialize, Serialize};

use crate::{Activation, FaultCode, GenerationId};

/// A session keeps one stream per neighbour and lane, so that a long prompt never stands in front of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Prompt chunks, towards the exit.
    Prefill,
    /// Single positions, towards the exit.
    Decode,
    /// Sampled tokens, from the exit straight to the entry.
    Return,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 3] = [Lane::Prefill, Lane::Decode, Lane::Return];
}

/// One frame on a lane.
#[derive(Clone, Debug, PartialEq)]
pub enum HopFrame {
    /// Hidden states for consecutive positions of one generation.
    Activation {
        /// Whose.
        generation: GenerationId,
        /// The position of the first row in the sequence.
        position: u32,
        /// Whether the exit shard samples after the last row.
        sample: bool,
        /// The hidden states.
        hidden: Activation,
    },
    /// The token sampled for `position`; the entry embeds it next.
    Token {
        /// Whose.
        generation: GenerationId,
        /// Where it stands in the sequence, prompt included.
        position: u32,
        /// The token id.
        id: u32,
    },
    /// The sender gave the generation up; nothing follows for it on this session.
    Abort {
        /// Whose.
        generation: GenerationId,
        /// Why.
        code: FaultCode,
    },
}

impl HopFrame {
    /// Whose frame it is.
    pub fn generation(&self) -> GenerationId {
        match self {
            Self::Activation { generation, .. } | Self::Token { generation, .. } | Self::Abort { generation, .. } => {
                *generation
            }
        }
    }
}
