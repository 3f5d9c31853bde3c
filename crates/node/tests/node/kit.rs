//! Fakes for the ports a node stands on, and a cluster of nodes with a scripted orchestrator.

mod cluster;
mod engine;
mod net;
mod toy;
mod weights;

use std::sync::atomic::{AtomicU64, Ordering};

use computepool_core::NodeId;
use computepool_core::ports::{Clock, Signer, Verifier};

pub use cluster::{Cluster, Opened, spec};
pub use engine::FakeEngine;
pub use net::{Frames, Net};
pub use toy::{HIDDEN, LAYERS, MODEL, expected, hidden, rows};
pub use weights::{FakeWeights, NEEDED};

/// "Signs" with the signer's name and a checksum: enough to tell a true signature from another's or a changed text.
pub struct Name(pub NodeId);

pub struct Names;

fn checksum(node: &NodeId, bytes: &[u8]) -> Vec<u8> {
    let seed = node.as_str().bytes().fold(17u64, |sum, b| sum.wrapping_mul(131).wrapping_add(u64::from(b)));
    bytes.iter().fold(seed, |sum, b| sum.wrapping_mul(131).wrapping_add(u64::from(*b))).to_le_bytes().to_vec()
}

impl Signer for Name {
    fn node(&self) -> NodeId {
        self.0.clone()
    }
    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        checksum(&self.0, bytes)
    }
}

impl Verifier for Names {
    fn verify(&self, node: &NodeId, bytes: &[u8], signature: &[u8]) -> bool {
        checksum(node, bytes) == signature
    }
}

/// A clock that the test sets.
pub struct SetClock(AtomicU64);

impl SetClock {
    pub fn new(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms))
    }
    pub fn set(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}
