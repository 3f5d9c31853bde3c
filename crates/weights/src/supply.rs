//! Fetching what a shard needs.
//!
//! What is missing stands on a [board](board). Workers take from it: some for every peer that said it has the layers,
//! one block at a time, and some for the web servers, runs of adjacent blocks at a time. For a while the web leaves to
//! peers what peers have ([`SupplyOptions::peers_alone`]); then it helps with whatever is left. A block goes back onto
//! the board when its source fails, and whoever else may have it takes it.
//!
//! | what a source does | what happens |
//! |---|---|
//! | sends a wrong block | `bad_block`; it is not asked again by this process |
//! | is silent, or too slow | `stalled`; a peer is left for this fetch, a server after some tries |
//! | does not have a block | the block is had elsewhere |
//! | is busy (`429`, `503`) | asked again after a pause |
//! | has another file, or none (`404`, `416`, other lengths) | left for this fetch |
//! | ignores ranges (`200`) | what comes before is skipped if it is little, else left |

mod board;
mod gauge;
mod keeping;
mod offenders;
mod options;
mod pace;
mod peers;
mod web;

use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::{BlockPeers, FetchProgress, Weights};
use computepool_core::{ContentHash, Fault, LayerRange, NodeId, WeightSource};
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::WeightsError;
use crate::block::{Place, places};
use crate::shelf::{Shelf, Stored};
use board::Board;
use gauge::Gauge;
use keeping::{Settling, blocking, keep};
use offenders::Offenders;
pub use options::SupplyOptions;
use pace::Pace;

/// How many layers are looked up at a time, to find peers.
const LOOKUPS: usize = 8;

/// How long telling the network what is here may take.
const ANNOUNCE: Duration = Duration::from_secs(60);

/// Fetches weights onto a shelf.
pub struct Supply {
    shelf: Arc<Shelf>,
    peers: Option<Arc<dyn BlockPeers>>,
    client: web::Client,
    options: SupplyOptions,
    pace: Pace,
    offenders: Offenders,
    /// One fetch at a time, so that two for the same layers do not fetch everything twice.
    turn: Mutex<()>,
}

impl Supply {
    /// Fetches onto `shelf`, from web servers and, where there are any, from `peers`.
    ///
    /// # Errors
    ///
    /// `internal` where this machine's certificates cannot be read.
    pub fn new(
        shelf: Arc<Shelf>,
        peers: Option<Arc<dyn BlockPeers>>,
        options: SupplyOptions,
    ) -> Result<Self, WeightsError> {
        let client = web::Client::new(options.stall)?;
        let pace = Pace::new(options.bytes_per_second);
        let offenders = Offenders::default();
        Ok(Self { shelf, peers, client, options, pace, offenders, turn: Mutex::default() })
    }

    /// Who sent wrong blocks or broke the protocol of blocks, and how often: peers by id, servers by address.
    pub fn offenders(&self) -> Vec<(String, u32)> {
        self.offenders.list()
    }

    /// Tells the network again of every layer that is here. Returns when that is done; where there are no peers, at
    /// once.
    pub async fn announce(&self) {
        let Some(peers) = &self.peers else { return };
        for held in self.shelf.held() {
            let layers = held.layers.or_else(|| {
                let stored = self.shelf.stored(&held.model)?;
                LayerRange::new(0, stored.manifest().summary.layer_count).ok()
            });
            if let Some(layers) = layers {
                peers.announce(held.model, layers).await;
            }
        }
    }

    async fn fetch(
        &self,
        model: ContentHash,
        layers: LayerRange,
        source: Option<&WeightSource>,
        progress: &(dyn Fn(FetchProgress) + Send + Sync),
    ) -> Result<(), WeightsError> {
        let _turn = self.turn.lock().await;
        let stored = self.look(model, layers, source).await?;
        let missing = stored.missing(layers);
        let needed = stored.needed(layers);
        let lacking = stored.bytes(missing.iter().copied());
        let gauge = Gauge::new(needed, needed - lacking);
        progress(gauge.read(Instant::now()));
        if missing.is_empty() {
            return Ok(());
        }
        let source = source.ok_or(WeightsError::NoSource { model, layers })?;
        self.shelf.check_room(lacking)?;
        tracing::info!(%model, %layers, bytes = lacking, "fetching weights");

        // From here on what was written is noted however this ends, being dropped included.
        let noted = Settling::of(&stored);
        let outcome = self.run(&stored, layers, source, missing, &gauge, progress).await;
        noted.settle().await?;
        progress(gauge.read(Instant::now()));
        outcome?;
        self.announce_soon(model, layers);
        Ok(())
    }

