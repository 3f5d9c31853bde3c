//! Session tokens: 256 bits that nobody can guess, of which only the hash is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use computepool_core::ContentHash;
use computepool_core::ports::SessionToken;
use sha2::{Digest, Sha256};

/// The token with these bits.
pub(crate) fn of(bits: [u8; 32]) -> Option<SessionToken> {
    SessionToken::new(&format!("{}{}", SessionToken::PREFIX, URL_SAFE_NO_PAD.encode(bits)))
}

/// What is kept of a token.
pub(crate) fn hash(token: &SessionToken) -> ContentHash {
    ContentHash(Sha256::digest(token.reveal().as_bytes()).into())
}
