//! Weights between real nodes: a model's owner lends it, one node fetches a part from the owner, another fetches that
//! part from the first and the rest from the web, and what comes is loaded as if the whole file were there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use computepool_core::ports::{BlockPeers as _, BlockShelf, FetchProgress, Weights as _};
use computepool_core::{ContentHash, HeldModel, LayerRange, Manifest, ModelId, NodeId, Sealed, WeightSource};
use computepool_model::catalogue::Catalogue;
use computepool_model::config::Architecture;
use computepool_model::manifest;
use computepool_model::testkit::{TinyModel, TinySpec, as_f32};
use computepool_model::weights::ModelFile;
use computepool_transport::blocks::{self, BlockLimits, Exchange, ExchangeOptions};
use computepool_transport::{Identity, Network, NetworkOptions, PeerVerifier, RelayLimits};
use computepool_weights::{Shelf, ShelfOptions, Supply, SupplyOptions};
use futures::FutureExt as _;
use futures::future::BoxFuture;

const LAYERS: u32 = 6;

/// A tiny model on its owner's disk.
struct Model {
    folder: tempfile::TempDir,
    manifest: Manifest,
    sealed: Sealed,
}

impl Model {
    fn of(owner: &Identity) -> Self {
        let spec = TinySpec { layers: LAYERS, ffn: 416, vocabulary: 1500, ..TinySpec::new(Architecture::Qwen3) };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        TinyModel::random(spec).write_gguf(&path, &as_f32).unwrap();
        let id = ModelId::new("tiny").unwrap();
        let manifest = manifest::build(&path, id, Some(1 << 16), &mut |_| ControlFlow::Continue(())).unwrap();
        let sealed = Sealed::seal(&manifest, owner).unwrap();
        Self { folder, manifest, sealed }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("tiny.gguf")
    }

    fn hash(&self) -> ContentHash {
        self.manifest.summary.hash
    }

    fn bytes(&self, layers: LayerRange) -> u64 {
        let blocks = self.manifest.blocks_for(layers).remove(0);
        blocks.into_iter().map(|block| u64::from(self.manifest.block_len(0, block).unwrap())).sum()
    }

    fn source(&self, urls: &[String]) -> WeightSource {
        WeightSource { manifest: self.sealed.clone(), urls: urls.to_vec() }
    }

    /// Whether an engine finds in `path` what it would find in the whole file.
    fn loads_from(&self, path: &Path, layers: LayerRange) {
        let (whole, part) = (ModelFile::open(&self.path()).unwrap(), ModelFile::open(path).unwrap());
        for name in whole.shard_tensors(layers) {
            assert!(whole.require(name).unwrap().bytes() == part.require(name).unwrap().bytes(), "{name} of {layers}");
        }
        let mut catalogue = Catalogue::default();
        catalogue.admit(path, &self.manifest.summary).unwrap();
        assert_eq!(catalogue.by_hash(&self.hash()).unwrap().path, path);
    }
}

/// A node that keeps weights, serves them, and fetches more.
struct Node {
    network: Network,
    shelf: Arc<Shelf>,
    exchange: Arc<Exchange>,
    supply: Supply,
    _folder: tempfile::TempDir,
}

impl Node {
    async fn start(owner: &NodeId, centre: &Network) -> Self {
        let network = join(centre).await;
        let folder = tempfile::tempdir().unwrap();
        let options = ShelfOptions {
            folder: folder.path().to_path_buf(),
            owner: owner.clone(),
            max_bytes: None,
            free_bytes: None,
        };
        let shelf = Arc::new(Shelf::open(options, Arc::new(PeerVerifier)).unwrap());
        blocks::serve(&network, shelf.clone(), BlockLimits::default()).await.unwrap();
        let exchange = Arc::new(Exchange::new(network.clone(), ExchangeOptions::default()));
        // The web waits for longer than the test does.
        let options = SupplyOptions { peers_alone: Duration::from_secs(600), ..SupplyOptions::default() };
        let supply = Supply::new(shelf.clone(), Some(exchange.clone()), options).unwrap();
        Self { network, shelf, exchange, supply, _folder: folder }
    }

    async fn ensure(&self, model: &Model, layers: LayerRange, urls: &[String]) -> FetchProgress {
        let last = Mutex::new(FetchProgress::default());
        let note = |progress| *last.lock().unwrap() = progress;
        let source = model.source(urls);
        soon(self.supply.ensure(model.hash(), layers, Some(&source), &note)).await.unwrap();
        last.into_inner().unwrap()
    }

