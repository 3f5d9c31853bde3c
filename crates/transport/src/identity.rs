//! Who this machine is: an ed25519 key pair, kept in a file, and what follows from it.
//!
//! The key file holds libp2p's own protobuf encoding of the key pair, so that other libp2p tools can read it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use computepool_core::ports::{Signer, Verifier};
use computepool_core::{Fault, FaultCode, NodeId};
use libp2p::PeerId;
use libp2p::identity::{KeyType, Keypair, PublicKey, ed25519};

mod file;

pub use file::IdentityError;

/// The multihash code of a peer id that carries its public key itself (multiformats table: `identity`).
const IDENTITY_MULTIHASH: u64 = 0;

/// A peer's key pair. Its public half is the [`NodeId`].
#[derive(Clone)]
pub struct Identity {
    keys: ed25519::Keypair,
    node: NodeId,
}

impl Identity {
    /// A fresh key pair that is written nowhere.
    pub fn generate() -> Result<Self, Fault> {
        Self::of(ed25519::Keypair::generate())
    }

    /// The key pair in `path`, which is created, readable by its owner alone, where it does not exist yet.
    ///
    /// Two processes that start at once on the same path end up with the same key: whoever publishes the file first
    /// wins, and the other one reads it.
    pub fn load_or_create(path: &Path) -> Result<Self, Fault> {
        let keys = file::load_or_create(path)?;
        Self::of(keys)
    }

    fn of(keys: ed25519::Keypair) -> Result<Self, Fault> {
        let node = node_of(&Keypair::from(keys.clone()).public().to_peer_id())?;
        Ok(Self { keys, node })
    }

    /// The peer id that belongs to the key.
    pub fn id(&self) -> &NodeId {
        &self.node
    }

    pub(crate) fn keypair(&self) -> Keypair {
        Keypair::from(self.keys.clone())
    }
}

impl Signer for Identity {
    fn node(&self) -> NodeId {
        self.node.clone()
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.keys.sign(bytes)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.node)
    }
}

/// Checks signatures against the public key that a peer id carries. Peers whose ids carry no key, or one of another
/// kind than ed25519, never verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerVerifier;

impl Verifier for PeerVerifier {
    fn verify(&self, node: &NodeId, bytes: &[u8], signature: &[u8]) -> bool {
        public_key(node).is_some_and(|key| key.verify(bytes, signature))
    }
}

fn public_key(node: &NodeId) -> Option<PublicKey> {
    let peer = PeerId::from_str(node.as_str()).ok()?;
    let multihash = peer.as_ref();
    if multihash.code() != IDENTITY_MULTIHASH {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    (key.key_type() == KeyType::Ed25519).then_some(key)
}

/// The libp2p form of a node id; `invalid_request` when the text is not a peer id.
pub fn peer_of(node: &NodeId) -> Result<PeerId, Fault> {
    PeerId::from_str(node.as_str()).map_err(|error| {
        Fault::new(FaultCode::InvalidRequest, format!("`{node}` is not a peer id: {error}"))
            .hint("a peer id looks like 12D3KooW…; `computepool node` prints its own")
    })
}

/// The node id of a libp2p peer.
pub fn node_of(peer: &PeerId) -> Result<NodeId, Fault> {
    NodeId::new(peer.to_base58())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_verifies_for_its_signer_and_its_bytes_only() {
        let (alice, bob) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let signature = alice.sign(b"the route");
        assert!(PeerVerifier.verify(alice.id(), b"the route", &signature));
        assert!(!PeerVerifier.verify(bob.id(), b"the route", &signature));
        assert!(!PeerVerifier.verify(alice.id(), b"the rout", &signature));
        assert!(!PeerVerifier.verify(alice.id(), b"the route", &signature[1..]));
        assert!(!PeerVerifier.verify(alice.id(), b"the route", &[]));
    }

    #[test]
    fn ids_that_carry_no_ed25519_key_never_verify() {
        // A hashed (RSA style) peer id, text that is no peer id, and a random peer id whose "key" is no curve point.
        let hashed = NodeId::new("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N").unwrap();
        let nonsense = NodeId::new("not-a-peer").unwrap();
        for node in [hashed, nonsense] {
            assert!(!PeerVerifier.verify(&node, b"x", &[0; 64]), "{node}");
        }
        assert_eq!(peer_of(&NodeId::new("not-a-peer").unwrap()).unwrap_err().code, FaultCode::InvalidRequest);
    }

    #[test]
    fn node_ids_and_peer_ids_convert_both_ways_and_debug_shows_no_key() {
        let identity = Identity::generate().unwrap();
        let peer = peer_of(identity.id()).unwrap();
        assert_eq!(&node_of(&peer).unwrap(), identity.id());
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.id()));
    }
}
