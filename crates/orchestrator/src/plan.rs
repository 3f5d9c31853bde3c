//! Who serves which layers, and which of them serve a request: pure functions of the model, the machines, and the paths
//! between them.
//!
//! | question | answered by | how sure |
//! |---|---|---|
//! | which machine holds which range? | [`place`] | up to [`EXACT_MACHINES`] machines: the fastest, or told how far from it at most; beyond: a rule of thumb |
//! | which spare doubles which place? | [`spread`] | the least loss to be expected |
//! | which holders serve this request? | [`route`] | the shortest ring |
//! | what will it take? | [`predict`] | as good as the measurements |
//! | who is slower than it says? | [`observe`] | converges as routes differ |
//!
//! # What is minimised
//!
//! The time from token to token of one stream, by the formula that [`predict`] documents; then, among cuts of that route
//! that are slower by no more than [`Problem::indifference`], the time to the first token. All sums are integers
//! (nanoseconds), so that "the least" means what it says and every platform finds the same.
//!
//! # Why the placement is the fastest
//!
//! A placement is a ring of distinct machines `m₁ … m_k` and a cut of the model into `k` consecutive ranges; range `i` must
//! fit machine `mᵢ` (memory, what its owner insists on, which weights it can have). Its time per token is a sum over the
//! ranges and over the ring's edges. So for a *beginning* of a placement — the first machines and where the last of them
//! ends — how it can be completed, and at which cost, depends on nothing but
//!
//! ```text
//! ( blocks covered, set of machines used, entry, last machine )
//! ```
//!
//! and of beginnings that agree in these only the cheapest can be part of a fastest placement (Bellman's principle; the
//! entry matters because the ring is closed by the way back to it). Enumerating these states in order of cost is a dynamic
//! programme that ends with the fastest placement: Held and Karp's for the shortest tour, with a cut on top.
//!
//! There are far too many states to look at them all (16 machines and 80 blocks have over a thousand million). The
//! search therefore goes best first: a state is looked at in the order of *cost so far + a bound on the rest* (A*, Hart,
//! Nilsson and Raphael 1968), where the bound is never more than what the cheapest completion costs. When the smallest such
//! sum among the states that are left is no less than the best complete placement, no state that is left can lead to a
//! faster one: the placement is proven to be the fastest. Where that takes more than [`Problem::effort`], the same
//! smallest sum is still a lower bound on every placement, and the answer says how far it may be from the fastest
//! ([`Proof::Within`]). A good placement to compare with is found first, by a beam search with the same bound.
//!
//! The bound on the rest is the cheapest *walk* that covers the remaining blocks, where a walk may use a machine twice: it
//! is computed for all states at once by a small dynamic programme over `(blocks covered, last machine)`, since a walk need
//! not know where it has been. Prices on machines (Lagrange multipliers) make using one twice not worth while; the modules
//! `place::bound` and `place::search` have the argument that this stays a lower bound.
//!
//! The tests hold all this against every ring and every cut of thousands of small worlds, with the formula written down
//! a second time.

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
