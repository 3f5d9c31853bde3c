//! What is said on a measuring stream.

use std::io;

use computepool_core::{Fault, FaultCode, NodeId};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::meter::{Meter, Rate};
use super::{CHUNK_BYTES, MAX_BYTES, MAX_TIME};

/// What every request starts with.
const MAGIC: [u8; 4] = *b"CPMS";

const VERSION: u8 = 1;

pub(super) const REQUEST_BYTES: usize = 8;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Asked {
    Echo = 1,
    Down = 2,
    Up = 3,
    Refused = 255,
}

impl Asked {
    pub(super) fn request(self) -> [u8; REQUEST_BYTES] {
        let [a, b, c, d] = MAGIC;
        [a, b, c, d, VERSION, self as u8, 0, 0]
    }

    pub(super) fn parse(bytes: &[u8; REQUEST_BYTES]) -> Result<Self, MeasureError> {
        let all = [Self::Echo, Self::Down, Self::Up, Self::Refused];
        all.into_iter().find(|asked| asked.request() == *bytes).ok_or(MeasureError::Request(*bytes))
    }
}

/// Why a measurement ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeasureError {
    #[error("the other side measures enough already")]
    Refused,
    #[error("{0:?} asks for nothing that can be measured")]
    Request([u8; REQUEST_BYTES]),
    #[error("answer {0} does not belong here")]
    Answer(u8),
    #[error("a chunk of {got} bytes, where {limit} are allowed")]
    Chunk { got: u64, limit: u64 },
    #[error("more was asked than one stream measures")]
    TooOften,
    #[error(transparent)]
    Broken(#[from] io::Error),
}

impl MeasureError {
    /// The fault of a measurement of the path to `node`.
    pub(super) fn about(&self, node: &NodeId) -> Fault {
        match self {
            Self::Refused => {
                Fault::new(FaultCode::NoCapacity, format!("{node} measures enough already")).retry_after_ms(10_000)
            }
            Self::Broken(error) => {
                Fault::new(FaultCode::LinkLost, format!("measuring the path to {node} was cut short: {error}"))
            }
            _ => Fault::new(FaultCode::ProtocolViolation, format!("{node} does not measure by the rules: {self}")),
        }
    }
}

/// Writes chunks of nothing in particular, and their end.
pub(super) async fn write<S: AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut chunk = vec![0; 4 + CHUNK_BYTES];
    chunk[..4].copy_from_slice(&(CHUNK_BYTES as u32).to_le_bytes());
    let begun = Instant::now();
    let mut sent = 0;
    while sent < MAX_BYTES && begun.elapsed() < MAX_TIME {
        stream.write_all(&chunk).await?;
        sent += CHUNK_BYTES as u64;
    }
    stream.write_all(&[0; 4]).await?;
    stream.flush().await
}

/// Reads chunks to their end, and times them.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Rate, MeasureError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut meter = Meter::start();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).await?;
        // A refusal takes the place of a chunk. Its magic is no length that a chunk could have.
        if length == MAGIC {
            return Err(MeasureError::Refused);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return Ok(meter.rate());
        }
        let limit = (CHUNK_BYTES as u64).min(MAX_BYTES - meter.total());
        if length as u64 > limit {
            return Err(MeasureError::Chunk { got: length as u64, limit });
        }
        stream.read_exact(&mut chunk[..length]).await?;
        meter.arrived(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;

    #[tokio::test]
    async fn what_is_written_can_be_read_and_is_bounded() {
        let mut wire = Cursor::new(Vec::new());
        write(&mut wire).await.unwrap();
        assert!(wire.get_ref().len() as u64 <= MAX_BYTES + MAX_BYTES / CHUNK_BYTES as u64 * 4 + 4);
        wire.set_position(0);
        assert!(read(&mut wire).await.unwrap().bytes > 0);

        let refused = read(&mut Cursor::new(Asked::Refused.request().to_vec())).await;
        assert!(matches!(refused, Err(MeasureError::Refused)), "{refused:?}");
        let oversize = (CHUNK_BYTES as u32 + 1).to_le_bytes();
        let error = read(&mut Cursor::new(oversize.to_vec())).await.unwrap_err();
        assert!(matches!(error, MeasureError::Chunk { got, limit } if got == limit + 1), "{error}");
        let mut endless = Vec::new();
        for _ in 0..=MAX_BYTES / CHUNK_BYTES as u64 {
            endless.extend((CHUNK_BYTES as u32).to_le_bytes());
            endless.extend([0; CHUNK_BYTES]);
        }
        let error = read(&mut Cursor::new(endless)).await.unwrap_err();
        assert!(matches!(error, MeasureError::Chunk { limit: 0, .. }), "{error}");
    }

    #[test]
    fn requests_are_what_they_say_to_the_last_byte() {
        for asked in [Asked::Echo, Asked::Down, Asked::Up, Asked::Refused] {
            assert_eq!(Asked::parse(&asked.request()).unwrap(), asked);
        }
        for (at, value) in [(0, b'X'), (4, 2), (5, 4), (6, 1), (7, 1)] {
            let mut request = Asked::Echo.request();
            request[at] = value;
            assert!(matches!(Asked::parse(&request), Err(MeasureError::Request(_))), "{request:?}");
        }
    }
}
