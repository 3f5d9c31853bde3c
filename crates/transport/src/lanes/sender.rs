//! The writing end of a lane.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use computepool_core::ports::LaneSender;
use computepool_core::{Fault, FaultCode, HopFrame, Lane, NodeId};
use futures::AsyncWrite;
use futures::future::BoxFuture;
use tokio::time::timeout;

use super::open::broken;
use super::reply::Reply;
use crate::frame;
use crate::swarm::Stream;

/// A frame's head and this much of its payload go into one write, so that a token or a single position costs one
/// record. The rest of a longer payload is written from where it lies. Yamux splits at the same length.
const FIRST_WRITE: usize = 16 * 1024;

/// How long a broken write waits for the reason that the neighbour may have given.
const REASON: Duration = Duration::from_millis(300);

pub(super) struct StreamSender {
    stream: Stream,
    to: NodeId,
    lane: Lane,
    stall: Duration,
    first: Vec<u8>,
    reply: Reply,
    /// Why nothing can be sent any more: set while a frame is half written, and for good once that failed.
    ended: Option<Fault>,
}

impl StreamSender {
    pub(super) fn new(stream: Stream, to: NodeId, lane: Lane, stall: Duration) -> Self {
        Self { stream, to, lane, stall, first: Vec::new(), reply: Reply::default(), ended: None }
    }

    /// Writes `head`, then `payload`, and flushes.
    pub(super) async fn write(&mut self, head: &[u8], payload: &[u8]) -> Result<(), Fault> {
        if let Some(fault) = &self.ended {
            return Err(fault.clone());
        }
        // Holds if this future is dropped half way: what follows would be read as the rest of this frame.
        let given_up = format!("an earlier frame on the {:?} lane to {} was given up half written", self.lane, self.to);
        self.ended = Some(Fault::new(FaultCode::LinkLost, given_up));
        let result = self.write_parts(head, payload).await;
        self.ended = result.as_ref().err().cloned();
        result
    }

    async fn write_parts(&mut self, head: &[u8], payload: &[u8]) -> Result<(), Fault> {
        let (near, far) = payload.split_at(payload.len().min(FIRST_WRITE.saturating_sub(head.len())));
        let mut first = std::mem::take(&mut self.first);
        first.clear();
        first.extend_from_slice(head);
        first.extend_from_slice(near);
        self.write_all(&first).await?;
        self.first = first;
        self.write_all(far).await?;
        self.progress(|stream, cx| Pin::new(stream).poll_flush(cx)).await
    }

    async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let written = self.progress(|stream, cx| Pin::new(stream).poll_write(cx, bytes)).await?;
            if written == 0 {
                return Err(self.reason(&io::Error::from(io::ErrorKind::WriteZero)).await);
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Makes one step of a write: `stalled` when it takes too long, the neighbour's reason when it has ended the lane.
    async fn progress<T>(
        &mut self,
        mut step: impl FnMut(&mut Stream, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Result<T, Fault> {
        let limit = self.stall;
        let Self { stream, reply, .. } = &mut *self;
        let stepped = timeout(
            limit,
            poll_fn(|cx| {
                // Nothing is expected back, so that whatever comes is the end of the lane.
                if let Poll::Ready(end) = reply.poll(stream, cx) {
                    return Poll::Ready(Step::Ended(end));
                }
                step(stream, cx).map(Step::Written)
            }),
        )
        .await;
        match stepped {
            Ok(Step::Written(Ok(value))) => Ok(value),
            Ok(Step::Written(Err(error))) => Err(self.reason(&error).await),
            Ok(Step::Ended(end)) => Err(self.ended_by(end)),
            Err(_) => {
                let (to, lane, seconds) = (&self.to, self.lane, self.stall.as_secs_f32());
                Err(Fault::new(FaultCode::Stalled, format!("{to} read nothing from the {lane:?} lane for {seconds} s")))
            }
        }
    }

    /// Why a write failed: what the neighbour said, if it did.
    async fn reason(&mut self, error: &io::Error) -> Fault {
        match timeout(REASON, self.reply.read(&mut self.stream)).await {
            Ok(Ok(Some(fault))) => self.ended_by(Ok(Some(fault))),
            _ => broken(&self.to, self.lane, error),
        }
    }

    fn ended_by(&self, end: Result<Option<Fault>, Fault>) -> Fault {
        let (to, lane) = (&self.to, self.lane);
        match end {
            Ok(Some(fault)) => Fault { message: format!("{to} ended the {lane:?} lane: {}", fault.message), ..fault },
            Ok(None) => Fault::new(FaultCode::BadFrame, format!("{to} accepted the {lane:?} lane twice")),
            Err(fault) => Fault { message: format!("{lane:?} lane to {to}: {}", fault.message), ..fault },
        }
    }
}

enum Step<T> {
    Written(io::Result<T>),
    Ended(Result<Option<Fault>, Fault>),
}

impl LaneSender for StreamSender {
    fn send<'a>(&'a mut self, frame: HopFrame) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let (head, payload) = frame::encode(&frame)?;
            self.write(&head, &payload).await
        })
    }
}
