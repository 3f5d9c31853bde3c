//! Where a model's files lie.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILES: &str = "files";

/// Where a model's files lie.
pub(super) enum Home {
    /// A folder of the shelf, and the digest of the manifest in it. The shelf's lock is held for as long as something
    /// may be written there.
    Shelf { folder: PathBuf, digest: [u8; 32], _lock: Arc<File> },
    /// A whole model that lies elsewhere and is only read.
    Lent(PathBuf),
}

impl Home {
    /// The folder on the shelf; nothing for a model that lies elsewhere.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Shelf { folder, .. } => Some(folder),
            Self::Lent(_) => None,
        }
    }

    /// The folder that the model's files are in; the file itself where a single one was lent.
    pub(super) fn files(&self) -> PathBuf {
        match self {
            Self::Shelf { folder, .. } => folder.join(FILES),
            Self::Lent(path) => path.clone(),
        }
    }

    /// A file of the model, by its name in the manifest.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        match self {
            // A single file has its own name on its owner's disk, whatever the manifest calls it.
            Self::Lent(path) if !path.is_dir() => path.clone(),
            _ => self.files().join(name),
        }
    }
}

/// Writes a small file beside its place, brings it to the disk, and moves it there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)
}
