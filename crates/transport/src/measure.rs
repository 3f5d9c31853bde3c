//! Measuring a path: round trips, and how many bytes a second arrive each way.
//!
//! Protocol [`PROTOCOL`], on a stream of its own. The opener writes requests of eight bytes: the magic `CPMS`, the
//! version, what is asked, two zero bytes.
//!
//! | asked | name | what follows |
//! |---|---|---|
//! | 1 | echo | the acceptor writes the eight bytes back |
//! | 2 | down | the acceptor writes chunks |
//! | 3 | up | the opener writes chunks; the acceptor answers with what arrived: bytes, then nanoseconds, both `u64` LE |
//! | 255 | refused | said by the acceptor in place of anything else: it measures enough already |
//!
//! A chunk is its length (`u32` LE, at most [`CHUNK_BYTES`]) and as many bytes; a length of 0 ends them. The writer stops
//! after [`MAX_BYTES`] or [`MAX_TIME`], whichever comes first.
//!
//! **What is measured is what arrives**: the receiver notes when, and leaves the first quarter out, during which the
//! connection finds out how fast it may send. A peer measures with one other at a time, with few at once, and each peer
//! has a budget of bytes, all of them together another, which fill up again slowly.

use std::time::Duration;

use computepool_core::{Fault, FaultCode, LinkMeasure, NodeId};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::swarm::{Network, Prefer, Stream};

mod budget;
mod chunks;
mod meter;
mod serve;

pub(crate) use serve::serve;

use chunks::{Asked, REQUEST_BYTES};

/// The libp2p protocol name of measuring.
pub const PROTOCOL: &str = "/computepool/measure/1";

/// Most bytes sent one way to measure one path once.
pub const MAX_BYTES: u64 = 1 << 20;

/// How long sending one way goes on at most.
pub const MAX_TIME: Duration = Duration::from_secs(1);

/// Longest chunk.
pub const CHUNK_BYTES: usize = 32 * 1024;

/// Round trips that are timed; the shortest counts, since whatever is above it is somebody's waiting.
const ECHOES: usize = 5;

/// How long a whole measurement may take. What was sent within [`MAX_TIME`] may take a while to arrive.
const PATIENCE: Duration = Duration::from_secs(15);

impl Network {
    /// Measures the path that lanes to a connected `node` take: its round trip time, and with `full` also the bytes a
    /// second that arrive each way, for which up to 1 MiB and about a second is spent on each.
    ///
    /// Fails with `link_lost` when the node is not connected, `no_capacity` when it measures enough already, `stalled`
    /// when it does not answer.
    pub async fn measure(&self, node: &NodeId, full: bool) -> Result<LinkMeasure, Fault> {
        let late = |_| Fault::new(FaultCode::Stalled, format!("{node} does not see the measurement through"));
        timeout(PATIENCE, measure(self, node, full)).await.map_err(late)?
    }
}

async fn measure(network: &Network, node: &NodeId, full: bool) -> Result<LinkMeasure, Fault> {
    let mut stream = network.open(node, &[], PROTOCOL, Prefer::Nearest).await?;
    let gone = || Fault::new(FaultCode::LinkLost, format!("{node} is no longer connected"));
    let kind = network.path(node).ok_or_else(gone)?.kind;
    let measured = async {
        let mut rtt = Duration::MAX;
        for _ in 0..ECHOES {
            rtt = rtt.min(echo(&mut stream).await?);
        }
        let mut link = LinkMeasure { peer: node.clone(), kind, rtt_us: rtt.as_micros() as u64, up: None, down: None };
        if full {
            link.down = Some(down(&mut stream).await?);
            link.up = Some(up(&mut stream).await?);
        }
        Ok(link)
    };
    let measured = measured.await;
    // Whoever measures again right away must not find the place taken by this stream, refused or not.
    if measured.is_ok() || matches!(measured, Err(chunks::MeasureError::Refused)) {
        stream.close().await.ok();
        while matches!(stream.read(&mut [0; 1]).await, Ok(read) if read > 0) {}
    }
    measured.map_err(|error| error.about(node))
}

async fn echo(stream: &mut Stream) -> Result<Duration, chunks::MeasureError> {
    let begun = Instant::now();
    stream.write_all(&Asked::Echo.request()).await?;
    stream.flush().await?;
    let mut answer = [0; REQUEST_BYTES];
    stream.read_exact(&mut answer).await?;
    match Asked::parse(&answer)? {
        Asked::Echo => Ok(begun.elapsed()),
        Asked::Refused => Err(chunks::MeasureError::Refused),
        other => Err(chunks::MeasureError::Answer(other as u8)),
    }
}

async fn down(stream: &mut Stream) -> Result<u64, chunks::MeasureError> {
    stream.write_all(&Asked::Down.request()).await?;
    stream.flush().await?;
    Ok(chunks::read(stream).await?.per_second())
}

async fn up(stream: &mut Stream) -> Result<u64, chunks::MeasureError> {
    stream.write_all(&Asked::Up.request()).await?;
    // A refusal may arrive while chunks are still being written, and writing then fails: the answer says why.
    let written = chunks::write(stream).await;
    let (mut bytes, mut nanos) = ([0; 8], [0; 8]);
    let answered = stream.read_exact(&mut bytes).await;
    if answered.is_ok() && bytes == Asked::Refused.request() {
        return Err(chunks::MeasureError::Refused);
    }
    written.and(answered)?;
    stream.read_exact(&mut nanos).await?;
    let [bytes, nanos] = [bytes, nanos].map(u64::from_le_bytes);
    Ok(meter::Rate { bytes, nanos }.per_second())
}
