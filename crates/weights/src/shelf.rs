//! The folder in which a node keeps weights.
//!
//! ```text
//! FOLDER/lock                  held by the process that uses the folder
//! FOLDER/HASH/manifest         the model's manifest, sealed by the pool's owner
//! FOLDER/HASH/marks            which blocks are there and were checked
//! FOLDER/HASH/unsettled        there while the marks may be behind
//! FOLDER/HASH/files/NAME       the model's files, in their full length, with holes
//! ```
//!
//! A block is compared with its hash, written, brought to the disk and only then noted, so that what is noted is there
//! whenever the machine stops. What was written but not yet noted is found again by its hash.

mod home;
mod marks;
mod sparse;
mod stored;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use computepool_core::ports::{BlockShelf, Verifier};
use computepool_core::{ContentHash, HeldModel, LayerRange, Manifest, ModelSummary, NodeId, Sealed, Statement as _};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::WeightsError;
use crate::block::{Place, places};
pub(crate) use stored::Stored;

/// How many bytes are free on the disk that a path lies on, where that can be told.
pub type FreeBytes = Arc<dyn Fn(&Path) -> Option<u64> + Send + Sync>;

/// How a shelf is set up.
#[derive(Clone)]
pub struct ShelfOptions {
    /// Where it is; made where there is nothing. One process at a time uses it.
    pub folder: PathBuf,
    /// The pool's owner: only manifests that it signed count.
    pub owner: NodeId,
    /// The most bytes of weights to be kept here; nothing where only the disk sets a limit.
    pub max_bytes: Option<u64>,
    /// Asked before something is fetched; nothing leaves it to the disk to be full.
    pub free_bytes: Option<FreeBytes>,
}

/// What is left free on the disk for everybody else, in bytes.
const SPARE: u64 = 256 << 20;

/// The most models on a shelf.
const MAX_MODELS: usize = 1024;

/// Weights on the disk. Methods that are not `async` may wait for the disk.
pub struct Shelf {
    options: ShelfOptions,
    verifier: Arc<dyn Verifier>,
    contents: RwLock<Contents>,
    /// Locked for as long as the shelf is open, or something may still be written to it.
    lock: Arc<File>,
}

#[derive(Default)]
struct Contents {
    models: HashMap<ContentHash, Arc<Stored>>,
    /// Where blocks are; a block may stand in several places.
    index: HashMap<ContentHash, Vec<(ContentHash, Place)>>,
}

