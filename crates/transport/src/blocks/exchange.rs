//! Getting blocks from peers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use computepool_core::ports::BlockPeers;
use computepool_core::{ContentHash, Fault, FaultCode, LayerRange, NodeId};
use futures::future::BoxFuture;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _};
use tokio::time::timeout;

use super::codec::{self, Announced, BUSY_BYTES, Request};
use super::server::{lost, stalled};
use super::{MAX_BLOCK_BYTES, PROTOCOL, layer_key};
use crate::frame::PREFIX_BYTES;
use crate::swarm::{Network, Prefer, Stream, Transport};

/// Memory for a block grows by this much as it arrives, so that an announced length alone costs nothing.
const GROWTH: usize = 64 * 1024;

/// How blocks are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeOptions {
    /// How long a peer may be silent.
    pub stall: Duration,
    /// Streams that are kept for the next request, per peer.
    pub kept_per_peer: usize,
    /// Peers for whom streams are kept.
    pub kept_peers: usize,
}

impl Default for ExchangeOptions {
    fn default() -> Self {
        Self { stall: Duration::from_secs(15), kept_per_peer: 4, kept_peers: 64 }
    }
}

/// The peers of a network, as far as their blocks go.
///
/// A block that a peer does not have is `model_not_found`, a peer that is busy `no_capacity` with the time after which
/// to ask again, silence `stalled`, a broken connection `link_lost`, and what is no answer at all `bad_frame` or
/// `oversize_frame`.
#[derive(Debug)]
pub struct Exchange {
    network: Network,
    options: ExchangeOptions,
    /// Streams on which nothing is under way.
    kept: Mutex<HashMap<NodeId, Vec<Stream>>>,
}

/// What a peer says to a request.
enum Answer {
    Block(Bytes),
    Absent,
    Busy { retry_ms: u32 },
}

impl Exchange {
    /// Asks over this network.
    pub fn new(network: Network, options: ExchangeOptions) -> Self {
        Self { network, options, kept: Mutex::default() }
    }

    async fn request(&self, from: &NodeId, hash: ContentHash, max_bytes: u32) -> Result<Bytes, Fault> {
        let request = Request { hash, max_bytes: max_bytes.min(MAX_BLOCK_BYTES) };
        let mut answer = None;
        // A kept stream may have been closed meanwhile, which shows only now.
        if let Some(mut stream) = self.take(from) {
            match self.ask(&mut stream, request).await {
                Ok(told) => answer = Some((stream, told)),
                Err(fault) if fault.code == FaultCode::LinkLost => {
                    tracing::trace!(peer = %from, %fault, "a kept stream")
                }
                Err(fault) => return Err(fault),
            }
        }
        let (stream, told) = match answer {
            Some(answer) => answer,
            None => {
                let mut stream = self.open(from).await?;
                let told = self.ask(&mut stream, request).await?;
                (stream, told)
            }
        };
        self.keep(from, stream);
        match told {
            Answer::Block(bytes) => Ok(bytes),
            Answer::Absent => Err(Fault::new(FaultCode::ModelNotFound, format!("{from} does not have block {hash}"))),
            Answer::Busy { retry_ms } => {
                let busy = Fault::new(FaultCode::NoCapacity, format!("{from} is busy with other blocks"));
                Err(busy.retry_after_ms(retry_ms.into()))
            }
        }
    }

    async fn open(&self, peer: &NodeId) -> Result<Stream, Fault> {
        let addresses = match self.network.path(peer) {
            Some(_) => Vec::new(),
            None => self.network.find(peer).await,
        };
        if addresses.is_empty() && self.network.path(peer).is_none() {
            return Err(Fault::new(FaultCode::LinkLost, format!("nobody knows where {peer} is")));
        }
        // Blocks come in bursts, and QUIC drops some of those (see `crate::swarm`).
        let prefer = Prefer::Over(Transport::Tcp);
        let opening = self.network.open(peer, &addresses, PROTOCOL, prefer);
        timeout(self.options.stall, opening).await.map_err(|_| stalled(self.options.stall))?
    }

    async fn ask(&self, stream: &mut Stream, request: Request) -> Result<Answer, Fault> {
        let written = async {
            stream.write_all(&request.encode()?).await.map_err(|error| lost(&error))?;
            stream.flush().await.map_err(|error| lost(&error))
        };
        self.soon(written).await?;
        let mut prefix = [0; PREFIX_BYTES];
        self.read(stream, &mut prefix).await?;
        match codec::announced(&prefix, request.max_bytes)? {
            Announced::Absent => Ok(Answer::Absent),
            Announced::Busy => {
                let mut retry_ms = [0; BUSY_BYTES];
                self.read(stream, &mut retry_ms).await?;
                Ok(Answer::Busy { retry_ms: u32::from_le_bytes(retry_ms) })
            }
            Announced::Block(length) => {
                let mut block = BytesMut::new();
                while block.len() < length {
                    let filled = block.len();
                    block.resize(length.min(filled + GROWTH), 0);
                    self.read(stream, &mut block[filled..]).await?;
                }
                Ok(Answer::Block(block.freeze()))
            }
        }
    }

    async fn read(&self, stream: &mut Stream, bytes: &mut [u8]) -> Result<(), Fault> {
        self.soon(async { stream.read_exact(bytes).await.map_err(|error| lost(&error)) }).await
    }

    async fn soon<T>(&self, what: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        timeout(self.options.stall, what).await.unwrap_or_else(|_| Err(stalled(self.options.stall)))
    }

    fn take(&self, peer: &NodeId) -> Option<Stream> {
        self.lock().get_mut(peer)?.pop()
    }

    fn keep(&self, peer: &NodeId, stream: Stream) {
        let mut kept = self.lock();
        kept.retain(|_, streams| !streams.is_empty());
        if kept.len() < self.options.kept_peers || kept.contains_key(peer) {
            let streams = kept.entry(peer.clone()).or_default();
            if streams.len() < self.options.kept_per_peer {
                streams.push(stream);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Vec<Stream>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockPeers for Exchange {
    fn providers(&self, model: ContentHash, layer: u32) -> BoxFuture<'_, Vec<NodeId>> {
        async move {
            let mut providers = self.network.providers(layer_key(model, layer)).await;
            // Those whose distance is known, the nearest first; then those nobody has met yet.
            providers.sort_by_key(|peer| self.network.rtt(peer).unwrap_or(Duration::MAX));
            providers
        }
        .boxed()
    }

    fn announce(&self, model: ContentHash, layers: LayerRange) -> BoxFuture<'_, ()> {
        async move {
            for layer in layers.iter() {
                if let Err(fault) = self.network.provide(layer_key(model, layer)).await {
                    tracing::debug!(%model, layer, %fault, "the table was not told of a layer");
                    return;
                }
            }
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, from: &'a NodeId, hash: ContentHash, max_bytes: u32) -> BoxFuture<'a, Result<Bytes, Fault>> {
        self.request(from, hash, max_bytes).boxed()
    }
}
