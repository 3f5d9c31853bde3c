//! Content hashes, and remembering them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use computepool_core::ContentHash;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::hf;

/// How far the hashing of a model has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashProgress<'a> {
    /// The model.
    pub path: &'a Path,
    /// Bytes hashed.
    pub done: u64,
    /// Bytes to hash.
    pub total: u64,
}

/// Told of every few megabytes; breaking stops the work with [`ModelError::Cancelled`].
pub type Progress<'a> = dyn FnMut(HashProgress<'_>) -> ControlFlow<()> + 'a;

const CHUNK: usize = 4 << 20;

/// The files of a Hugging Face folder, beside its weights, that decide what a shard computes.
const SETTINGS: [&str; 2] = [hf::CONFIG, "tokenizer.json"];

/// The content hash of a model: SHA-256 of a GGUF file; of a Hugging Face folder SHA-256 of its manifest, which has a
/// line `SHA-256 in hex, two spaces, file name, line feed` for `config.json`, `tokenizer.json` (where there is one)
/// and each weight file, sorted by file name: the output of `sha256sum`.
pub fn hash_model(path: &Path, progress: &mut Progress<'_>) -> Result<ContentHash, ModelError> {
    let files = files(path)?;
    let mut state = Work { path, done: 0, total: files.iter().map(|file| file.len).sum(), progress };
    if let [single] = files.as_slice()
        && single.path == path
    {
        return Ok(ContentHash(state.file(path)?));
    }
    let mut manifest = String::new();
    for file in &files {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        manifest.push_str(&format!("{}  {name}\n", hex::encode(state.file(&file.path)?)));
    }
    Ok(ContentHash(Sha256::digest(manifest).into()))
}

/// Checks that a model has this content hash.
pub fn verify(path: &Path, expected: &ContentHash, progress: &mut Progress<'_>) -> Result<(), ModelError> {
    let got = hash_model(path, progress)?;
    if got == *expected {
        Ok(())
    } else {
        Err(ModelError::HashMismatch { path: path.to_path_buf(), expected: *expected, got })
    }
}

/// A file that goes into a hash, and what tells whether it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    path: PathBuf,
    len: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Stamp {
    pub(crate) fn of(path: PathBuf) -> Result<Self, ModelError> {
        let failed = |source| ModelError::Io { path: path.clone(), source };
        let metadata = fs::metadata(&path).map_err(failed)?;
        let modified = metadata.modified().map_err(failed)?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified = modified.as_nanos().try_into().unwrap_or(u64::MAX);
        Ok(Self { len: metadata.len(), modified, path })
    }

    /// Whether it changed long enough ago for a later change to show.
    pub(crate) fn is_settled(&self) -> bool {
        let modified = UNIX_EPOCH + Duration::from_nanos(self.modified);
        SystemTime::now().duration_since(modified).is_ok_and(|age| age >= SETTLED)
    }
}

fn files(path: &Path) -> Result<Vec<Stamp>, ModelError> {
    hashed_files(path)?.into_iter().map(Stamp::of).collect()
}

/// The files that go into a model's content hash, sorted by name.
pub(crate) fn hashed_files(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let settings = SETTINGS.iter().map(|name| path.join(name)).filter(|path| path.is_file());
    let mut paths = hf::weight_files(path).map_err(|error| error.at(path))?;
    paths.extend(settings);
    paths.sort();
    Ok(paths)
}

struct Work<'a, 'p, 'q> {
    path: &'a Path,
    done: u64,
    total: u64,
    progress: &'p mut Progress<'q>,
}

impl Work<'_, '_, '_> {
    fn file(&mut self, path: &Path) -> Result<[u8; 32], ModelError> {
        let failed = |source| ModelError::Io { path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(failed)?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match file.read(&mut chunk) {
                Ok(0) => return Ok(hasher.finalize().into()),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            hasher.update(&chunk[..read]);
            self.done += read as u64;
            let (done, total) = (self.done, self.total.max(self.done));
            if (self.progress)(HashProgress { path: self.path, done, total }).is_break() {
                return Err(ModelError::Cancelled);
            }
        }
    }
}

/// Remembers the hashes of models by path, size and time of change, so that a big file is hashed once. Kept as one
/// small file per model in a folder; losing it costs only time.
#[derive(Clone, Debug)]
pub struct HashCache {
    folder: Option<PathBuf>,
}

/// What was found out about a model, and of which state of its files.
#[derive(Serialize, Deserialize)]
struct Remembered<T> {
    files: Vec<Stamp>,
    #[serde(alias = "hash")]
    found: T,
}

/// A file changed so recently may change again within the resolution of its time stamp: its hash is not remembered.
const SETTLED: Duration = Duration::from_secs(2);
/// The most that is read of what was remembered, in bytes. A manifest of 100,000 blocks has seven million.
const SIDECAR_LIMIT: u64 = 16 << 20;
/// What remembered hashes are called.
const KIND: &str = "json";

impl HashCache {
    /// Remembers in this folder, which is made when needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// Remembers nothing.
    pub fn forgetful() -> Self {
        Self { folder: None }
    }

    /// The content hash of a model, remembered or computed (see [`hash_model`]).
    pub fn hash(&self, path: &Path, progress: &mut Progress<'_>) -> Result<ContentHash, ModelError> {
        let path = &std::path::absolute(path).map_err(|source| ModelError::Io { path: path.to_path_buf(), source })?;
        let before = files(path)?;
        if let Some(hash) = self.recall(path, KIND, &before) {
            return Ok(hash);
        }
        let hash = hash_model(path, progress)?;
        // A file that changed while it was read has a hash that is already of the past.
        if before.iter().all(Stamp::is_settled) && files(path)? == before {
            self.remember(path, KIND, before, &hash);
        }
        Ok(hash)
    }

    /// Remembers a hash that was found in another way, of files that have not changed since.
    pub(crate) fn learn(&self, path: &Path, hash: ContentHash) -> Result<(), ModelError> {
        self.remember(path, KIND, files(path)?, &hash);
        Ok(())
    }

    fn sidecar(&self, path: &Path, kind: &str) -> Option<PathBuf> {
        let key = Sha256::digest(path.as_os_str().as_encoded_bytes());
        Some(self.folder.as_ref()?.join(format!("{}.{kind}", hex::encode(&key[..16]))))
    }

    pub(crate) fn recall<T: DeserializeOwned>(&self, path: &Path, kind: &str, files: &[Stamp]) -> Option<T> {
        let mut text = Vec::new();
        File::open(self.sidecar(path, kind)?).ok()?.take(SIDECAR_LIMIT).read_to_end(&mut text).ok()?;
        let remembered: Remembered<T> = serde_json::from_slice(&text).ok()?;
        (remembered.files == files).then_some(remembered.found)
    }

    /// Failing to remember is no failure: it is found out again next time.
    pub(crate) fn remember<T: Serialize>(&self, path: &Path, kind: &str, files: Vec<Stamp>, found: &T) {
        let (Some(folder), Some(sidecar)) = (&self.folder, self.sidecar(path, kind)) else { return };
        let written = fs::create_dir_all(folder).and_then(|()| {
            // Written beside and moved into place, so that another process never reads half of it.
            let beside = sidecar.with_extension(format!("{}.tmp", std::process::id()));
            let mut file = File::create(&beside)?;
            file.write_all(&serde_json::to_vec(&Remembered { files, found })?)?;
            drop(file);
            fs::rename(&beside, &sidecar)
        });
        if let Err(error) = written {
            tracing::warn!(path = %sidecar.display(), %error, "what was found out about a model could not be remembered");
        }
    }
}
