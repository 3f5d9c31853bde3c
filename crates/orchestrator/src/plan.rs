//! Who serves which layers, and which of them serve a request: pure functions of the model, the machines, and the paths
//! between them.

mod cost;
mod even;
mod machine;
mod memory;
mod observe;
mod paths;
mod place;
mod problem;
mod route;
mod spread;

pub use cost::{Costs, Prediction, predict};
pub use even::{Share, plan};
pub use machine::{Holding, Machine, Origin, Speed};
pub use memory::{Candidate, kv_budget, least_bytes, suits, weight_bytes};
pub use observe::{LEAST_SLOWNESS, MOST_SLOWNESS, observe};
pub use paths::{Path, Paths};
pub use place::{EXACT_MACHINES, Placed, Placement, Proof, place};
pub use problem::{Held, Problem, Shards};
pub use route::{Holder, Route, route};
pub use spread::{Filled, spread};

use computepool_core::LayerRange;

/// Why no route can be planned yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not enough nodes.
    #[error("{present} of {needed} nodes are there")]
    TooFew {
        /// Nodes that could serve.
        present: usize,
        /// Shards to be served.
        needed: usize,
    },
    /// Enough nodes, but their insisted ranges and the others cannot be joined to the wanted number of shards.
    #[error("the layer ranges that nodes insist on cannot be joined to {needed} shards")]
    Insistence {
        /// Shards to be served.
        needed: usize,
    },
    /// A range is too big for the nodes that are left for it.
    #[error("layers {layers} need {needed} bytes and the largest node left offers {offered}")]
    Memory {
        /// The range.
        layers: LayerRange,
        /// Bytes of weights and of one sequence's KV.
        needed: u64,
        /// Bytes the best remaining node offers.
        offered: u64,
    },
}
