//! Receipts: a node's signed account of the work it did for one generation.

use serde::{Deserialize, Serialize};

use crate::ports::{Signer, Verifier};
use crate::{ContentHash, GenerationId, LayerRange, NodeId, SessionId};

/// What one shard did for one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// For which request.
    pub generation: GenerationId,
    /// In which session.
    pub session: SessionId,
    /// Who did it.
    pub node: NodeId,
    /// On which weights.
    pub model: ContentHash,
    /// On which blocks.
    pub layers: LayerRange,
    /// Positions of the prompt that went through.
    pub prefill_rows: u64,
    /// Single positions that went through after the prompt.
    pub decode_rows: u64,
    /// Engine steps this generation took part in.
    pub steps: u64,
    /// Microseconds of engine time, shared out by rows where a step served several generations.
    pub compute_us: u64,
    /// Microseconds from handing frames to the link until they were written.
    pub hop_us: u64,
    /// Bytes of activations and tokens sent to neighbours.
    pub bytes_sent: u64,
}

/// A receipt with its signature, over [`SIGNING_DOMAIN`] followed by the postcard encoding of the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReceipt {
    /// What is claimed.
    pub receipt: Receipt,
    /// By the node that did it.
    #[serde(with = "crate::hex_bytes")]
    pub signature: Vec<u8>,
}

/// What is signed starts with these bytes, so that a receipt's signature is good for nothing else.
pub const SIGNING_DOMAIN: &[u8] = b"computepool/receipt/1\n";

impl Receipt {
    fn signed_bytes(&self) -> Option<Vec<u8>> {
        Some([SIGNING_DOMAIN, &postcard::to_allocvec(self).ok()?].concat())
    }

    /// Signs the account; `None` only if it cannot be encoded, which no receipt is.
    pub fn seal(self, signer: &dyn Signer) -> Option<SignedReceipt> {
        let signature = signer.sign(&self.signed_bytes()?);
        Some(SignedReceipt { receipt: self, signature })
    }
}

impl SignedReceipt {
    /// Whether the node it names signed exactly this account.
    pub fn holds(&self, verifier: &dyn Verifier) -> bool {
        self.receipt.signed_bytes().is_some_and(|bytes| verifier.verify(&self.receipt.node, &bytes, &self.signature))
    }
}
