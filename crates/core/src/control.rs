//! What an orchestrator and its nodes say to each other. No activation can be said in these words.

use serde::{Deserialize, Serialize};

use crate::ports::{Adopt, CoalitionId, FetchProgress};
use crate::{
    Commitment, EngineUsage, Fault, Generate, GenerationId, NodeId, Proposal, Sealed, SessionId, ShardInfo, ShardSpec,
    SignedReceipt, SignedTicket, TokenEvent, WeightSource,
};

/// The version of this vocabulary; both sides must speak the same.
pub const CONTROL_VERSION: u16 = 3;

/// No control message is longer than this on the wire; a longer one is refused unread.
pub const MAX_CONTROL_BYTES: usize = 4 * 1024 * 1024;

/// Says which loading of a shard a message is about; grows by one with every [`OrchestratorMessage::Assign`].
pub type Assignment = u64;

/// From a node to its orchestrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NodeMessage {
    /// First message on the link.
    Hello {
        /// [`CONTROL_VERSION`].
        version: u16,
        /// The node's [`Advert`](crate::Advert), sealed by itself.
        advert: Sealed,
    },
    /// The assigned shard is loaded and serving (again, after an engine was restarted).
    ShardReady {
        /// Which.
        assignment: Assignment,
        /// What it holds.
        info: ShardInfo,
    },
    /// The assigned shard cannot serve: it failed to load, or its engine died. [`Self::ShardReady`] follows if it recovers.
    ShardDown {
        /// Which.
        assignment: Assignment,
        /// Why.
        fault: Fault,
    },
    /// The node holds a valid ticket and its lanes to the next neighbours are open.
    SessionOpened {
        /// Which.
        session: SessionId,
    },
    /// The node cannot serve the session.
    SessionRefused {
        /// Which.
        session: SessionId,
        /// Why.
        fault: Fault,
    },
    /// KV is reserved; the generation may begin.
    GenerationOpened {
        /// Which.
        generation: GenerationId,
    },
    /// The generation was not admitted, or cannot go on here. Said at most once for each.
    GenerationFailed {
        /// Which.
        generation: GenerationId,
        /// Why.
        fault: Fault,
    },
    /// The exit shard sampled a token.
    Token {
        /// For which generation.
        generation: GenerationId,
        /// The token.
        event: TokenEvent,
    },
    /// The node's account of a generation that was closed; its KV is free again.
    Closed {
        /// Which.
        generation: GenerationId,
        /// What it did; absent when it did nothing or its engine took the figures with it.
        receipt: Option<SignedReceipt>,
    },
    /// The node finishes what it has and takes nothing new.
    Draining,
    /// What the node's engine uses; said now and then when it has changed.
    Usage(EngineUsage),
    /// A newer [`Advert`](crate::Advert), sealed by the node: before the last one expires, or when something has changed.
    Advert(Sealed),
    /// The answer to [`OrchestratorMessage::Ping`], at once.
    Pong {
        /// The ping's.
        nonce: u64,
    },
    /// How far the weights of an assigned shard are; said now and then while they are fetched.
    Fetching {
        /// Which loading.
        assignment: Assignment,
        /// How far.
        progress: FetchProgress,
    },
    /// The answer to [`OrchestratorMessage::Propose`].
    Committed {
        /// To which coalition.
        coalition: CoalitionId,
        /// For which place.
        place: u32,
        /// The operator's signatures, or why it does not sign.
        commitment: Result<Commitment, Fault>,
    },
}

/// From an orchestrator to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OrchestratorMessage {
    /// Load this shard, in place of any other.
    Assign {
        /// Names this loading.
        assignment: Assignment,
        /// What to load.
        spec: ShardSpec,
        /// Where the weights come from, for a node that does not have them.
        source: Option<WeightSource>,
    },
    /// Say [`NodeMessage::Pong`] at once.
    Ping {
        /// To be sent back.
        nonce: u64,
    },
    /// Connect to these and measure the paths to them; the next advert tells.
    Probe {
        /// Whom.
        peers: Vec<Contact>,
    },
    /// Serve this session.
    OpenSession {
        /// The route, its limits and its deadline.
        ticket: SignedTicket,
    },
    /// The session is over; drop its lanes and what is still open in it.
    CloseSession {
        /// Which.
        session: SessionId,
    },
    /// Reserve KV for a generation.
    OpenGeneration {
        /// In which session.
        session: SessionId,
        /// Which.
        generation: GenerationId,
        /// What the node's place in the route needs to know.
        part: GenerationPart,
    },
    /// Every shard has admitted it: the entry starts on the prompt.
    Begin {
        /// Which.
        generation: GenerationId,
    },
    /// Stop, free the KV, and account for it. Sent for every opened generation, however it ended.
    CloseGeneration {
        /// Which.
        generation: GenerationId,
    },
    /// Leave in order: close everything, then the link.
    Leave,
    /// Sign for a place of a coalition, so that its work is paid. Asked of nodes whose adverts name an operator.
    Propose(Box<Proposal>),
}

/// A peer and where it can be dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who.
    pub node: NodeId,
    /// Where (multiaddresses as text).
    pub addresses: Vec<String>,
}

/// What each shard is told of a generation: no more than it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationPart {
    /// Positions to reserve KV for: prompt and everything that may follow.
    pub max_len: u32,
    /// Positions that are fed before anything is sampled: the prompt, and what was produced of the answer before.
    pub prompt_len: u32,
    /// KV to take over from an open generation of the same session; rows are fed from its end on.
    pub adopt: Option<Adopt>,
    /// Nobody waits for its first token: what is fed goes in small chunks, so that others hardly notice.
    pub unhurried: bool,
    /// The whole request; for the exit shard, which samples (its prompt is left empty unless a penalty needs it), and
    /// for the entry shard, which embeds the prompt.
    pub request: Option<Generate>,
}