    /// What is there, once the manifest has been found good and doubtful blocks have been looked at.
    async fn look(
        &self,
        model: ContentHash,
        layers: LayerRange,
        source: Option<&WeightSource>,
    ) -> Result<Arc<Stored>, WeightsError> {
        let (shelf, sealed) = (Arc::clone(&self.shelf), source.map(|source| source.manifest.clone()));
        let look = move || {
            let stored = match sealed {
                Some(sealed) => shelf.take(model, &sealed)?,
                None => shelf.stored(&model).ok_or(WeightsError::NoSource { model, layers })?,
            };
            let layer_count = stored.manifest().summary.layer_count;
            if layers.end() > layer_count {
                return Err(WeightsError::NoSuchLayers { layers, layer_count });
            }
            stored.recheck()?;
            Ok(stored)
        };
        blocking(look).await
    }

    async fn run(
        &self,
        stored: &Arc<Stored>,
        layers: LayerRange,
        source: &WeightSource,
        missing: Vec<Place>,
        gauge: &Gauge,
        progress: &(dyn Fn(FetchProgress) + Send + Sync),
    ) -> Result<(), WeightsError> {
        let servers = web::Servers::new(&source.urls, &self.offenders)?;
        let board = Board::new(missing, servers.is_some());
        self.find_peers(stored, layers, &board).await;
        let mut workers: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        for peer in board.peers() {
            for _ in 0..self.options.requests_per_peer.max(1) {
                workers.push(self.ask_peer(stored, &board, gauge, peer.clone()).boxed());
            }
        }
        if let Some(servers) = &servers {
            let alone_until = Instant::now() + self.options.peers_alone;
            for _ in 0..self.options.web_requests.max(1) {
                workers.push(self.ask_servers(stored, &board, gauge, servers, alone_until).boxed());
            }
        }
        let mut ticks = interval(self.options.progress_every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => progress(gauge.read(Instant::now())),
                done = workers.next() => if done.is_none() {
                    break;
                },
            }
        }
        drop(workers);
        board.outcome()
    }

    /// Puts down who says to have what.
    async fn find_peers(&self, stored: &Stored, layers: LayerRange, board: &Board) {
        let Some(peers) = &self.peers else { return };
        let manifest = stored.manifest();
        let model = manifest.summary.hash;
        let lookups = layers
            .iter()
            .filter_map(|layer| LayerRange::new(layer, layer + 1).ok())
            .map(|alone| async move { (alone, peers.providers(model, alone.start()).await) });
        let mut found = stream::iter(lookups).buffer_unordered(LOOKUPS);
        let deadline = Instant::now() + self.options.discovery;
        while let Ok(Some((alone, providers))) = timeout_at(deadline, found.next()).await {
            let has: Vec<Place> = places(manifest.blocks_for(alone)).collect();
            for peer in providers.into_iter().filter(|peer| !self.offenders.has(peer.as_str())) {
                board.claim(peer, &has);
            }
        }
        board.keep_peers(self.options.max_peers);
    }

    /// Tells the network what is here now, without making anybody wait for it.
    fn announce_soon(&self, model: ContentHash, layers: LayerRange) {
        if let Some(peers) = self.peers.clone() {
            tokio::spawn(async move {
                if tokio::time::timeout(ANNOUNCE, peers.announce(model, layers)).await.is_err() {
                    tracing::debug!(%model, %layers, "the network was not told of new weights in time");
                }
            });
        }
    }
}

impl Weights for Supply {
    fn ensure<'a>(
        &'a self,
        model: ContentHash,
        layers: LayerRange,
        source: Option<&'a WeightSource>,
        progress: &'a (dyn Fn(FetchProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), Fault>> {
        self.fetch(model, layers, source, progress).map(|outcome| outcome.map_err(Fault::from)).boxed()
    }
}

impl std::fmt::Debug for Supply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supply").field("shelf", &self.shelf).field("options", &self.options).finish()
    }
}

/// A peer, as it is named in errors.
fn named(peer: &NodeId) -> String {
    format!("peer {peer}")
}
