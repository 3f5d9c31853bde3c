//! What the outside world must offer. The real things live in `engine`, `transport`, `model` and `orchestrator`;
//! fakes for unit tests stand beside their users.

mod blocks;
mod chain;
mod engine;
mod inference;
mod journal;
mod ledger;
mod links;
mod text;
mod toll;
mod vault;
mod weights;

pub use blocks::{BlockPeers, BlockShelf};
pub use chain::{
    Block, Chain, ChainEvent, ChainEventKind, ChainEvents, CoalitionId, CoalitionOffer, Cursor, Delivery, Intent,
    PaidPlace, Refused, SessionOnChain, SessionPhase, SessionTerms, SessionView, StepId, Voucher, VoucherState,
};
pub use engine::{Adopt, Engine, EngineCommand, EngineEvent, StepInput};
pub use inference::{Inference, ModelStatus, NetworkStatus, NodeStatus, Pace, PlaceStatus, PoolStatus, ShardPhase};
pub use journal::{Journal, NodeRecord, PlaceRecord, Record, SessionRecord};
pub use ledger::{Ledger, LedgerEntry, MAX_LEDGER_TEXT};
pub use links::{ControlEvent, ControlServer, IncomingLane, LaneSender, Links};
pub use text::{ChatPrompt, Text, TextDecoder, ToolDialect};
pub use toll::{Admission, Asked, Bill, BillPhase, Presented, Quote, SessionToken, Toll, TollRefusal};
pub use vault::{
    Authorization, Purpose, SigningContent, SigningRequest, TokenDomain, Vault, VaultAccount, locked, over_limit,
};
pub use weights::{FetchProgress, Weights};

use crate::NodeId;

/// Tells the time. Passed in, so that tests can own it.
pub trait Clock: Send + Sync {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |elapsed| elapsed.as_millis() as u64)
    }
}

/// Signs as one peer.
pub trait Signer: Send + Sync {
    /// As whom.
    fn node(&self) -> NodeId;
    /// The signature over `bytes`.
    fn sign(&self, bytes: &[u8]) -> Vec<u8>;
}

/// Checks signatures of peers, whose ids carry their public keys.
pub trait Verifier: Send + Sync {
    /// Whether `node` signed `bytes`.
    fn verify(&self, node: &NodeId, bytes: &[u8], signature: &[u8]) -> bool;
}
