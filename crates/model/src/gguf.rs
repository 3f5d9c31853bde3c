//! GGUF files: one file that holds metadata and tensors.
//!
//! The layout is that of ggml's `docs/gguf.md`; versions 2 and 3 are read, little-endian. A file comes from a stranger:
//! every count, length, offset and product in its header is checked against the file's real size before anything is
//! allocated for it, and nothing outside the header is touched.

pub(crate) mod cursor;
pub mod error;
pub mod header;
pub mod metadata;
pub(crate) mod settings;
pub(crate) mod tensors;

pub use error::GgufError;
pub use header::{Limits, TensorInfo};
pub use metadata::{Metadata, Value, ValueType};

use crate::extent::Extent;

/// Reads the header of a GGUF file held in memory; the bytes of its tensors need to be there, but are not looked at.
pub fn parse(bytes: &[u8]) -> Result<Metadata, GgufError> {
    Metadata::read(Extent::from_vec(bytes.to_vec()))
}
