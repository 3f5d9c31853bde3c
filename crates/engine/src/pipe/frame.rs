//! Frames: from messages to bytes and back.

use std::io::{ErrorKind, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::PipeError;

/// Every frame starts with this: ComputePool Engine Pipe.
pub const MAGIC: [u8; 4] = *b"CPEP";

/// The version of frames and messages.
pub const VERSION: u16 = 2;

/// Bytes before the message.
pub const HEADER_BYTES: usize = 12;

/// The longest message: the hidden states of 1,024 positions, 16,384 wide, in f32, and room for the rest.
pub const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024 + 64 * 1024;

/// Memory for a message is taken at most this much ahead of the bytes that arrive.
const READ_AHEAD: usize = 1024 * 1024;

/// Appends a message as a frame. On failure `buffer` is as it was.
pub fn encode<M: Serialize>(message: &M, buffer: &mut Vec<u8>) -> Result<(), PipeError> {
    let start = buffer.len();
    let mut frame = std::mem::take(buffer);
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&VERSION.to_le_bytes());
    frame.extend_from_slice(&[0; 6]);
    let written = postcard::serialize_with_flavor::<M, _, ()>(message, Appender(&mut frame));
    let length = frame.len() - start - HEADER_BYTES;
    let outcome = match written {
        Err(error) => Err(PipeError::Unwritable(error.to_string())),
        Ok(()) if length > MAX_FRAME_BYTES => Err(PipeError::Oversize { got: length as u64 }),
        Ok(()) => {
            frame[start + 8..start + HEADER_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
            Ok(())
        }
    };
    if outcome.is_err() {
        frame.truncate(start);
    }
    *buffer = frame;
    outcome
}

/// Lets postcard append to a buffer that has a frame's header in it.
struct Appender<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appender<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The message's length, as its header announces it.
fn announced(header: &[u8; HEADER_BYTES]) -> Result<usize, PipeError> {
    let [m0, m1, m2, m3, v0, v1, z0, z1, l0, l1, l2, l3] = *header;
    let magic = [m0, m1, m2, m3];
    if magic != MAGIC {
        return Err(PipeError::Magic { got: magic });
    }
    let version = u16::from_le_bytes([v0, v1]);
    if version != VERSION || [z0, z1] != [0, 0] {
        return Err(PipeError::Version { got: version });
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(PipeError::Oversize { got: length as u64 });
    }
    Ok(length)
}

/// Parses one message, all of it.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, PipeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(PipeError::Malformed(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(PipeError::Malformed(error.to_string())),
    }
}

/// Reads one message; `buffer` is scratch space that is kept from one to the next.
pub fn read_blocking<M: DeserializeOwned>(input: &mut impl Read, buffer: &mut Vec<u8>) -> Result<M, PipeError> {
    let mut header = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        match input.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Err(PipeError::Closed),
            Ok(0) => return Err(PipeError::Truncated),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let length = announced(&header)?;
    shrink(buffer);
    buffer.reserve(length.min(READ_AHEAD));
    if input.take(length as u64).read_to_end(buffer)? < length {
        return Err(PipeError::Truncated);
    }
    decode(buffer)
}

/// Reads one message, as [`read_blocking`]. Not to be cancelled: half a frame would be lost.
pub async fn read_message<M, R>(input: &mut R, buffer: &mut Vec<u8>) -> Result<M, PipeError>
where
    M: DeserializeOwned,
    R: AsyncRead + Unpin,
{
    let mut header = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        match input.read(&mut header[filled..]).await? {
            0 if filled == 0 => return Err(PipeError::Closed),
            0 => return Err(PipeError::Truncated),
            count => filled += count,
        }
    }
    let length = announced(&header)?;
    shrink(buffer);
    buffer.reserve(length.min(READ_AHEAD));
    if input.take(length as u64).read_to_end(buffer).await? < length {
        return Err(PipeError::Truncated);
    }
    decode(buffer)
}

/// Empties scratch space, and gives it back after an unusually long message.
fn shrink(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(READ_AHEAD);
}