    /// Waits until the table names `peer` for every layer of the range.
    async fn sees(&self, peer: &NodeId, model: &Model, layers: LayerRange) {
        for layer in layers.iter() {
            let found = async {
                while !self.exchange.providers(model.hash(), layer).await.contains(peer) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            soon(found).await;
        }
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("did not happen within a minute")
}

fn options() -> NetworkOptions {
    let mut options = NetworkOptions { kad: true, ..NetworkOptions::loopback() };
    options.listen.truncate(1);
    options
}

/// A node that answers the table's queries, and has nothing itself.
async fn centre() -> Network {
    let options = NetworkOptions { relay_server: Some(RelayLimits::default()), ..options() };
    Network::start(&Identity::generate().unwrap(), options).await.unwrap()
}

async fn join(centre: &Network) -> Network {
    let network = Network::start(&Identity::generate().unwrap(), options()).await.unwrap();
    soon(network.dial(centre.node(), &centre.addresses())).await.unwrap();
    network
}

/// A web server that has the file, and counts what it sends.
async fn web(model: &Model) -> (String, Arc<AtomicU64>) {
    let (sent, file) = (Arc::new(AtomicU64::new(0)), Arc::new(std::fs::read(model.path()).unwrap()));
    let serve = |State((sent, file)): State<(Arc<AtomicU64>, Arc<Vec<u8>>)>, headers: HeaderMap| async move {
        let range = headers[RANGE].to_str().unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (start, last): (usize, usize) = (range.0.parse().unwrap(), range.1.parse().unwrap());
        sent.fetch_add((last - start + 1) as u64, Ordering::SeqCst);
        Response::builder()
            .status(StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, format!("bytes {start}-{last}/{}", file.len()))
            .body(axum::body::Body::from(file[start..=last].to_vec()))
            .unwrap()
    };
    let routes = Router::new().route("/tiny.gguf", get(serve)).with_state((sent.clone(), file));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, sent)
}

fn range(start: u32, end: u32) -> LayerRange {
    LayerRange::new(start, end).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_come_from_peers_first_and_from_the_web_where_no_peer_has_them() {
    let owner = Identity::generate().unwrap();
    let model = Model::of(&owner);
    let centre = centre().await;
    let lender = Node::start(owner.id(), &centre).await;
    lender.shelf.lend(&model.sealed, &model.path()).unwrap();
    lender.supply.announce().await;

    let first = Node::start(owner.id(), &centre).await;
    first.sees(lender.network.node(), &model, range(0, 3)).await;
    let progress = first.ensure(&model, range(0, 3), &[]).await;
    assert_eq!(progress.from_peers, model.bytes(range(0, 3)));
    assert_eq!(first.shelf.held(), [HeldModel { model: model.hash(), layers: Some(range(0, 3)) }]);
    model.loads_from(&first.shelf.path(&model.hash()).unwrap(), range(0, 3));
    lender.network.shutdown().await;

    // The table still names the lender for a while; what only it had comes from the web.
    let second = Node::start(owner.id(), &centre).await;
    second.sees(first.network.node(), &model, range(0, 3)).await;
    let (url, sent) = web(&model).await;
    let progress = second.ensure(&model, range(0, LAYERS), &[url]).await;
    let shared = model.bytes(range(0, 3));
    assert_eq!(progress.from_peers, shared);
    assert_eq!(sent.load(Ordering::SeqCst), model.bytes(range(0, LAYERS)) - shared);
    model.loads_from(&second.shelf.path(&model.hash()).unwrap(), range(0, LAYERS));
    assert!(second.supply.offenders().is_empty());
}

/// Has every block of a model, and all of them wrong.
struct Poisoned(HashMap<ContentHash, usize>);

impl BlockShelf for Poisoned {
    fn read(&self, hash: ContentHash) -> BoxFuture<'_, Option<bytes::Bytes>> {
        let wrong = self.0.get(&hash).map(|length| bytes::Bytes::from(vec![0; *length]));
        futures::future::ready(wrong).boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisoned_peer_is_remembered_and_the_download_goes_on() {
    let owner = Identity::generate().unwrap();
    let model = Model::of(&owner);
    let centre = centre().await;
    let poisoner = join(&centre).await;
    let lengths = (0u32..).zip(&model.manifest.files[0].blocks);
    let lengths = lengths.map(|(block, hash)| (*hash, model.manifest.block_len(0, block).unwrap() as usize));
    blocks::serve(&poisoner, Arc::new(Poisoned(lengths.collect())), BlockLimits::default()).await.unwrap();
    Exchange::new(poisoner.clone(), ExchangeOptions::default()).announce(model.hash(), range(0, LAYERS)).await;

    let node = Node::start(owner.id(), &centre).await;
    node.sees(poisoner.node(), &model, range(0, LAYERS)).await;
    let (url, _) = web(&model).await;
    let progress = node.ensure(&model, range(1, 4), &[url]).await;
    assert_eq!((progress.from_peers, progress.present), (0, model.bytes(range(1, 4))));
    model.loads_from(&node.shelf.path(&model.hash()).unwrap(), range(1, 4));
    let offenders = node.supply.offenders();
    assert_eq!(offenders.iter().map(|(who, _)| who.as_str()).collect::<Vec<_>>(), [poisoner.node().as_str()]);
}
