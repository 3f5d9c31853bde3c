//! What goes into the state machine and what comes out.

use computepool_core::control::OrchestratorMessage;
use computepool_core::ports::{ControlEvent, Record};
use computepool_core::{ClientId, Generate, GenerationEvent, GenerationId, ModelId, NodeId, SessionId};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unix milliseconds. A time before that of an earlier event counts as that event's.
    pub at_ms: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// On a node's link.
    Control(ControlEvent),
    /// All links are gone for good.
    LinksClosed,
    /// A client asks for a generation.
    Ask(Box<Asked>),
    /// A client wants no more of a generation.
    Cancel(GenerationId, Cancelling),
    /// Time has passed.
    Tick,
    /// Take nothing new, finish what runs, then let all nodes leave.
    Drain {
        /// What still runs at this Unix millisecond is ended.
        deadline_ms: u64,
    },
}

/// A client's request, with the ids it will go by.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// A fresh random id; never used before.
    pub generation: GenerationId,
    /// A fresh random id, used only if the request needs a session of its own.
    pub session: SessionId,
    /// Who asks.
    pub client: ClientId,
    /// For which model.
    pub model: ModelId,
    /// What.
    pub request: Generate,
}

/// Why a client's generation is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelling {
    /// The client went away.
    Dropped,
    /// The client did not read its events, and the buffer kept for it is full.
    Unread,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Queue a message for a node.
    Send(NodeId, OrchestratorMessage),
    /// End a node's link.
    Disconnect {
        /// Whose.
        node: NodeId,
        /// Why, for the log.
        why: String,
    },
    /// Pass an event to the client of a generation. After `Ended` or `Failed` nothing follows for it.
    Tell(GenerationId, GenerationEvent),
    /// Write down what must be found again after a restart. Comes before the effects of what it tells.
    Write(Vec<Record>),
    /// The drain is over; the orchestrator can stop.
    Stopped,
}
