//! Blocks of weights, from peer to peer, by the hash of their content.
//!
//! Protocol [`PROTOCOL`]. A stream is kept, and carries one request after another; several streams may stand beside each
//! other. Every frame starts with the same 12 bytes as a lane's ([`crate::frame`]) under another magic, [`MAGIC`]:
//!
//! | kind | name | from | what follows |
//! |---|---|---|---|
//! | 1 | request | the one who wants a block | its SHA-256 (32 bytes), and the most bytes that it may have (`u32`) |
//! | 2 | block | the one who has it | its bytes, one to what the request allows |
//! | 3 | absent | | nothing: the block is not here |
//! | 4 | busy | | milliseconds after which to ask again (`u32`) |
//!
//! Numbers are little-endian. Whoever sends anything else has its stream reset. The content of a block is not checked
//! here: whoever asked for it knows best what for.
//!
//! Who has what is said in the table of nodes (Kademlia): a node that has all that a transformer block needs provides
//! the [key](layer_key) of that block.

mod codec;
mod exchange;
mod server;

use std::time::Duration;

use computepool_core::ContentHash;
use sha2::{Digest, Sha256};

pub use exchange::{Exchange, ExchangeOptions};
pub use server::serve;

/// The libp2p protocol name.
pub const PROTOCOL: &str = "/computepool/block/1";

/// What every frame starts with.
pub const MAGIC: [u8; 4] = *b"CPBK";

/// The version of this layout.
pub const VERSION: u8 = 1;

/// The most bytes of a block.
pub const MAX_BLOCK_BYTES: u32 = 8 << 20;

/// What a node does for those who want its blocks.
#[derive(Clone, Copy, Debug)]
pub struct BlockLimits {
    /// Streams in all; more are reset.
    pub max_streams: usize,
    /// Streams of one peer.
    pub max_streams_per_peer: usize,
    /// Blocks read and sent at a time, over all streams; whoever asks meanwhile is told to come back.
    pub max_serving: usize,
    /// Bytes a second, over all streams together; nothing where only the line sets a limit.
    pub bytes_per_second: Option<u64>,
    /// How long a stream is kept on which nothing is asked.
    pub idle: Duration,
    /// How long a peer may take nothing of what it is sent, or need for a request that it began.
    pub stall: Duration,
}

impl Default for BlockLimits {
    fn default() -> Self {
        Self {
            max_streams: 128,
            max_streams_per_peer: 4,
            max_serving: 8,
            bytes_per_second: None,
            idle: Duration::from_secs(120),
            stall: Duration::from_secs(15),
        }
    }
}

/// Under which key the table of nodes knows who has everything that a transformer block of a model needs: SHA-256 of
/// `computepool/layer/1`, the model's hash and the number of the block (`u32`, little-endian).
pub fn layer_key(model: ContentHash, layer: u32) -> [u8; 32] {
    let hasher = Sha256::new().chain_update(b"computepool/layer/1").chain_update(model.0);
    hasher.chain_update(layer.to_le_bytes()).finalize().into()
}
