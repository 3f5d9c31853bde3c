//! Identifiers. Each is a newtype, so that one cannot stand where another is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Fault, FaultCode};

/// The longest text a [`NodeId`], [`ModelId`] or [`ClientId`] may have; longer input is refused before it is kept.
pub const MAX_ID_LENGTH: usize = 128;

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as an id: printable ASCII, 1 to [`MAX_ID_LENGTH`] characters.
            pub fn new(text: impl Into<String>) -> Result<Self, Fault> {
                let text = text.into();
                let fits = (1..=MAX_ID_LENGTH).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
                if fits {
                    Ok(Self(text))
                } else {
                    Err(Fault::new(FaultCode::InvalidRequest, concat!("this is not a valid ", $what))
                        .hint(format!("use 1 to {MAX_ID_LENGTH} printable ASCII characters without spaces")))
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(|fault| serde::de::Error::custom(fault.message))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Fault;
            fn from_str(text: &str) -> Result<Self, Fault> {
                Self::new(text)
            }
        }
    };
}

text_id!(
    /// A node's or an orchestrator's libp2p peer id, in its usual base58 text form.
    NodeId,
    "peer id"
);
text_id!(
    /// The name under which users ask for a model, as in the `model` field of the OpenAI API.
    ModelId,
    "model id"
);
text_id!(
    /// Who asks: one API key, or `local` where no key is required. Never the key itself.
    ClientId,
    "client id"
);

macro_rules! byte_id {
    ($(#[$meta:meta])* $name:ident, $bytes:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "crate::hex_bytes")] pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = Fault;
            fn from_str(text: &str) -> Result<Self, Fault> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|error| {
                    Fault::new(FaultCode::InvalidRequest, format!("{} is not {} hex bytes: {error}", text, $bytes))
                })?;
                Ok(Self(bytes))
            }
        }
    };
}

byte_id!(
    /// What one voucher opens: a route, its limits and its deadline. Random, 128 bits.
    SessionId,
    16
);
byte_id!(
    /// One request inside a session. Random, 128 bits, unique across sessions.
    GenerationId,
    16
);
byte_id!(
    /// SHA-256 of a file's bytes, or of a folder's manifest.
    ContentHash,
    32
);
