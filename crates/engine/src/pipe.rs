//! What the host and its engine process say to each other over the process's standard input and output.
//!
//! A frame is twelve bytes of header and one message in postcard:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | [`MAGIC`] |
//! | 2 | [`VERSION`], little-endian |
//! | 2 | 0 |
//! | 4 | length of the message, little-endian, at most [`MAX_FRAME_BYTES`] |
//!
//! Nothing else may ever appear on these two streams. Both ends come from one installation, so there is no negotiation:
//! another version is an error. Everything a frame says is checked all the same, because the engine parses strangers'
//! tensors and may be broken into.

mod frame;
mod message;

pub use frame::{HEADER_BYTES, MAGIC, MAX_FRAME_BYTES, VERSION, decode, encode, read_blocking, read_message};
pub use message::{ChildMessage, DeviceChoice, EngineOptions, EngineStats, HostMessage};

/// Why the other end could not be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    /// The stream ended between two frames: the other end is gone.
    #[error("the pipe was closed")]
    Closed,
    /// The stream ended within a frame.
    #[error("the pipe broke off within a frame")]
    Truncated,
    /// The stream could not be read or written.
    #[error("the pipe failed: {0}")]
    Io(#[from] std::io::Error),
    /// Something that is no frame.
    #[error("a frame starts with {got:02x?} instead of {:02x?}", MAGIC)]
    Magic {
        /// The first bytes.
        got: [u8; 4],
    },
    /// The other end is of another installation.
    #[error("the other end speaks version {got}, this one {VERSION}")]
    Version {
        /// Its version.
        got: u16,
    },
    /// A frame announces too much.
    #[error("a frame of {got} bytes is announced, {MAX_FRAME_BYTES} are allowed")]
    Oversize {
        /// How much.
        got: u64,
    },
    /// The message does not parse, or has bytes left over.
    #[error("a message cannot be understood: {0}")]
    Malformed(String),
    /// A message cannot be put into a frame.
    #[error("a message cannot be written: {0}")]
    Unwritable(String),
}

#[cfg(test)]
mod tests;
