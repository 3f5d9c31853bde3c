//! What can be wrong with a GGUF header.

use computepool_core::{Fault, FaultCode};

/// Why a GGUF file was refused, or one of its metadata values could not be had. Text from the file is shortened and
/// escaped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// Not a GGUF file at all.
    #[error("not a GGUF file: it starts with {got:?}")]
    BadMagic {
        /// The first four bytes.
        got: [u8; 4],
    },
    /// Written for big-endian machines.
    #[error("this GGUF file is big-endian")]
    BigEndian,
    /// A version other than 2 and 3.
    #[error("GGUF version {got}; versions 2 and 3 are read")]
    UnsupportedVersion {
        /// As the file says.
        got: u32,
    },
    /// The file ends too early.
    #[error("the file ends inside {what}: {need} more bytes are announced, {have} are there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes that should follow.
        need: u64,
        /// Bytes that do.
        have: u64,
    },
    /// A count beyond what any real model has.
    #[error("{got} {what}; at most {limit} are read")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are announced.
        got: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The header goes on beyond what any real model needs.
    #[error("the header is larger than {limit} bytes")]
    HeaderTooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotUtf8 {
        /// Which text.
        what: String,
    },
    /// A metadata type that does not exist.
    #[error("metadata `{key}` has the unknown type {got}")]
    UnknownValueType {
        /// Which.
        key: String,
        /// As the file says.
        got: u32,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("metadata `{key}` is a truth value of {got}")]
    BadBool {
        /// Which.
        key: String,
        /// As the file says.
        got: u8,
    },
    /// Arrays in arrays in arrays.
    #[error("metadata `{key}` nests arrays deeper than {limit}")]
    NestedTooDeep {
        /// Which.
        key: String,
        /// The most that is read.
        limit: u32,
    },
    /// Two metadata entries of one name.
    #[error("metadata `{key}` is there twice")]
    DuplicateKey {
        /// Which.
        key: String,
    },
    /// Two tensors of one name.
    #[error("tensor `{tensor}` is there twice")]
    DuplicateTensor {
        /// Which.
        tensor: String,
    },
    /// An alignment that is not a power of two from 8 to 64 KiB.
    #[error("alignment {got}; a power of two from 8 to 65536 is needed")]
    BadAlignment {
        /// As the file says.
        got: u32,
    },
    /// A tensor without dimensions, or with more than four.
    #[error("tensor `{tensor}` has {got} dimensions; 1 to 4 are possible")]
    BadRank {
        /// Which.
        tensor: String,
        /// As the file says.
        got: u32,
    },
    /// A tensor with a dimension of zero.
    #[error("tensor `{tensor}` has a dimension of zero")]
    EmptyTensor {
        /// Which.
        tensor: String,
    },
    /// A tensor beyond counting.
    #[error("tensor `{tensor}` has dimensions whose product is beyond counting")]
    TensorTooLarge {
        /// Which.
        tensor: String,
    },
    /// A row that does not end with a block.
    #[error("tensor `{tensor}` has rows of {cols} values, which is no multiple of the {block} in a {kind} block")]
    PartialBlock {
        /// Which.
        tensor: String,
        /// Values per row.
        cols: u64,
        /// Values per block.
        block: u64,
        /// The type.
        kind: &'static str,
    },
    /// A tensor type that ggml knows and this version does not.
    #[error("tensor `{tensor}` is stored as {kind}, which this version does not read")]
    UnsupportedTensorType {
        /// Which.
        tensor: String,
        /// The type's name.
        kind: &'static str,
    },
    /// A tensor type that nobody knows.
    #[error("tensor `{tensor}` has the unknown type {got}")]
    UnknownTensorType {
        /// Which.
        tensor: String,
        /// As the file says.
        got: u32,
    },
    /// A tensor that starts off the alignment.
    #[error("tensor `{tensor}` starts at offset {offset}, off the alignment of {alignment}")]
    MisalignedTensor {
        /// Which.
        tensor: String,
        /// From the start of the data.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// A tensor that reaches outside the file.
    #[error("tensor `{tensor}` takes {bytes} bytes at offset {offset}, the file's data has {have}")]
    OutOfFile {
        /// Which.
        tensor: String,
        /// From the start of the data.
        offset: u64,
        /// Its size.
        bytes: u64,
        /// Size of the data.
        have: u64,
    },
    /// Two tensors on the same bytes.
    #[error("tensors `{first}` and `{second}` overlap")]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The one that starts inside it.
        second: String,
    },
    /// One part of a model that was split over several files.
    #[error("this is part {part} of a model split over {count} files")]
    Split {
        /// Counted from one.
        part: u32,
        /// How many.
        count: u32,
    },
    /// A metadata value is of another type than the reader needs.
    #[error("metadata `{key}` is {got}, {expected} is needed")]
    WrongType {
        /// Which.
        key: String,
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        got: &'static str,
    },
    /// A metadata value does not fit the type that the reader needs.
    #[error("metadata `{key}` is {got}, which does not fit {expected}")]
    OutOfRange {
        /// Which.
        key: String,
        /// What was asked for.
        expected: &'static str,
        /// The value.
        got: String,
    },
}

impl GgufError {
    /// The code under which it crosses a port.
    pub fn code(&self) -> FaultCode {
        match self {
            Self::BigEndian
            | Self::UnsupportedVersion { .. }
            | Self::UnsupportedTensorType { .. }
            | Self::Split { .. }
            | Self::HeaderTooLarge { .. }
            | Self::TooMany { .. } => FaultCode::UnsupportedModel,
            _ => FaultCode::BadModelFile,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::BigEndian => Some("fetch the little-endian file of this model"),
            Self::UnsupportedVersion { .. } => Some("convert the file again with a current llama.cpp"),
            Self::UnsupportedTensorType { .. } => {
                Some("choose a file quantised as Q4_0 to Q8_0 or Q2_K to Q6_K, or in F16, BF16 or F32")
            }
            Self::Split { .. } => Some("join the parts with llama.cpp's `llama-gguf-split --merge`"),
            _ => Some("fetch the file again, and compare its SHA-256"),
        }
    }
}

impl From<GgufError> for Fault {
    fn from(error: GgufError) -> Self {
        let fault = Fault::new(error.code(), error.to_string());
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
