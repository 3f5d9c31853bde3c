//! One control link, alike on both sides: a task that reads, a task that writes, and how it ended.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use computepool_core::{Fault, FaultCode, NodeId};
use futures::io::{ReadHalf, WriteHalf};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::ControlOptions;
use super::codec::{self, Announced};
use crate::frame::{FrameError, PREFIX_BYTES};
use crate::hello::whole;
use crate::swarm::Stream;

/// Memory for a message grows by this much as it arrives, so that an announced length alone costs nothing.
const GROWTH: usize = 64 * 1024;

/// Messages read ahead of whoever takes them.
const READ_AHEAD: usize = 16;

/// How long saying why a link ends may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// How a link ends: the first reason given counts.
#[derive(Debug, Default)]
pub(super) struct Ending {
    reason: OnceLock<Fault>,
    ended: CancellationToken,
}

impl Ending {
    pub(super) fn end(&self, fault: Fault) {
        if self.reason.set(fault).is_ok() {
            self.ended.cancel();
        }
    }

    pub(super) fn reason(&self) -> Option<Fault> {
        self.reason.get().cloned()
    }

    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// Starts both tasks of a link. Messages written are taken from `outgoing`; when that closes, the link ends in order.
/// Messages read come out of the returned receiver, which closes when the link has ended, with `ending` saying why.
pub(super) fn start<In: DeserializeOwned + Send + 'static>(
    stream: Stream,
    peer: &NodeId,
    options: ControlOptions,
    outgoing: mpsc::Receiver<Bytes>,
    ending: &Arc<Ending>,
) -> mpsc::Receiver<In> {
    let (read, write) = stream.split();
    let (incoming, messages) = mpsc::channel(READ_AHEAD);
    let span = tracing::info_span!("control", %peer);
    let reader = Reader { read, options, incoming, ending: Arc::clone(ending), body: Vec::new() };
    let writer = Writer { write, options, outgoing, ending: Arc::clone(ending) };
    tokio::spawn(reader.run().instrument(span.clone()));
    tokio::spawn(writer.run().instrument(span));
    messages
}

/// Ends a link that never began, and says why.
pub(super) async fn refuse(mut stream: Stream, fault: &Fault) {
    let farewell = async {
        if let Ok(bytes) = codec::end(fault) {
            stream.write_all(&bytes).await?;
        }
        stream.close().await
    };
    match timeout(FAREWELL, farewell).await {
        Ok(Ok(())) => {}
        _ => tracing::debug!("the other side was not told why it is refused"),
    }
}

struct Reader<In> {
    read: ReadHalf<Stream>,
    options: ControlOptions,
    incoming: mpsc::Sender<In>,
    ending: Arc<Ending>,
    body: Vec<u8>,
}

impl<In: DeserializeOwned> Reader<In> {
    async fn run(mut self) {
        let ending = Arc::clone(&self.ending);
        let fault = tokio::select! {
            biased;
            () = ending.ended() => return,
            fault = self.read_on() => fault,
        };
        tracing::info!(code = %fault.code, "the control link ended: {}", fault.message);
        ending.end(fault);
    }

    async fn read_on(&mut self) -> Fault {
        loop {
            match self.read_frame().await {
                Ok(Some(message)) => {
                    if self.incoming.send(message).await.is_err() {
                        return Fault::new(FaultCode::Cancelled, "this side no longer listens");
                    }
                }
                Ok(None) => {}
                Err(fault) => return fault,
            }
        }
    }

