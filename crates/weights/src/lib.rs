//! Weights on the disk: fetched by block, checked by hash, from web servers and from peers.
//!
//! A [`Shelf`] is a folder. For each model it has the manifest, sealed by the pool's owner, and the model's files in
//! their full length, of which only some blocks need to be there: those of the layers that this node serves. It says
//! where an engine finds a model, and gives its blocks to peers ([`BlockShelf`](computepool_core::ports::BlockShelf)).
//!
//! A [`Supply`] fetches what a layer range still lacks ([`Weights`](computepool_core::ports::Weights)): from peers
//! first, and from web servers by range requests. Every block is compared with the hash in the manifest before it is
//! written. Whoever sends a wrong one is not asked again, and the block is fetched elsewhere. What was fetched counts
//! after a crash as well, so that nothing is fetched twice.
//!
//! This crate refuses to know what a tensor is (`model`) and how a peer is reached (`transport`).

mod block;
mod error;
mod shelf;
mod supply;

pub use error::WeightsError;
pub use shelf::{FreeBytes, Shelf, ShelfOptions};
pub use supply::{Supply, SupplyOptions};
