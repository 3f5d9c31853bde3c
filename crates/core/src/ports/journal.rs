//! The journal port: what an orchestrator must find again after a restart.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::control::Assignment;
use crate::{ClientId, ContentHash, Fault, FaultCode, GenerationId, LayerRange, NodeId, Sealed, SessionId};

/// Keeps records. A later record of the same thing replaces the earlier one.
pub trait Journal: Send + Sync {
    /// Writes records, all or none of them, in this order. Returns once they would survive a crash.
    fn write(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), Fault>>;

    /// Everything that is still true: nodes, places, sessions, then generations from the oldest on.
    fn read(&self) -> BoxFuture<'_, Result<Vec<Record>, Fault>>;
}

/// Something an orchestrator writes down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record {
    /// A registered node.
    Node(NodeRecord),
    /// A node that is not registered any more.
    NodeLeft(NodeId),
    /// How a model is cut and who holds what, in route order; all of it, every time.
    Places {
        /// Which model.
        model: ContentHash,
        /// The places.
        places: Vec<PlaceRecord>,
    },
    /// An open session.
    Session(SessionRecord),
    /// A session that is over; it and its generations are forgotten.
    SessionClosed(SessionId),
    /// A generation that began. One that is found without an end was interrupted.
    GenerationBegan {
        /// Which.
        generation: GenerationId,
        /// In which session.
        session: SessionId,
        /// Unix milliseconds.
        at_ms: u64,
    },
    /// A generation that ended.
    GenerationEnded {
        /// Which.
        generation: GenerationId,
        /// Unix milliseconds.
        at_ms: u64,
        /// Tokens that its client was given.
        tokens: u32,
        /// What went wrong, if anything did.
        fault: Option<FaultCode>,
    },
}

/// A node as it is remembered, by the id that its advert is signed with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its last [`Advert`](crate::Advert).
    pub advert: Sealed,
    /// Unix milliseconds when it was last heard of.
    pub seen_ms: u64,
    /// How often it broke the protocol.
    pub strikes: u32,
    /// How much slower than advertised it was seen to be, in thousandths: 1000 is as advertised.
    pub slowness: u32,
}

/// A layer range and those who hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceRecord {
    /// Which blocks.
    pub layers: LayerRange,
    /// Who, with what each was told to load it as.
    pub holders: Vec<(NodeId, Assignment)>,
}

/// A session as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub client: ClientId,
    /// For which model.
    pub model: ContentHash,
    /// Unix milliseconds when it ends.
    pub expires_ms: u64,
}
