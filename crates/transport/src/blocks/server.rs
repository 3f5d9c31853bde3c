//! Giving one's own blocks to peers.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use computepool_core::ports::BlockShelf;
use computepool_core::{Allowance, Fault, FaultCode};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::PeerId;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use super::codec::{self, REQUEST_BYTES, Request};
use super::{BlockLimits, PROTOCOL};
use crate::frame::PREFIX_BYTES;
use crate::swarm::{Inbound, Ledger, Network, Refusal, Stream};

/// Bytes written at a time, so that streams share the limit on bytes a second evenly.
const PIECE: usize = 64 * 1024;

/// When to come back, for those who find everybody busy.
const RETRY_MS: u32 = 250;

/// Gives the blocks of `shelf` to whoever asks for them, until `network` is shut down. Fails with `invalid_request`
/// where this is done already.
pub async fn serve(network: &Network, shelf: Arc<dyn BlockShelf>, limits: BlockLimits) -> Result<(), Fault> {
    let inbound = network.accept(PROTOCOL).await?;
    let allowance = limits.bytes_per_second.map(|rate| Mutex::new(Allowance::new(rate)));
    let began = Instant::now();
    let counter = Counter { shelf, limits, began, serving: Semaphore::new(limits.max_serving.max(1)), allowance };
    let (streams, by_peer, refusals) = (JoinSet::new(), HashMap::new(), network.ledger());
    let server = Server { inbound, counter: Arc::new(counter), streams, by_peer, refusals };
    tokio::spawn(server.run().instrument(tracing::info_span!("blocks", node = %network.node())));
    Ok(())
}

struct Server {
    inbound: mpsc::Receiver<Inbound>,
    counter: Arc<Counter>,
    /// Each returns whose it was.
    streams: JoinSet<PeerId>,
    by_peer: HashMap<PeerId, usize>,
    refusals: Arc<Ledger>,
}

impl Server {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.streams.join_next() => self.handle_ended(ended.ok()),
                inbound = self.inbound.recv() => match inbound {
                    Some(inbound) => self.handle_inbound(inbound),
                    None => break,
                },
            }
        }
    }

    fn handle_inbound(&mut self, Inbound { peer, stream }: Inbound) {
        let limits = self.counter.limits;
        let of_peer = self.by_peer.entry(peer).or_default();
        if *of_peer >= limits.max_streams_per_peer || self.streams.len() >= limits.max_streams {
            // Dropping the stream resets it. An answer would cost what the limit is there to save.
            self.refusals.refused(Refusal::Stream, &format_args!("{peer} opens too many for blocks"));
        } else {
            *of_peer += 1;
            let counter = Arc::clone(&self.counter);
            let serve = async move {
                if let Err(fault) = counter.serve(stream).await {
                    tracing::info!(%peer, code = %fault.code, "a stream for blocks was reset: {}", fault.message);
                }
                peer
            };
            self.streams.spawn(serve.in_current_span());
        }
        self.by_peer.retain(|_, streams| *streams > 0);
    }

    fn handle_ended(&mut self, peer: Option<PeerId>) {
        match peer {
            Some(peer) => {
                if let Some(streams) = self.by_peer.get_mut(&peer) {
                    *streams -= 1;
                }
            }
            // Whose it was is not known any more; all are counted anew from nothing rather than never let in again.
            None => self.by_peer.clear(),
        }
        self.by_peer.retain(|_, streams| *streams > 0);
    }
}

/// What all streams share.
struct Counter {
    shelf: Arc<dyn BlockShelf>,
    limits: BlockLimits,
    serving: Semaphore,
    began: Instant,
    allowance: Option<Mutex<Allowance>>,
}

impl Counter {
    /// Answers the requests of one stream until the peer closes it or asks for nothing.
    async fn serve(&self, mut stream: Stream) -> Result<(), Fault> {
        while let Some(request) = self.request(&mut stream).await? {
            let Ok(_serving) = self.serving.try_acquire() else {
                self.write(&mut stream, &codec::busy(RETRY_MS)?).await?;
                continue;
            };
            let block = self.shelf.read(request.hash).await;
            match block.filter(|block| !block.is_empty() && block.len() <= request.max_bytes as usize) {
                Some(block) => self.send(&mut stream, &block).await?,
                None => self.write(&mut stream, &codec::absent()?).await?,
            }
        }
        Ok(())
    }

    /// The next request; nothing where there will be none.
    async fn request(&self, stream: &mut Stream) -> Result<Option<Request>, Fault> {
        let mut prefix = [0; PREFIX_BYTES];
        let Ok(first) = timeout(self.limits.idle, stream.read(&mut prefix)).await else { return Ok(None) };
        let first = first.map_err(|error| lost(&error))?;
        if first == 0 {
            return Ok(None);
        }
        let rest = async {
            stream.read_exact(&mut prefix[first..]).await.map_err(|error| lost(&error))?;
            Request::announced(&prefix)?;
            let mut body = [0; REQUEST_BYTES];
            stream.read_exact(&mut body).await.map_err(|error| lost(&error))?;
            Ok::<_, Fault>(Request::parse(&body)?)
        };
        timeout(self.limits.stall, rest).await.map_err(|_| stalled(self.limits.stall))?.map(Some)
    }

    async fn send(&self, stream: &mut Stream, block: &Bytes) -> Result<(), Fault> {
        self.write(stream, &codec::block(block.len())?).await?;
        for piece in block.chunks(PIECE) {
            if let Some(allowance) = &self.allowance {
                let now = self.began.elapsed();
                let pause = allowance.lock().unwrap_or_else(PoisonError::into_inner).take(now, piece.len() as u64);
                sleep(pause).await;
            }
            self.write(stream, piece).await?;
        }
        Ok(())
    }

    async fn write(&self, stream: &mut Stream, bytes: &[u8]) -> Result<(), Fault> {
        let written = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let written = timeout(self.limits.stall, written).await.map_err(|_| stalled(self.limits.stall))?;
        written.map_err(|error| lost(&error))
    }
}

pub(super) fn lost(error: &io::Error) -> Fault {
    Fault::new(FaultCode::LinkLost, format!("the stream of blocks broke: {error}"))
}

pub(super) fn stalled(limit: Duration) -> Fault {
    Fault::new(FaultCode::Stalled, format!("nothing moved for {} s", limit.as_secs_f32()))
}
