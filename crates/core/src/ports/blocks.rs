//! Ports for blocks of weights: serving one's own, and getting others'.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{ContentHash, Fault, LayerRange, NodeId};

/// The blocks a node has and gives to peers.
pub trait BlockShelf: Send + Sync {
    /// A block by the hash of its content; `None` where it is not here or must not be given away.
    fn read(&self, hash: ContentHash) -> BoxFuture<'_, Option<Bytes>>;
}

/// Peers that may have blocks.
pub trait BlockPeers: Send + Sync {
    /// Peers that said they have everything a transformer block of a model needs; the nearest first, as far as known.
    fn providers(&self, model: ContentHash, layer: u32) -> BoxFuture<'_, Vec<NodeId>>;

    /// Says that this node has everything that these transformer blocks need.
    fn announce(&self, model: ContentHash, layers: LayerRange) -> BoxFuture<'_, ()>;

    /// Asks a peer for a block of at most `max_bytes`. The content is not checked here.
    fn fetch<'a>(&'a self, from: &'a NodeId, hash: ContentHash, max_bytes: u32) -> BoxFuture<'a, Result<Bytes, Fault>>;
}
