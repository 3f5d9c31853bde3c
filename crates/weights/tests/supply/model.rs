//! A model of random bytes: nobody here knows what a tensor is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use computepool_core::ports::{BlockPeers, FetchProgress, Signer, Verifier, Weights as _};
use computepool_core::{
    ContentHash, Extent, Fault, LayerRange, Manifest, ManifestFile, ModelId, ModelSummary, NodeId, Sealed, WeightSource,
};
use computepool_weights::{Shelf, ShelfOptions, Supply, SupplyOptions, WeightsError};
use sha2::{Digest, Sha256};

pub(crate) const BLOCK: u64 = 1 << 16;
pub(crate) const LAYERS: u32 = 6;
/// Blocks of the header, of the ends, and of each layer. Layers do not end at block borders.
const PART: u64 = 3 * BLOCK + BLOCK / 2;

/// A model's files, and what its owner says of them.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) manifest: Manifest,
    pub(crate) sealed: Sealed,
}

/// Signs with a word that only it knows.
#[derive(Clone, Debug)]
pub(crate) struct Owner(pub(crate) &'static str);

impl Signer for Owner {
    fn node(&self) -> NodeId {
        NodeId::new(self.0).unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        Sha256::digest([self.0.as_bytes(), bytes].concat()).to_vec()
    }
}

pub(crate) struct Words;

impl Verifier for Words {
    fn verify(&self, node: &NodeId, bytes: &[u8], signature: &[u8]) -> bool {
        Sha256::digest([node.as_str().as_bytes(), bytes].concat()).as_slice() == signature
    }
}

/// xorshift64*: bytes that are all different and come back on the next run.
fn random(seed: u64, length: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A model of two files: all but the last two layers are in the first.
pub(crate) fn model(seed: u64) -> Model {
    model_in_blocks(seed, BLOCK)
}

pub(crate) fn model_in_blocks(seed: u64, block: u64) -> Model {
    let lengths = [PART * (2 + u64::from(LAYERS) - 2), PART * 3 + 17];
    let names = ["main/first.bin", "second.bin"];
    let files: Vec<(String, Vec<u8>)> =
        (0..2).map(|index| (names[index].to_owned(), random(seed + index as u64 * 1000, lengths[index]))).collect();
    let part = |file: u32, index: u64| Extent { file, start: index * PART, end: (index + 1) * PART };
    let layers = (0..LAYERS).map(|layer| match layer {
        4 | 5 => vec![part(1, u64::from(layer) - 4)],
        _ => vec![part(0, 2 + u64::from(layer))],
    });
    let hashed = files.iter().map(|(name, bytes)| ManifestFile {
        name: name.clone(),
        bytes: bytes.len() as u64,
        blocks: bytes.chunks(block as usize).map(|block| ContentHash(Sha256::digest(block).into())).collect(),
    });
    let manifest = Manifest {
        summary: ModelSummary {
            id: ModelId::new("noise").unwrap(),
            hash: ContentHash(Sha256::digest(seed.to_le_bytes()).into()),
            architecture: "noise".into(),
            layer_count: LAYERS,
            hidden: 1,
            vocabulary: 1,
            context: 1,
            layer_bytes: vec![PART; LAYERS as usize],
            embedding_bytes: PART,
            head_bytes: PART,
            kv_bytes_per_token_layer: 1,
        },
        files: hashed.collect(),
        block_bytes: block as u32,
        common: vec![Extent { file: 0, start: 0, end: 1000 }, Extent { file: 1, start: 3 * PART, end: 3 * PART + 17 }],
        entry: vec![part(0, 1)],
        exit: vec![part(1, 2)],
        layers: layers.collect(),
    };
    let sealed = Sealed::seal(&manifest, &Owner("owner")).unwrap();
    Model { files, manifest, sealed }
}

pub(crate) fn range(start: u32, end: u32) -> LayerRange {
    LayerRange::new(start, end).unwrap()
}

impl Model {
    pub(crate) fn hash(&self) -> ContentHash {
        self.manifest.summary.hash
    }

    pub(crate) fn source(&self, urls: &[&str]) -> WeightSource {
        WeightSource { manifest: self.sealed.clone(), urls: urls.iter().map(ToString::to_string).collect() }
    }

    /// Bytes of the blocks that these layers need.
    pub(crate) fn bytes(&self, layers: LayerRange) -> u64 {
        let files = (0u32..).zip(self.manifest.blocks_for(layers));
        let blocks = files.flat_map(|(file, blocks)| blocks.into_iter().map(move |block| (file, block)));
        blocks.map(|(file, block)| u64::from(self.manifest.block_len(file, block).unwrap())).sum()
    }

    /// Whether every block that these layers need is on the disk as it should be.
    pub(crate) fn is_there(&self, shelf: &TestShelf, layers: LayerRange) -> bool {
        let folder = shelf.folder().join(self.hash().to_string()).join("files");
        (0..).zip(self.manifest.blocks_for(layers)).all(|(file, blocks): (usize, _)| {
            let (name, bytes) = &self.files[file];
            let got = std::fs::read(folder.join(name)).unwrap();
            let size = self.manifest.block_bytes as usize;
            got.len() == bytes.len()
                && blocks.iter().map(|block| *block as usize * size).all(|start| {
                    let end = (start + size).min(bytes.len());
                    got[start..end] == bytes[start..end]
                })
        })
    }

    /// The files, written to a folder.
    pub(crate) fn write(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        folder
    }
}

/// A shelf in a folder of its own.
pub(crate) struct TestShelf {
    pub(crate) shelf: Arc<Shelf>,
    folder: Arc<tempfile::TempDir>,
}

impl TestShelf {
    pub(crate) fn new() -> Self {
        Self::limited(None)
    }

    pub(crate) fn limited(max_bytes: Option<u64>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let shelf = open(folder.path().to_path_buf(), max_bytes).unwrap();
        Self { shelf: Arc::new(shelf), folder }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Closes it and opens it again, as another process would.
    pub(crate) fn reopened(self) -> Self {
        let Self { shelf, folder } = self;
        drop(shelf);
        // A fetch that was dropped may still be noting what it wrote.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match open(folder.path().to_path_buf(), None) {
                Ok(shelf) => return Self { shelf: Arc::new(shelf), folder },
                Err(WeightsError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn supply(&self, peers: Option<Arc<dyn BlockPeers>>) -> Supply {
        self.supply_with(peers, brisk())
    }

    pub(crate) fn supply_with(&self, peers: Option<Arc<dyn BlockPeers>>, options: SupplyOptions) -> Supply {
        Supply::new(Arc::clone(&self.shelf), peers, options).unwrap()
    }
}

pub(crate) fn open(folder: PathBuf, max_bytes: Option<u64>) -> Result<Shelf, WeightsError> {
    let owner = Owner("owner").node();
    Shelf::open(ShelfOptions { folder, owner, max_bytes, free_bytes: None }, Arc::new(Words))
}

/// Options under which a test need not wait. Runs are of two blocks.
pub(crate) fn brisk() -> SupplyOptions {
    SupplyOptions {
        run_bytes: 2 * BLOCK,
        discovery: Duration::from_secs(20),
        peers_alone: Duration::from_secs(600),
        stall: Duration::from_secs(20),
        backoff: Duration::from_millis(1),
        progress_every: Duration::from_millis(5),
        ..SupplyOptions::default()
    }
}

/// Fetches, and returns what was said last of the progress.
pub(crate) async fn ensure(
    supply: &Supply,
    model: &Model,
    layers: LayerRange,
    urls: &[&str],
) -> Result<FetchProgress, Fault> {
    let last = Mutex::new(FetchProgress::default());
    let tell = |progress: FetchProgress| {
        let mut last = last.lock().unwrap();
        assert!(progress.present >= last.present && progress.present <= progress.needed, "{progress:?} after {last:?}");
        *last = progress;
    };
    let source = model.source(urls);
    let done = supply.ensure(model.hash(), layers, Some(&source), &tell);
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("did not end within a minute")?;
    Ok(last.into_inner().unwrap())
}
