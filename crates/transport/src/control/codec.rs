//! Frames of a control link.

use bytes::Bytes;
use computepool_core::Fault;
use computepool_core::control::MAX_CONTROL_BYTES;
use serde::Serialize;

use super::{MAGIC, VERSION};
use crate::frame::{FrameError, PREFIX_BYTES, Prefix};
use crate::hello::{MAX_REPLY_BYTES, shortened, unreadable, whole};

const MESSAGE: u8 = 1;
const PING: u8 = 2;
const END: u8 = 3;

/// What a frame's prefix announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    Message(usize),
    Ping,
    End(usize),
}

/// The bytes of a message; refused when longer than messages may be.
pub(super) fn message(message: &impl Serialize) -> Result<Bytes, FrameError> {
    let body = postcard::to_allocvec(message).map_err(unreadable)?;
    if body.len() > MAX_CONTROL_BYTES {
        return Err(FrameError::Oversize { got: body.len() as u64, limit: MAX_CONTROL_BYTES as u64 });
    }
    framed(MESSAGE, &body)
}

pub(super) fn ping() -> Result<Bytes, FrameError> {
    framed(PING, &[])
}

/// The bytes that end a link and say why.
pub(super) fn end(fault: &Fault) -> Result<Bytes, FrameError> {
    let told =
        Fault { message: shortened(&fault.message), hint: fault.hint.as_deref().map(shortened), ..fault.clone() };
    framed(END, &postcard::to_allocvec(&told).map_err(unreadable)?)
}

pub(super) fn parse_end(body: &[u8]) -> Result<Fault, FrameError> {
    whole(body)
}

/// What follows a prefix; its length is within bounds.
pub(super) fn announced(prefix: &[u8; PREFIX_BYTES]) -> Result<Announced, FrameError> {
    let Prefix { kind, flags, length } = Prefix::parse(prefix, MAGIC, VERSION)?;
    if flags != 0 {
        return Err(FrameError::Flags { kind, got: flags });
    }
    let (limit, what): (usize, fn(usize) -> Announced) = match kind {
        MESSAGE => (MAX_CONTROL_BYTES, Announced::Message),
        PING => (0, |_| Announced::Ping),
        END => (MAX_REPLY_BYTES, Announced::End),
        got => return Err(FrameError::Kind { got }),
    };
    if length as usize > limit {
        return Err(FrameError::Oversize { got: u64::from(length), limit: limit as u64 });
    }
    Ok(what(length as usize))
}

fn framed(kind: u8, body: &[u8]) -> Result<Bytes, FrameError> {
    let prefix = Prefix::new(kind, 0, body.len())?.encode(MAGIC, VERSION);
    Ok([&prefix, body].concat().into())
}
