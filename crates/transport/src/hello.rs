//! How a lane is opened: the opener's `hello` with its ticket, and the acceptor's `reply`. No I/O here either.
//!
//! Both are frames in the sense of [`crate::frame`], which has the layout.

use computepool_core::ticket::MAX_TICKET_BYTES;
use computepool_core::{Fault, Lane, SignedTicket};
use serde::{Deserialize, Serialize};

use crate::frame::{FrameError, MAGIC, PREFIX_BYTES, Prefix, VERSION, kind};

/// Longest hello after its prefix: a ticket, its issuer, its signature and the lane.
pub const MAX_HELLO_BYTES: usize = MAX_TICKET_BYTES + 512;

/// Longest reply after its prefix.
pub const MAX_REPLY_BYTES: usize = 4 * 1024;

/// Longest message of a fault that is told to a neighbour, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Says which lane a stream is to be, and by what right.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Hello {
    /// Which lane.
    pub lane: Lane,
    /// The ticket that names the opener as a neighbour.
    pub ticket: SignedTicket,
}

/// The bytes of a hello; refused when the ticket is longer than tickets may be.
pub fn encode(lane: Lane, ticket: &SignedTicket) -> Result<Vec<u8>, FrameError> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        lane: Lane,
        ticket: &'a SignedTicket,
    }
    let body = postcard::to_allocvec(&Borrowed { lane, ticket }).map_err(unreadable)?;
    if body.len() > MAX_HELLO_BYTES {
        return Err(FrameError::Oversize { got: body.len() as u64, limit: MAX_HELLO_BYTES as u64 });
    }
    framed(kind::HELLO, &body)
}

/// How many bytes follow this prefix of a hello; at most [`MAX_HELLO_BYTES`].
pub fn announced(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
    announced_as(prefix, kind::HELLO, MAX_HELLO_BYTES)
}

/// Reads what follows the prefix of a hello.
pub fn parse(body: &[u8]) -> Result<Hello, FrameError> {
    whole(body)
}

/// The bytes of a reply: `None` accepts, a fault refuses and says why.
pub(crate) fn encode_reply(fault: Option<&Fault>) -> Result<Vec<u8>, FrameError> {
    let Some(fault) = fault else { return framed(kind::REPLY, &[]) };
    let told =
        Fault { message: shortened(&fault.message), hint: fault.hint.as_deref().map(shortened), ..fault.clone() };
    framed(kind::REPLY, &postcard::to_allocvec(&told).map_err(unreadable)?)
}

/// How many bytes follow this prefix of a reply; at most [`MAX_REPLY_BYTES`].
pub(crate) fn reply_announced(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
    announced_as(prefix, kind::REPLY, MAX_REPLY_BYTES)
}

/// Reads what follows the prefix of a reply.
pub(crate) fn parse_reply(body: &[u8]) -> Result<Option<Fault>, FrameError> {
    if body.is_empty() { Ok(None) } else { whole(body).map(Some) }
}

fn framed(kind: u8, body: &[u8]) -> Result<Vec<u8>, FrameError> {
    let prefix = Prefix::new(kind, 0, body.len())?.encode(MAGIC, VERSION);
    Ok([&prefix, body].concat())
}

fn announced_as(prefix: &[u8; PREFIX_BYTES], kind: u8, limit: usize) -> Result<usize, FrameError> {
    let prefix = Prefix::parse(prefix, MAGIC, VERSION)?;
    if prefix.kind != kind {
        return Err(FrameError::Kind { got: prefix.kind });
    }
    if prefix.flags != 0 {
        return Err(FrameError::Flags { kind, got: prefix.flags });
    }
    if prefix.len() > limit {
        return Err(FrameError::Oversize { got: u64::from(prefix.length), limit: limit as u64 });
    }
    Ok(prefix.len())
}

/// Reads a postcard value that takes up all of `body`.
pub(crate) fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FrameError> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(unreadable)?;
    if rest.is_empty() { Ok(value) } else { Err(FrameError::Content(format!("{} bytes are left over", rest.len()))) }
}

pub(crate) fn unreadable(error: postcard::Error) -> FrameError {
    FrameError::Content(error.to_string())
}

/// The text cut to what a neighbour is told, at a character boundary.
pub(crate) fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use computepool_core::FaultCode;

    #[test]
    fn a_long_reason_still_fits_a_reply() {
        let fault = Fault::new(FaultCode::BadTicket, "ä".repeat(5_000)).hint("ö".repeat(5_000));
        let bytes = encode_reply(Some(&fault)).unwrap();
        let (prefix, body) = bytes.split_first_chunk::<PREFIX_BYTES>().unwrap();
        assert_eq!(reply_announced(prefix).unwrap(), body.len());
        let told = parse_reply(body).unwrap().unwrap();
        assert_eq!(told.code, FaultCode::BadTicket);
        assert!(fault.message.starts_with(&told.message) && told.message.len() == 1024);
        assert_eq!(parse_reply(&[]).unwrap(), None);
    }
}
