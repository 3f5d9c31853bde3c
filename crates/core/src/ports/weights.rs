//! The weights port: sees that what a shard needs is on the disk.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{ContentHash, Fault, LayerRange, WeightSource};

/// Fetches what is missing of a model, from wherever it can be had.
pub trait Weights: Send + Sync {
    /// Returns once every byte that `layers` of `model` need is on the disk and was checked. Without a source only what
    /// is there already can be had. Dropping the future stops the work; what was fetched is kept and not fetched again.
    /// `progress` is told now and then.
    fn ensure<'a>(
        &'a self,
        model: ContentHash,
        layers: LayerRange,
        source: Option<&'a WeightSource>,
        progress: &'a (dyn Fn(FetchProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), Fault>>;
}

/// How far fetching is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchProgress {
    /// Bytes needed in all.
    pub needed: u64,
    /// Bytes of these that are there and checked.
    pub present: u64,
    /// Bytes of these that came from peers.
    pub from_peers: u64,
    /// Bytes a second lately.
    pub rate: u64,
}
