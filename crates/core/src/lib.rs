//! The vocabulary of ComputePool and the ports between its rooms.
//!
//! Every other crate speaks in these words; this one knows nobody. It does no I/O, starts no task and reads no clock:
//! the traits under [`ports`] say what the outside world must offer, and the crates that own a socket, a tensor or a
//! file implement them.
//!
//! ```
//! use computepool_core::LayerRange;
//!
//! let first = LayerRange::new(0, 10).unwrap();
//! assert_eq!(first.len(), 10);
//! assert!(first.is_entry() && !first.is_exit(30));
//! ```

pub mod activation;
pub mod advert;
pub mod allowance;
pub mod coalition;
pub mod control;
pub mod fault;
pub mod generate;
mod hex_bytes;
pub mod hop;
pub mod ids;
pub mod invite;
pub mod layers;
pub mod manifest;
pub mod money;
pub mod ports;
pub mod receipt;
pub mod sealed;
pub mod shard;
pub mod ticket;

pub use activation::{Activation, ActivationType};
pub use advert::{Advert, HeldModel, LinkMeasure, ModelSpeed, PathKind, Reach};
pub use allowance::Allowance;
pub use coalition::{CoalitionTerms, Commitment, FoundedPlace, Proposal, StakeVoucher};
pub use fault::{Fault, FaultCode, Retry};
pub use generate::{
    AlternativeToken, Constraint, FinishReason, Generate, GenerationEvent, Sampling, TokenEvent, TokenLogprob, Usage,
};
pub use hop::{HopFrame, Lane};
pub use ids::{ClientId, ContentHash, GenerationId, ModelId, NodeId, SessionId};
pub use invite::Invite;
pub use layers::LayerRange;
pub use manifest::{Extent, Manifest, ManifestFile, WeightSource};
pub use money::{Account, Amount, Asset, ChainId, MoneyError, TxHash};
pub use receipt::{Receipt, SignedReceipt};
pub use sealed::{Sealed, Statement};
pub use shard::{EngineUsage, ModelSummary, ShardInfo, ShardSpec};
pub use ticket::{RouteHop, RouteTicket, SessionLimits, SignedTicket, TicketError};