impl Shelf {
    /// Opens the folder and reads which blocks of which models it has. What another owner's manifest describes stays
    /// on the disk and is not looked at.
    ///
    /// # Errors
    ///
    /// `invalid_request` where another process uses the folder, `io` where it cannot be read or written.
    pub fn open(options: ShelfOptions, verifier: Arc<dyn Verifier>) -> Result<Self, WeightsError> {
        let folder = options.folder.clone();
        fs::create_dir_all(&folder).map_err(WeightsError::io(&folder))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(WeightsError::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(WeightsError::InUse { folder }),
            Err(fs::TryLockError::Error(source)) => return Err(WeightsError::Io { path, source }),
        }
        let shelf = Self { options, verifier, contents: RwLock::default(), lock: Arc::new(lock) };
        for entry in fs::read_dir(&folder).map_err(WeightsError::io(&folder))?.flatten().take(MAX_MODELS) {
            let named = entry.file_name().to_str().and_then(|name| name.parse::<ContentHash>().ok());
            let Some(model) = named else { continue };
            match read_sealed(&entry.path().join(stored::MANIFEST)).map(|sealed| shelf.take(model, &sealed)) {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%model, %error, "weights on the disk cannot be used"),
                Err(error) => tracing::warn!(%model, %error, "weights on the disk have no manifest"),
            }
        }
        Ok(shelf)
    }

    /// Gives blocks of a whole model that lies elsewhere on this disk to peers as well: a GGUF file or a Hugging Face
    /// folder, which is only read. What peers are given is compared with the manifest, the rest is taken on trust.
    pub fn lend(&self, sealed: &Sealed, path: &Path) -> Result<(), WeightsError> {
        let manifest = self.trusted(sealed)?;
        self.add(Stored::lent(manifest, path)?);
        Ok(())
    }

    /// Where an engine opens a model; nothing where none of its layers can be loaded.
    pub fn path(&self, model: &ContentHash) -> Option<PathBuf> {
        let stored = self.stored(model)?;
        held(&stored).first().map(|_| stored.path())
    }

    /// The layers that can be loaded from here, in the longest ranges there are. Both ends of a model count only with
    /// its embedding or its head.
    pub fn held(&self) -> Vec<HeldModel> {
        self.models().iter().flat_map(|stored| held(stored)).collect()
    }

    /// What the models are of which there is anything.
    pub fn summaries(&self) -> Vec<ModelSummary> {
        self.models().iter().map(|stored| stored.manifest().summary.clone()).collect()
    }

    /// Bytes of weights that are kept here, without those that are lent.
    pub fn bytes(&self) -> u64 {
        self.models().iter().filter(|stored| stored.folder().is_some()).map(|stored| stored.present()).sum()
    }

    /// Removes a model and frees its disk. One that is lent stays where it is, and its blocks are given no longer.
    pub fn remove(&self, model: &ContentHash) -> Result<(), WeightsError> {
        let removed = self.write(|contents| {
            contents.index.retain(|_, places| {
                places.retain(|(of, _)| of != model);
                !places.is_empty()
            });
            contents.models.remove(model)
        });
        if let Some(stored) = &removed {
            stored.retire();
        }
        match removed.as_ref().and_then(|stored| stored.folder()) {
            Some(folder) => fs::remove_dir_all(folder).map_err(WeightsError::io(folder)),
            None => Ok(()),
        }
    }

    /// The model, under this manifest, which becomes the one that counts.
    pub(crate) fn take(&self, model: ContentHash, sealed: &Sealed) -> Result<Arc<Stored>, WeightsError> {
        let manifest = self.trusted(sealed)?;
        let got = manifest.summary.hash;
        if got != model {
            return Err(WeightsError::OtherModel { expected: model, got });
        }
        match self.stored(&model) {
            Some(stored) if *stored.manifest() == manifest => return Ok(stored),
            Some(other) => {
                other.retire();
                let lent = other.lent_from().map(|path| Stored::lent(manifest.clone(), path));
                if let Some(Ok(stored)) = lent {
                    return Ok(self.add(stored));
                }
            }
            None => {}
        }
        let folder = self.options.folder.join(model.to_string());
        Ok(self.add(Stored::open(&folder, Arc::clone(&self.lock), sealed, manifest)?))
    }

    /// A model of which there is something.
    pub(crate) fn stored(&self, model: &ContentHash) -> Option<Arc<Stored>> {
        self.read_contents(|contents| contents.models.get(model).cloned())
    }

    /// Whether `needed` more bytes may be kept.
    pub(crate) fn check_room(&self, needed: u64) -> Result<(), WeightsError> {
        if let Some(limit) = self.options.max_bytes {
            let room = limit.saturating_sub(self.bytes());
            if needed > room {
                return Err(WeightsError::NoRoom { needed, room, limit: true });
            }
        }
        if let Some(free) = self.options.free_bytes.as_ref().and_then(|ask| ask(&self.options.folder)) {
            let room = free.saturating_sub(SPARE);
            if needed > room {
                return Err(WeightsError::NoRoom { needed, room, limit: false });
            }
        }
        Ok(())
    }

    fn trusted(&self, sealed: &Sealed) -> Result<Manifest, WeightsError> {
        let manifest = sealed.open::<Manifest>(self.verifier.as_ref())?;
        if sealed.by != self.options.owner {
            return Err(WeightsError::Stranger { expected: self.options.owner.clone(), got: sealed.by.clone() });
        }
        Ok(manifest)
    }

    fn add(&self, stored: Stored) -> Arc<Stored> {
        let stored = Arc::new(stored);
        let manifest = stored.manifest();
        let model = manifest.summary.hash;
        self.write(|contents| {
            contents.index.retain(|_, places| {
                places.retain(|(of, _)| *of != model);
                !places.is_empty()
            });
            for place in stored::all(manifest) {
                if let Some(block) = place.of(manifest) {
                    contents.index.entry(block.hash).or_default().push((model, place));
                }
            }
            contents.models.insert(model, Arc::clone(&stored));
        });
        stored
    }

    fn models(&self) -> Vec<Arc<Stored>> {
        self.read_contents(|contents| contents.models.values().cloned().collect())
    }

    fn read_contents<T>(&self, look: impl FnOnce(&Contents) -> T) -> T {
        look(&self.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(&mut self.contents.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl BlockShelf for Shelf {
    fn read(&self, hash: ContentHash) -> BoxFuture<'_, Option<Bytes>> {
        let found: Vec<(Arc<Stored>, Place)> = self.read_contents(|contents| {
            let places = contents.index.get(&hash).map(Vec::as_slice).unwrap_or_default();
            let stored = |(model, place): &(ContentHash, Place)| Some((contents.models.get(model)?.clone(), *place));
            places.iter().filter_map(stored).filter(|(stored, place)| stored.has(*place)).take(2).collect()
        });
        async move {
            if found.is_empty() {
                return None;
            }
            let read = move || found.iter().find_map(|(stored, place)| stored.read(*place));
            tokio::task::spawn_blocking(read).await.ok().flatten().map(Bytes::from)
        }
        .boxed()
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("folder", &self.options.folder).field("owner", &self.options.owner).finish()
    }
}

/// The longest ranges of a model's layers that can be loaded.
fn held(stored: &Stored) -> Vec<HeldModel> {
    let manifest = stored.manifest();
    let (model, layer_count) = (manifest.summary.hash, manifest.summary.layer_count);
    let mut ranges: Vec<LayerRange> = Vec::new();
    for layer in 0..layer_count {
        let alone = LayerRange::new(layer, layer + 1).ok();
        let Some(alone) = alone.filter(|alone| places(manifest.blocks_for(*alone)).all(|place| stored.has(place)))
        else {
            continue;
        };
        match ranges.last_mut().filter(|last| last.end() == layer) {
            Some(last) => *last = LayerRange::new(last.start(), layer + 1).unwrap_or(*last),
            None => ranges.push(alone),
        }
    }
    let whole = |range: &LayerRange| range.len() == layer_count;
    ranges.into_iter().map(|range| HeldModel { model, layers: (!whole(&range)).then_some(range) }).collect()
}

fn read_sealed(path: &Path) -> Result<Sealed, WeightsError> {
    let failed = || WeightsError::io(path);
    let mut bytes = Vec::new();
    let limit = Manifest::MAX_BYTES as u64 + 4096;
    File::open(path).map_err(failed())?.take(limit).read_to_end(&mut bytes).map_err(failed())?;
    postcard::from_bytes(&bytes).map_err(|error| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        WeightsError::Io { path: path.to_path_buf(), source }
    })
}
