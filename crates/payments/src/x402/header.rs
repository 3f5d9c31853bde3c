//! JSON in base64 in a header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A longer header is refused unread.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Why a header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// It is too long.
    #[error("the header has {got} bytes, and at most {MAX_HEADER_BYTES} are read")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// It is not base64.
    #[error("the header is not base64")]
    NotBase64,
    /// It is not the JSON that belongs there.
    #[error("the header's JSON is not what x402 version 2 has there: {why}")]
    NotIt {
        /// What the parser says.
        why: String,
    },
}

/// The value of a header.
pub fn decode<T: DeserializeOwned>(header: &str) -> Result<T, HeaderError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLong { got: header.len() });
    }
    let json = STANDARD.decode(header.trim()).map_err(|_| HeaderError::NotBase64)?;
    serde_json::from_slice(&json).map_err(|error| HeaderError::NotIt { why: error.to_string() })
}

/// A header with this value.
pub fn encode(value: &impl Serialize) -> String {
    // Our own wire types have string keys and no failing parts.
    STANDARD.encode(serde_json::to_vec(value).unwrap_or_default())
}