    /// Reads one frame: a message, or `None` for a ping.
    async fn read_frame(&mut self) -> Result<Option<In>, Fault> {
        let mut prefix = [0; PREFIX_BYTES];
        let mut filled = 0;
        while filled < PREFIX_BYTES {
            match self.read_some(filled, &mut prefix).await? {
                0 if filled == 0 => return Err(Fault::new(FaultCode::LinkLost, "the other side closed the link")),
                0 => return Err(FrameError::Truncated { got: filled, expected: PREFIX_BYTES }.into()),
                n => filled += n,
            }
        }
        match codec::announced(&prefix)? {
            Announced::Ping => Ok(None),
            Announced::Message(length) => {
                self.read_body(length).await?;
                let message = whole(&self.body)?;
                self.body.shrink_to(GROWTH);
                Ok(Some(message))
            }
            Announced::End(length) => {
                self.read_body(length).await?;
                let fault = codec::parse_end(&self.body)?;
                let message = format!("the other side ended the link: {}", fault.message);
                Err(Fault { message, ..fault })
            }
        }
    }

    async fn read_body(&mut self, length: usize) -> Result<(), Fault> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let mut filled = 0;
        while filled < length {
            if filled == body.len() {
                body.resize(length.min(filled + GROWTH), 0);
            }
            match self.read_some(filled, &mut body).await? {
                0 => return Err(FrameError::Truncated { got: filled, expected: length }.into()),
                n => filled += n,
            }
        }
        self.body = body;
        Ok(())
    }

    async fn read_some(&mut self, filled: usize, buffer: &mut [u8]) -> Result<usize, Fault> {
        let limit = self.options.dead_after;
        match timeout(limit, self.read.read(&mut buffer[filled..])).await {
            Ok(read) => read.map_err(|error| broken(&error)),
            Err(_) => {
                let seconds = limit.as_secs_f32();
                Err(Fault::new(FaultCode::Stalled, format!("nothing arrived for {seconds} s, not even a ping")))
            }
        }
    }
}

struct Writer {
    write: WriteHalf<Stream>,
    options: ControlOptions,
    outgoing: mpsc::Receiver<Bytes>,
    ending: Arc<Ending>,
}

impl Writer {
    async fn run(mut self) {
        let ending = Arc::clone(&self.ending);
        let fault = tokio::select! {
            biased;
            () = ending.ended() => None,
            result = self.write_on() => Some(match result {
                Ok(()) => Fault::new(FaultCode::Cancelled, "this side ended the link"),
                Err(fault) => fault,
            }),
        };
        // A write that was cut short would make nonsense of what follows, but then nobody reads it either.
        if let Some(fault) = fault {
            ending.end(fault);
        }
        if let Some(reason) = ending.reason() {
            match timeout(FAREWELL, self.farewell(&reason)).await {
                Ok(Ok(())) => {}
                _ => tracing::debug!("the other side was not told why the link ends"),
            }
        }
    }

    /// Writes messages and pings until there is nothing more to write.
    async fn write_on(&mut self) -> Result<(), Fault> {
        let ping = codec::ping()?;
        let mut tick = interval(self.options.ping_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                message = self.outgoing.recv() => match message {
                    Some(bytes) => self.write_frame(&bytes).await?,
                    None => return Ok(()),
                },
                _ = tick.tick() => self.write_frame(&ping).await?,
            }
        }
    }

    async fn write_frame(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let limit = self.options.dead_after;
        let stalled = |_| {
            let seconds = limit.as_secs_f32();
            Fault::new(FaultCode::Stalled, format!("the other side took nothing for {seconds} s"))
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = timeout(limit, self.write.write(rest)).await.map_err(stalled)?;
            match written.map_err(|error| broken(&error))? {
                0 => return Err(broken(&io::Error::from(io::ErrorKind::WriteZero))),
                n => rest = &rest[n..],
            }
        }
        timeout(limit, self.write.flush()).await.map_err(stalled)?.map_err(|error| broken(&error))
    }

    async fn farewell(&mut self, reason: &Fault) -> io::Result<()> {
        if let Ok(bytes) = codec::end(reason) {
            self.write.write_all(&bytes).await?;
        }
        self.write.close().await
    }
}

fn broken(error: &io::Error) -> Fault {
    Fault::new(FaultCode::LinkLost, format!("the control link broke: {error}"))
}
