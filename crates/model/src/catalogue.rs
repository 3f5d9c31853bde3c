//! The models found on disk: by name, and by content hash.

mod hashing;
mod source;

use std::path::{Path, PathBuf};

use computepool_core::{ContentHash, Fault, ModelId, ModelSummary};

pub use hashing::{HashCache, HashProgress, Progress, hash_model, verify};
pub(crate) use hashing::{Stamp, hashed_files};
pub use source::ModelSource;

use crate::error::ModelError;
use crate::weights::ModelFile;

/// The file name of the sample model.
pub const SAMPLE_MODEL_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// SHA-256 of the sample model's file.
pub const SAMPLE_MODEL_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// Names a file to be used as the sample model.
pub const SAMPLE_MODEL_VARIABLE: &str = "COMPUTEPOOL_SAMPLE_MODEL";

/// Where models are kept for this user: `computepool/models` in the cache folder of the platform.
pub fn models_folder() -> Result<PathBuf, ModelError> {
    let folders = directories::BaseDirs::new().ok_or(ModelError::NoCacheFolder)?;
    Ok(folders.cache_dir().join("computepool").join("models"))
}

/// The sample model's file: `COMPUTEPOOL_SAMPLE_MODEL`, or where `make sample-model` puts it. Fails, saying what to
/// run, where there is no such file.
pub fn sample_model_path() -> Result<PathBuf, ModelError> {
    let path = match std::env::var_os(SAMPLE_MODEL_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => models_folder()?.join(SAMPLE_MODEL_FILE),
    };
    if path.is_file() { Ok(path) } else { Err(ModelError::NoSample { path }) }
}

/// A model that is ready to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The GGUF file or the Hugging Face folder.
    pub path: PathBuf,
    /// Its name, hash and sizes.
    pub summary: ModelSummary,
}

/// A file or folder that looked like a model and was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub fault: Fault,
}

/// The models found on disk. Names are unique, and so are hashes.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
    skipped: Vec<Skipped>,
}

impl Catalogue {
    /// Looks through the sources in order. A source that names one model must be readable; what a searched folder
    /// holds besides usable models is listed under [`skipped`](Self::skipped).
    ///
    /// Every model is opened (headers only) before it is hashed, and hashed unless `cache` knows it. Of two models
    /// with the same content the first stays; of two with the same name the later one gets `-` and the first eight
    /// digits of its hash appended.
    pub fn scan(sources: &[ModelSource], cache: &HashCache, progress: &mut Progress<'_>) -> Result<Self, ModelError> {
        let mut catalogue = Self::default();
        // Models that are named one by one get the name they ask for, wherever they stand in the list.
        let (named, searched): (Vec<_>, Vec<_>) = sources.iter().partition(|source| source.id.is_some());
        for source in named.into_iter().chain(searched) {
            let found = source.candidates()?;
            let single = found.len() == 1 && found.first() == Some(&source.path);
            for path in found {
                match catalogue.add(&path, source.id.as_ref(), cache, progress) {
                    Ok(()) => {}
                    Err(error @ ModelError::Cancelled) => return Err(error),
                    Err(error) if single => return Err(error),
                    Err(error) => catalogue.skipped.push(Skipped { path, fault: error.into() }),
                }
            }
        }
        Ok(catalogue)
    }

    fn add(
        &mut self,
        path: &Path,
        id: Option<&ModelId>,
        cache: &HashCache,
        progress: &mut Progress<'_>,
    ) -> Result<(), ModelError> {
        let file = ModelFile::open(path)?;
        let id = match id {
            Some(id) => id.clone(),
            None => source::derive_id(path, file.gguf())?,
        };
        let hash = cache.hash(path, progress)?;
        if self.by_hash(&hash).is_some() {
            return Ok(());
        }
        let id = self.free_id(id, &hash)?;
        self.entries.push(CatalogueEntry { path: path.to_path_buf(), summary: file.summary(id, hash) });
        Ok(())
    }

    /// Adds a model of which perhaps only some layers are on the disk, and which is known by a verified manifest. Its
    /// headers are read and must say what `summary` says; nothing is hashed. A model that is there already stays, and a
    /// name that is taken is told apart as in [`scan`](Self::scan).
    pub fn admit(&mut self, path: &Path, summary: &ModelSummary) -> Result<(), ModelError> {
        if self.by_hash(&summary.hash).is_some() {
            return Ok(());
        }
        let read = ModelFile::open(path)?.summary(summary.id.clone(), summary.hash);
        if read != *summary {
            let reason = format!(
                "{} layers of {} where {} of {} were promised, or other sizes",
                read.layer_count, read.architecture, summary.layer_count, summary.architecture
            );
            return Err(ModelError::NotAsDescribed { path: path.to_path_buf(), reason });
        }
        let id = self.free_id(summary.id.clone(), &summary.hash)?;
        self.entries.push(CatalogueEntry { path: path.to_path_buf(), summary: ModelSummary { id, ..read } });
        Ok(())
    }

    fn free_id(&self, id: ModelId, hash: &ContentHash) -> Result<ModelId, ModelError> {
        if self.by_id(&id).is_some() { source::distinguished(&id, hash) } else { Ok(id) }
    }

    /// The models, in the order in which they were found; those named one by one come first.
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }

    /// What was left out, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The model of this name.
    pub fn by_id(&self, id: &ModelId) -> Option<&CatalogueEntry> {
        self.entries.iter().find(|entry| entry.summary.id == *id)
    }

    /// The model of this content.
    pub fn by_hash(&self, hash: &ContentHash) -> Option<&CatalogueEntry> {
        self.entries.iter().find(|entry| entry.summary.hash == *hash)
    }
}
