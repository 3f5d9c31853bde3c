//! What the node says of itself, kept up to date: adverts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use computepool_core::control::Contact;
use computepool_core::ports::{Clock, SystemClock};
use computepool_core::{Account, Advert, Fault, LayerRange, LinkMeasure, ModelSpeed, NodeId, Sealed};
use computepool_transport::{Identity, Network};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::stock::Stock;

/// How long an advert counts, and how often a fresh one is made though nothing has changed.
const COUNTS: Duration = Duration::from_secs(180);
const REFRESH: Duration = Duration::from_secs(60);

/// What changes together is told together.
const SETTLE: Duration = Duration::from_millis(200);

/// A path's throughput is measured again after this long; its round trip whenever somebody asks.
const THROUGHPUT: Duration = Duration::from_secs(10 * 60);

/// Paths that are remembered; those measured longest ago are forgotten first.
const MAX_PATHS: usize = 64;

/// The parts of an advert that stay as they are while the node runs.
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) device: String,
    pub(super) memory_bytes: u64,
    pub(super) layers: Option<LayerRange>,
    pub(super) price_per_hour: u64,
    pub(super) upload_limit: Option<u64>,
    pub(super) speeds: Vec<ModelSpeed>,
    pub(super) operator: Option<Account>,
}

/// Makes the node's adverts, and measures the paths they tell of.
pub(super) struct Announcer {
    identity: Arc<Identity>,
    network: Network,
    offer: Offer,
    stock: Arc<Stock>,
    paths: Mutex<HashMap<NodeId, Path>>,
    changed: Notify,
    adverts: watch::Sender<Option<Sealed>>,
}

struct Path {
    measure: LinkMeasure,
    at: Instant,
    throughput_at: Option<Instant>,
}

impl Announcer {
    pub(super) fn new(identity: Arc<Identity>, network: Network, offer: Offer, stock: Arc<Stock>) -> Arc<Self> {
        let adverts = watch::Sender::new(None);
        Arc::new(Self { identity, network, offer, stock, paths: Mutex::default(), changed: Notify::new(), adverts })
    }

    /// A fresh advert.
    pub(super) fn advert(&self) -> Result<Sealed, Fault> {
        let now_ms = SystemClock.now_ms();
        let links = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let advert = Advert {
            node: self.network.node().clone(),
            issued_ms: now_ms,
            expires_ms: now_ms + COUNTS.as_millis() as u64,
            name: self.offer.name.clone(),
            addresses: self.network.dialable_addresses(),
            reach: *self.network.reach().borrow(),
            device: self.offer.device.clone(),
            memory_bytes: self.offer.memory_bytes,
            disk_bytes: self.stock.room(),
            models: self.stock.held(),
            speeds: self.offer.speeds.clone(),
            links: links.values().map(|path| path.measure.clone()).collect(),
            layers: self.offer.layers,
            price_per_hour: self.offer.price_per_hour,
            upload_limit: self.offer.upload_limit,
            operator: self.offer.operator,
        };
        drop(links);
        Sealed::seal(&advert, &*self.identity)
    }

    /// Adverts as they are made.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Sealed>> {
        let mut adverts = self.adverts.subscribe();
        // The newest one goes into the hello.
        adverts.mark_unchanged();
        adverts
    }

    /// Something an advert tells has changed.
    pub(super) fn touch(&self) {
        self.changed.notify_one();
    }

    /// Makes a new advert whenever something has changed, and before the last one expires.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut surroundings = self.network.surroundings();
        let watching = async {
            let mut made = tokio::time::Instant::now();
            loop {
                tokio::select! {
                    () = self.changed.notified() => {}
                    Ok(()) = surroundings.changed() => {}
                    () = tokio::time::sleep_until(made + REFRESH) => {}
                }
                tokio::time::sleep(SETTLE).await;
                surroundings.mark_unchanged();
                made = tokio::time::Instant::now();
                match self.advert() {
                    Ok(advert) => {
                        self.adverts.send_replace(Some(advert));
                    }
                    Err(fault) => tracing::error!(%fault, "no advert could be made"),
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Probes whom the orchestrator asks about, one after the other so that they do not disturb each other.
    pub(super) async fn probe_all(self: Arc<Self>, mut asked: mpsc::Receiver<Vec<Contact>>) {
        while let Some(peers) = asked.recv().await {
            for peer in peers {
                match self.probe(&peer).await {
                    Ok(()) => self.touch(),
                    Err(fault) => {
                        tracing::info!(peer = %peer.node, %fault, "no path to a peer");
                        self.paths.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer.node);
                    }
                }
            }
        }
    }

    async fn probe(&self, peer: &Contact) -> Result<(), Fault> {
        self.network.connect(&peer.node, &peer.addresses).await?;
        let before = {
            let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
            paths.get(&peer.node).map(|path| (path.measure.clone(), path.throughput_at))
        };
        let known = before.as_ref().and_then(|(measure, at)| Some((measure, (*at)?)));
        let full = known.is_none_or(|(_, at)| at.elapsed() > THROUGHPUT);
        let mut measure = self.network.measure(&peer.node, full).await?;
        let mut throughput_at = full.then(Instant::now);
        if let Some((known, at)) = known.filter(|(known, _)| !full && known.kind == measure.kind) {
            (measure.up, measure.down) = (known.up, known.down);
            throughput_at = Some(at);
        }
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() >= MAX_PATHS
            && !paths.contains_key(&peer.node)
            && let Some(oldest) = paths.iter().min_by_key(|(_, path)| path.at).map(|(node, _)| node.clone())
        {
            paths.remove(&oldest);
        }
        paths.insert(peer.node.clone(), Path { measure, at: Instant::now(), throughput_at });
        Ok(())
    }
}
