//! Frames of a block stream.

use computepool_core::ContentHash;

use super::{MAGIC, MAX_BLOCK_BYTES, VERSION};
use crate::frame::{FrameError, PREFIX_BYTES, Prefix};

const REQUEST: u8 = 1;
const BLOCK: u8 = 2;
const ABSENT: u8 = 3;
const BUSY: u8 = 4;

/// Bytes of a request after its prefix.
pub(super) const REQUEST_BYTES: usize = 36;
/// Bytes of a busy answer after its prefix.
pub(super) const BUSY_BYTES: usize = 4;

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) hash: ContentHash,
    /// The most bytes that it may have.
    pub(super) max_bytes: u32,
}

/// What the prefix of an answer announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// So many bytes of a block.
    Block(usize),
    /// Nothing.
    Absent,
    /// [`BUSY_BYTES`].
    Busy,
}

impl Request {
    pub(super) fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let prefix = prefix(REQUEST, REQUEST_BYTES)?;
        Ok([prefix.as_slice(), &self.hash.0, &self.max_bytes.to_le_bytes()].concat())
    }

    /// Whether this is the prefix of a request.
    pub(super) fn announced(prefix: &[u8; PREFIX_BYTES]) -> Result<(), FrameError> {
        match parse(prefix)? {
            Prefix { kind: REQUEST, length, .. } => exactly(REQUEST, length, REQUEST_BYTES),
            Prefix { kind, .. } => Err(FrameError::Kind { got: kind }),
        }
    }

    /// Reads what follows the prefix. A request for more than a block can have is refused.
    pub(super) fn parse(body: &[u8; REQUEST_BYTES]) -> Result<Self, FrameError> {
        let mut hash = [0; 32];
        let mut max_bytes = [0; 4];
        hash.copy_from_slice(&body[..32]);
        max_bytes.copy_from_slice(&body[32..]);
        let max_bytes = u32::from_le_bytes(max_bytes);
        if max_bytes > MAX_BLOCK_BYTES {
            return Err(FrameError::Oversize { got: max_bytes.into(), limit: MAX_BLOCK_BYTES.into() });
        }
        Ok(Self { hash: ContentHash(hash), max_bytes })
    }
}

/// What stands before a block's bytes.
pub(super) fn block(bytes: usize) -> Result<[u8; PREFIX_BYTES], FrameError> {
    prefix(BLOCK, bytes)
}

pub(super) fn absent() -> Result<[u8; PREFIX_BYTES], FrameError> {
    prefix(ABSENT, 0)
}

pub(super) fn busy(retry_ms: u32) -> Result<Vec<u8>, FrameError> {
    Ok([prefix(BUSY, BUSY_BYTES)?.as_slice(), &retry_ms.to_le_bytes()].concat())
}

/// What the prefix of an answer says, where a block may have `max_bytes`.
pub(super) fn announced(prefix: &[u8; PREFIX_BYTES], max_bytes: u32) -> Result<Announced, FrameError> {
    let Prefix { kind, length, .. } = parse(prefix)?;
    match kind {
        BLOCK if length > max_bytes => Err(FrameError::Oversize { got: length.into(), limit: max_bytes.into() }),
        BLOCK if length == 0 => {
            Err(FrameError::Length { kind: BLOCK, min: 1, max: max_bytes as usize, got: length as usize })
        }
        BLOCK => Ok(Announced::Block(length as usize)),
        ABSENT => exactly(ABSENT, length, 0).map(|()| Announced::Absent),
        BUSY => exactly(BUSY, length, BUSY_BYTES).map(|()| Announced::Busy),
        got => Err(FrameError::Kind { got }),
    }
}

fn prefix(kind: u8, length: usize) -> Result<[u8; PREFIX_BYTES], FrameError> {
    Ok(Prefix::new(kind, 0, length)?.encode(MAGIC, VERSION))
}

fn parse(prefix: &[u8; PREFIX_BYTES]) -> Result<Prefix, FrameError> {
    let parsed = Prefix::parse(prefix, MAGIC, VERSION)?;
    if parsed.flags == 0 { Ok(parsed) } else { Err(FrameError::Flags { kind: parsed.kind, got: parsed.flags }) }
}

fn exactly(kind: u8, got: u32, bytes: usize) -> Result<(), FrameError> {
    if got as usize == bytes {
        Ok(())
    } else {
        Err(FrameError::Length { kind, min: bytes, max: bytes, got: got as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_and_a_greedy_one_refused() {
        let request = Request { hash: ContentHash([9; 32]), max_bytes: MAX_BLOCK_BYTES };
        let bytes = request.encode().unwrap();
        let (prefix, body) = bytes.split_first_chunk::<PREFIX_BYTES>().unwrap();
        Request::announced(prefix).unwrap();
        assert_eq!(Request::parse(body.try_into().unwrap()).unwrap(), request);
        let greedy = Request { max_bytes: MAX_BLOCK_BYTES + 1, ..request }.encode().unwrap();
        let refused = Request::parse(greedy[PREFIX_BYTES..].try_into().unwrap());
        assert!(matches!(refused, Err(FrameError::Oversize { .. })), "{refused:?}");
    }

    #[test]
    fn an_answer_is_refused_by_its_head() {
        assert_eq!(announced(&block(7).unwrap(), 7), Ok(Announced::Block(7)));
        assert_eq!(announced(&absent().unwrap(), 7), Ok(Announced::Absent));
        assert_eq!(announced(busy(3).unwrap().first_chunk().unwrap(), 7), Ok(Announced::Busy));
        assert!(matches!(announced(&block(8).unwrap(), 7), Err(FrameError::Oversize { got: 8, limit: 7 })));
        assert!(matches!(announced(&block(0).unwrap(), 7), Err(FrameError::Length { .. })));
        assert!(matches!(announced(&prefix(ABSENT, 1).unwrap(), 7), Err(FrameError::Length { .. })));
        assert!(matches!(announced(&prefix(REQUEST, 36).unwrap(), 7), Err(FrameError::Kind { got: REQUEST })));
        let flagged = Prefix::new(ABSENT, 1, 0).unwrap().encode(MAGIC, VERSION);
        assert!(matches!(announced(&flagged, 7), Err(FrameError::Flags { .. })));
        assert!(matches!(Request::announced(&block(36).unwrap()), Err(FrameError::Kind { .. })));
    }
}
