//! What comes back on a lane: the reply to its hello, and perhaps one more when it ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use computepool_core::{Fault, FaultCode};
use futures::AsyncRead;

use crate::frame::{FrameError, PREFIX_BYTES};
use crate::hello;
use crate::swarm::Stream;

/// A reply that is being read; never more than [`hello::MAX_REPLY_BYTES`].
#[derive(Debug)]
pub(super) struct Reply {
    buffer: Vec<u8>,
    filled: usize,
}

impl Default for Reply {
    fn default() -> Self {
        Self { buffer: vec![0; PREFIX_BYTES], filled: 0 }
    }
}

impl Reply {
    /// Reads on. Ready with the reply once it is there, or with `link_lost` when the stream has ended.
    pub(super) fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<Option<Fault>, Fault>> {
        loop {
            if self.filled == self.buffer.len() {
                match self.complete() {
                    Ok(Some(reply)) => return Poll::Ready(Ok(reply)),
                    Ok(None) => continue,
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            let read = match Pin::new(&mut *stream).poll_read(cx, &mut self.buffer[self.filled..]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => read,
            };
            match read {
                Ok(0) => return Poll::Ready(Err(lost(&io::Error::from(io::ErrorKind::UnexpectedEof)))),
                Ok(n) => self.filled += n,
                Err(error) => return Poll::Ready(Err(lost(&error))),
            }
        }
    }

    /// Reads to the end of the reply.
    pub(super) async fn read(&mut self, stream: &mut Stream) -> Result<Option<Fault>, Fault> {
        std::future::poll_fn(|cx| self.poll(stream, cx)).await
    }

    /// The reply; `None` when only its prefix was there and more must be read.
    fn complete(&mut self) -> Result<Option<Option<Fault>>, FrameError> {
        let Some((prefix, body)) = self.buffer.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = hello::reply_announced(prefix)?;
        if body.len() < length {
            self.buffer.resize(PREFIX_BYTES + length, 0);
            return Ok(None);
        }
        let reply = hello::parse_reply(body)?;
        *self = Self::default();
        Ok(Some(reply))
    }
}

fn lost(error: &io::Error) -> Fault {
    Fault::new(FaultCode::LinkLost, format!("the lane was closed without a reason ({error})"))
}
