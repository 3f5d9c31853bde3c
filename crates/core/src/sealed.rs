//! What one peer said and others must be able to check: the exact bytes, by whom, and the signature.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ports::{Signer, Verifier};
use crate::{Fault, FaultCode, NodeId};

/// A statement as it travels. Its signature is over the domain of its kind followed by `body`, so that it is good for
/// no other kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The statement in postcard, as its author encoded it.
    #[serde(with = "crate::hex_bytes")]
    pub body: Vec<u8>,
    /// The author.
    pub by: NodeId,
    /// The author's signature.
    #[serde(with = "crate::hex_bytes")]
    pub signature: Vec<u8>,
}

/// A kind of statement that can be sealed.
pub trait Statement: Serialize + DeserializeOwned {
    /// What is signed starts with these bytes.
    const DOMAIN: &'static [u8];
    /// What people call it, for refusals.
    const NAME: &'static str;
    /// No statement of this kind is longer; a longer one is refused unread.
    const MAX_BYTES: usize;

    /// Whether it makes sense by itself and may come from `by`.
    fn check(&self, by: &NodeId) -> Result<(), Fault>;
}

impl Sealed {
    /// Encodes and signs a statement.
    pub fn seal<T: Statement>(statement: &T, signer: &dyn Signer) -> Result<Self, Fault> {
        statement.check(&signer.node())?;
        let body = postcard::to_allocvec(statement)
            .map_err(|error| Fault::new(FaultCode::Internal, format!("the {} cannot be encoded: {error}", T::NAME)))?;
        if body.len() > T::MAX_BYTES {
            return Err(too_long::<T>(body.len()));
        }
        let signature = signer.sign(&signed_bytes::<T>(&body));
        Ok(Self { body, by: signer.node(), signature })
    }

    /// The statement, once size, signature and sense have been checked, in that order.
    pub fn open<T: Statement>(&self, verifier: &dyn Verifier) -> Result<T, Fault> {
        if self.body.len() > T::MAX_BYTES {
            return Err(too_long::<T>(self.body.len()));
        }
        if !verifier.verify(&self.by, &signed_bytes::<T>(&self.body), &self.signature) {
            return Err(Fault::new(FaultCode::BadSignature, format!("{} did not sign this {}", self.by, T::NAME)));
        }
        let statement: T = postcard::from_bytes(&self.body).map_err(|error| {
            Fault::new(FaultCode::InvalidRequest, format!("the {} of {} cannot be read: {error}", T::NAME, self.by))
        })?;
        statement.check(&self.by)?;
        Ok(statement)
    }
}

fn signed_bytes<T: Statement>(body: &[u8]) -> Vec<u8> {
    [T::DOMAIN, body].concat()
}

fn too_long<T: Statement>(got: usize) -> Fault {
    Fault::new(FaultCode::InvalidRequest, format!("a {} has at most {} bytes, this one {got}", T::NAME, T::MAX_BYTES))
}
