//! Bytes of a model file, mapped range by range.
//!
//! A [`Blob`] is the file, held open; an [`Extent`] is a range of it, mapped when asked for and unmapped with its last
//! clone. So a tensor that was copied to a device or repacked gives its pages back as soon as it is dropped.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

use crate::error::ModelError;

/// A file held open, or the same bytes in memory.
#[derive(Clone)]
pub(crate) enum Blob {
    /// On disk: every extent is a map of its own.
    File(Arc<Opened>),
    /// In memory.
    Memory(Extent),
}

/// An open file and the length it had when it was opened.
pub(crate) struct Opened {
    file: File,
    path: PathBuf,
    len: u64,
}

impl Blob {
    /// Opens a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let failed = |source| ModelError::Io { path: path.to_path_buf(), source };
        // Asked before opening: opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        Ok(Self::File(Arc::new(Opened { file, path: path.to_path_buf(), len })))
    }

    /// Takes bytes as if they were a file.
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self::Memory(Extent::from_vec(bytes))
    }

    /// Bytes in the file.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File(opened) => opened.len,
            Self::Memory(extent) => extent.as_bytes().len() as u64,
        }
    }

    /// The bytes of `range`.
    pub(crate) fn extent(&self, range: Range<u64>) -> Result<Extent, ModelError> {
        let bounds = |have: u64| -> Result<Range<usize>, ModelError> {
            let inside = range.start <= range.end && range.end <= have;
            match (inside, usize::try_from(range.start), usize::try_from(range.end)) {
                (true, Ok(start), Ok(end)) => Ok(start..end),
                _ => Err(ModelError::OutOfFile { start: range.start, end: range.end, have }),
            }
        };
        match self {
            Self::Memory(extent) => {
                let inner = bounds(self.len())?;
                extent.slice(inner).ok_or(ModelError::OutOfFile {
                    start: range.start,
                    end: range.end,
                    have: self.len(),
                })
            }
            Self::File(opened) => {
                let failed = |source| ModelError::Io { path: opened.path.clone(), source };
                let now = opened.file.metadata().map_err(failed)?.len();
                if now != opened.len {
                    return Err(ModelError::FileChanged { path: opened.path.clone(), expected: opened.len, got: now });
                }
                let bounds = bounds(now)?;
                if bounds.is_empty() {
                    return Ok(Extent::from_vec(Vec::new()));
                }
                let map = map(&opened.file, &bounds).map_err(failed)?;
                let len = map.len();
                Ok(Extent { source: Arc::new(Source::Mapped(map)), range: 0..len })
            }
        }
    }
}

#[expect(unsafe_code, reason = "mapping a file is how a shard touches only its own tensors")]
fn map(file: &File, range: &Range<usize>) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and every reader treats its bytes as untrusted input, so a file that changes under
    // us gives wrong numbers, not wrong memory. A file that is cut short while mapped raises SIGBUS: the engine that
    // holds these maps is a child process for such reasons, and `Blob::extent` has just checked the length.
    unsafe { MmapOptions::new().offset(range.start as u64).len(range.len()).map(file) }
}

enum Source {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Source {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// A range of mapped or owned bytes; clones share them.
#[derive(Clone)]
pub(crate) struct Extent {
    source: Arc<Source>,
    range: Range<usize>,
}

impl Extent {
    /// Owned bytes.
    pub(crate) fn from_vec(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { source: Arc::new(Source::Owned(bytes)), range }
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.source.as_bytes().get(self.range.clone()).unwrap_or_default()
    }

    /// A part of it, or nothing where `range` reaches outside.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Self> {
        let start = self.range.start.checked_add(range.start)?;
        let end = self.range.start.checked_add(range.end)?;
        (start <= end && end <= self.range.end).then(|| Self { source: Arc::clone(&self.source), range: start..end })
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({} bytes)", self.range.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_never_reaches_outside_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        std::fs::write(&path, (0..=255u8).collect::<Vec<_>>()).unwrap();
        let blobs = [Blob::open(&path).unwrap(), Blob::memory((0..=255u8).collect())];
        for blob in blobs {
            let extent = blob.extent(3..9).unwrap();
            assert_eq!(extent.as_bytes(), [3, 4, 5, 6, 7, 8]);
            assert_eq!(extent.slice(1..3).unwrap().as_bytes(), [4, 5]);
            assert!(extent.slice(5..7).is_none());
            assert!(extent.slice(usize::MAX..usize::MAX).is_none());
            assert!(blob.extent(9..9).unwrap().as_bytes().is_empty());
            for (start, end) in [(0, 257), (256, 257), (9, 3), (u64::MAX, u64::MAX)] {
                assert!(matches!(blob.extent(start..end), Err(ModelError::OutOfFile { .. })), "{start}..{end}");
            }
        }
    }

    #[test]
    fn a_file_that_shrank_is_refused_instead_of_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        std::fs::write(&path, [7; 100]).unwrap();
        let blob = Blob::open(&path).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert!(matches!(blob.extent(50..60), Err(ModelError::FileChanged { expected: 100, got: 10, .. })));
        assert!(Blob::open(dir.path()).is_err());
    }
}
