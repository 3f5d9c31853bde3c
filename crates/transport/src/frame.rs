//! The wire form of a lane: what neighbours of a route write to each other, byte by byte.
//!
//! A lane is one libp2p stream of protocol [`PROTOCOL`]. The opener writes a `hello` ([`crate::hello`]) and waits for
//! its `reply`; after that it writes frames and the acceptor only reads, except that the acceptor may once more write a
//! `reply` with the reason before it resets the stream. All numbers are little-endian.
//!
//! Every frame starts with the same 12 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic, [`MAGIC`] |
//! | 4 | 1 | version, [`VERSION`] |
//! | 5 | 1 | kind |
//! | 6 | 2 | flags; those not named below are zero |
//! | 8 | 4 | bytes that follow the prefix |
//!
//! and goes on by its kind:
//!
//! | kind | name | flags | what follows |
//! |---|---|---|---|
//! | 1 | activation | bit 0: the exit samples after the last row | generation 16, position u32, rows u32, hidden u32, type u8 (0 f32, 1 f16, 2 bf16), zero 3, then rows × hidden numbers |
//! | 2 | token | – | generation 16, position u32, token id u32 |
//! | 3 | abort | – | generation 16, then the fault code as ASCII text, 1 to [`MAX_CODE_BYTES`] |
//! | 4 | warm | – | at most [`MAX_WARM_BYTES`] bytes that are thrown away; only as the first frame |
//! | 16 | hello | – | postcard: lane, signed ticket |
//! | 17 | reply | – | nothing: accepted; or a fault in postcard: refused, or ended |
//!
//! [`encode`] and [`Decoder`] do no I/O. The decoder knows the session's limits and refuses a frame by its prefix and
//! head, before it sets aside a byte for the numbers.

mod decode;
mod encode;
mod error;
mod limits;
mod prefix;

pub use decode::{Decoder, decode_all};
pub(crate) use encode::warm;
pub use encode::{Head, encode};
pub use error::FrameError;
pub use limits::{FrameLimits, MAX_ACTIVATION_BYTES};
pub(crate) use prefix::Prefix;

/// The libp2p protocol name of a lane.
pub const PROTOCOL: &str = "/computepool/hop/1";

/// What every frame of a lane starts with.
pub const MAGIC: [u8; 4] = *b"CPHP";

/// The version of this layout.
pub const VERSION: u8 = 1;

/// Bytes of the prefix that all frames share.
pub const PREFIX_BYTES: usize = 12;

/// Longest text of a fault code on the wire.
pub const MAX_CODE_BYTES: usize = 64;

/// Longest `warm` frame.
pub const MAX_WARM_BYTES: usize = 64 * 1024;

pub(crate) mod kind {
    pub(crate) const ACTIVATION: u8 = 1;
    pub(crate) const TOKEN: u8 = 2;
    pub(crate) const ABORT: u8 = 3;
    pub(crate) const WARM: u8 = 4;
    pub(crate) const HELLO: u8 = 16;
    pub(crate) const REPLY: u8 = 17;
}

/// Set on an activation after whose last row the exit shard samples.
const FLAG_SAMPLE: u16 = 1;

/// Bytes between the prefix and an activation's numbers.
const ACTIVATION_HEAD: usize = 32;

/// Bytes after a token's prefix.
const TOKEN_BODY: usize = 24;

/// Bytes of a generation id, which every frame after the hello starts with.
const GENERATION_BYTES: usize = 16;
