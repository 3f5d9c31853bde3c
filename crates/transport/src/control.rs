//! Control links: one stream per node to its orchestrator, over which everything but activations is said.
//!
//! Protocol [`PROTOCOL`]. Both sides write frames at any time, each starting with the same 12 bytes as a lane's
//! ([`crate::frame`]) under another magic, [`MAGIC`]:
//!
//! | kind | name | what follows |
//! |---|---|---|
//! | 1 | message | a [`NodeMessage`](computepool_core::control::NodeMessage) or an [`OrchestratorMessage`](computepool_core::control::OrchestratorMessage) in postcard, at most [`MAX_CONTROL_BYTES`](computepool_core::control::MAX_CONTROL_BYTES) |
//! | 2 | ping | nothing |
//! | 3 | end | why the sender ends the link: a fault in postcard, at most 4 KiB |
//!
//! Reading and writing are tasks of their own, so that two sides that both write much never wait for each other. A side
//! from which nothing arrives for [`ControlOptions::dead_after`] is given up, and so is one that takes nothing.
//! Connecting again is the caller's business.

use std::time::Duration;

mod client;
mod codec;
mod hub;
mod link;
mod nodes;

pub use client::{ControlClient, ControlSender};
pub use hub::ControlHub;

/// The libp2p protocol name of a control link.
pub const PROTOCOL: &str = "/computepool/control/1";

/// What every frame of a control link starts with.
pub const MAGIC: [u8; 4] = *b"CPCL";

/// The version of this layout.
pub const VERSION: u8 = 1;

/// How control links are kept.
#[derive(Clone, Copy, Debug)]
pub struct ControlOptions {
    /// How often a ping is written.
    pub ping_every: Duration,
    /// How long nothing may arrive, or a write may make no progress, before the link is given up.
    pub dead_after: Duration,
    /// Messages that wait to be written, per link. On the orchestrator a node whose queue is full is disconnected.
    pub queue: usize,
    /// Links in all, on the orchestrator; further nodes are refused.
    pub max_links: usize,
    /// Events that wait to be taken, on the orchestrator; nodes are slowed down when it is full.
    pub events: usize,
}

impl Default for ControlOptions {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_millis(500),
            dead_after: Duration::from_secs(4),
            queue: 256,
            max_links: 1024,
            events: 1024,
        }
    }
}
