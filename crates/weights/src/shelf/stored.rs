//! One model on a shelf.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use computepool_core::{LayerRange, Manifest, Sealed};
use sha2::{Digest, Sha256};

use super::home::{Home, replace};
use super::marks::Marks;
use super::sparse;
use crate::WeightsError;
use crate::block::{Place, places};

/// The sealed manifest, in postcard.
pub(super) const MANIFEST: &str = "manifest";
const MARKS: &str = "marks";
/// There while blocks may have been written that the marks do not know of.
const UNSETTLED: &str = "unsettled";

/// After so many bytes what was written is brought to the disk, and noted.
const SETTLE_EVERY: u64 = 64 << 20;

/// A model of which some blocks, or all, are on this disk. Its methods read and write files: they are called where
/// waiting for a disk is allowed.
pub(crate) struct Stored {
    manifest: Manifest,
    home: Home,
    state: Mutex<State>,
    /// Held while marks are written, so that older ones never replace newer ones.
    settling: Mutex<()>,
}

struct State {
    marks: Marks,
    /// Files that may hold blocks that were never noted.
    suspect: BTreeSet<u32>,
    /// Files written to since their bytes were last brought to the disk, and how many bytes.
    dirty: BTreeSet<u32>,
    dirty_bytes: u64,
    unsettled: bool,
    /// Another manifest counts now, and the folder is no longer this one's.
    retired: bool,
}

impl Stored {
    /// A whole model at `path`.
    pub(super) fn lent(manifest: Manifest, path: &Path) -> Result<Self, WeightsError> {
        let home = Home::Lent(path.to_path_buf());
        for file in &manifest.files {
            let path = home.file(&file.name);
            if fs::metadata(&path).map_err(WeightsError::io(&path))?.len() != file.bytes {
                let source = io::Error::new(io::ErrorKind::InvalidData, "not of the length in the manifest");
                return Err(WeightsError::Io { path, source });
            }
        }
        let mut marks = Marks::none(&manifest);
        for place in all(&manifest) {
            marks.set(place, true);
        }
        Ok(Self::new(manifest, home, marks, BTreeSet::new()))
    }

    /// Opens a model's folder, or makes it. What a folder holds under another manifest is kept, and is compared with
    /// this one before it counts.
    pub(super) fn open(
        folder: &Path,
        lock: Arc<File>,
        sealed: &Sealed,
        manifest: Manifest,
    ) -> Result<Self, WeightsError> {
        let digest: [u8; 32] = Sha256::digest(&sealed.body).into();
        let home = Home::Shelf { folder: folder.to_path_buf(), digest, _lock: lock };
        fs::create_dir_all(home.files()).map_err(WeightsError::io(folder))?;
        let (written, marks) = (folder.join(MANIFEST), folder.join(MARKS));
        let encoded = postcard::to_allocvec(sealed)
            .map_err(|error| WeightsError::Broken(format!("a manifest cannot be encoded: {error}")))?;
        if fs::read(&written).is_ok_and(|before| before == encoded) {
            tracing::trace!(folder = %folder.display(), "the manifest is there already");
        } else {
            replace(&written, &encoded).map_err(WeightsError::io(&written))?;
        }
        let noted = fs::read(&marks).ok().and_then(|bytes| Marks::decode(&bytes, &digest, &manifest));
        let doubtful = noted.is_none() || folder.join(UNSETTLED).exists();
        let mut marks = noted.unwrap_or_else(|| Marks::none(&manifest));
        let mut suspect = BTreeSet::new();
        for (index, file) in (0u32..).zip(&manifest.files) {
            let path = home.file(&file.name);
            if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == file.bytes) {
                suspect.extend(doubtful.then_some(index));
            } else {
                marks.clear(index);
                path.parent().map_or(Ok(()), fs::create_dir_all).map_err(WeightsError::io(&path))?;
                sparse::stretch(&path, file.bytes).map_err(WeightsError::io(&path))?;
            }
        }
        Ok(Self::new(manifest, home, marks, suspect))
    }

    fn new(manifest: Manifest, home: Home, marks: Marks, suspect: BTreeSet<u32>) -> Self {
        let unsettled = !suspect.is_empty();
        let state = State { marks, suspect, dirty: BTreeSet::new(), dirty_bytes: 0, unsettled, retired: false };
        Self { manifest, home, state: Mutex::new(state), settling: Mutex::new(()) }
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What an engine opens: the file of a model that is one file, or the folder.
    pub(super) fn path(&self) -> PathBuf {
        match self.manifest.files.as_slice() {
            [single] => self.home.file(&single.name),
            _ => self.home.files(),
        }
    }

    /// The folder on the shelf; nothing for a model that lies elsewhere.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.home.folder()
    }

    /// Where a model lies that is lent.
    pub(super) fn lent_from(&self) -> Option<&Path> {
        match &self.home {
            Home::Lent(path) => Some(path),
            Home::Shelf { .. } => None,
        }
    }

    /// The blocks that these layers need and that are not there.
    pub(crate) fn missing(&self, layers: LayerRange) -> Vec<Place> {
        let state = self.lock();
        places(self.manifest.blocks_for(layers)).filter(|place| !state.marks.has(*place)).collect()
    }

    /// Bytes of the blocks that these layers need.
    pub(crate) fn needed(&self, layers: LayerRange) -> u64 {
        self.bytes(places(self.manifest.blocks_for(layers)))
    }

    /// Bytes of these blocks.
    pub(crate) fn bytes(&self, places: impl IntoIterator<Item = Place>) -> u64 {
        let blocks = places.into_iter().filter_map(|place| place.of(&self.manifest));
        blocks.map(|block| u64::from(block.length)).sum()
    }

    /// Bytes of weights that are there.
    pub(super) fn present(&self) -> u64 {
        let state = self.lock();
        self.bytes(all(&self.manifest).filter(|place| state.marks.has(*place)))
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.lock().marks.has(place)
    }

    /// A block that is there. One whose bytes have changed since is found out, and is there no longer.
    pub(super) fn read(&self, place: Place) -> Option<Vec<u8>> {
        let block = place.of(&self.manifest).filter(|_| self.has(place))?;
        match self.bytes_at(place) {
            Ok(bytes) if block.is(&bytes) => return Some(bytes),
            Ok(_) => tracing::warn!(?place, model = %self.manifest.summary.hash, "a block has changed on the disk"),
            Err(error) => tracing::warn!(?place, %error, "a block cannot be read"),
        }
        self.lock().marks.set(place, false);
        None
    }

    /// Takes in a block. Its bytes are compared with the manifest first: `false` where they are not the block's.
    pub(crate) fn put(&self, place: Place, bytes: &[u8]) -> Result<bool, WeightsError> {
        let Some(block) = place.of(&self.manifest).filter(|block| block.is(bytes)) else { return Ok(false) };
        self.unsettle(&mut self.lock());
        let path = self.file(place.file);
        let write = || {
            let mut file = File::options().write(true).open(&path)?;
            file.seek(SeekFrom::Start(block.start))?;
            file.write_all(bytes)
        };
        write().map_err(WeightsError::io(&path))?;
        let due = {
            let mut state = self.lock();
            state.marks.set(place, true);
            state.dirty.insert(place.file);
            state.dirty_bytes += bytes.len() as u64;
            state.dirty_bytes >= SETTLE_EVERY
        };
        if due {
            self.settle()?;
        }
        Ok(true)
    }

    /// Looks, once, for blocks that were written without being noted, before a crash or under another manifest. Holes
    /// are recognised without being hashed.
    pub(crate) fn recheck(&self) -> Result<(), WeightsError> {
        let suspect = self.lock().suspect.clone();
        for place in all(&self.manifest).filter(|place| suspect.contains(&place.file) && !self.has(*place)) {
            let Some(block) = place.of(&self.manifest) else { continue };
            let bytes = self.bytes_at(place).map_err(WeightsError::io(&self.file(place.file)))?;
            if bytes.iter().any(|byte| *byte != 0) && block.is(&bytes) {
                let mut state = self.lock();
                state.marks.set(place, true);
                state.dirty.insert(place.file);
            }
        }
        self.lock().suspect.clear();
        if suspect.is_empty() { Ok(()) } else { self.settle() }
    }

    /// Brings what was written to the disk, and then notes it.
    pub(crate) fn settle(&self) -> Result<(), WeightsError> {
        let Home::Shelf { folder, digest, .. } = &self.home else { return Ok(()) };
        let _turn = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let (marks, dirty, bytes) = {
            let mut state = self.lock();
            if state.retired {
                return Ok(());
            }
            let bytes = std::mem::take(&mut state.dirty_bytes);
            (state.marks.clone(), std::mem::take(&mut state.dirty), bytes)
        };
        let synced = dirty.iter().try_for_each(|file| {
            let path = self.file(*file);
            let sync = File::options().write(true).open(&path).and_then(|file| file.sync_data());
            sync.map_err(WeightsError::io(&path))
        });
        let path = folder.join(MARKS);
        let noted = synced.and_then(|()| replace(&path, &marks.encode(digest)).map_err(WeightsError::io(&path)));
        let mut state = self.lock();
        if noted.is_err() {
            state.dirty.extend(dirty);
            state.dirty_bytes += bytes;
        } else if state.unsettled && state.suspect.is_empty() && state.marks == marks {
            state.unsettled = false;
            fs::remove_file(folder.join(UNSETTLED)).ok();
        }
        noted
    }

    /// Notes nothing any more; returns once nothing is being noted.
    pub(super) fn retire(&self) {
        let _turn = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().retired = true;
    }

    /// Leaves a note that the marks are behind what is written, unless it is there.
    fn unsettle(&self, state: &mut State) {
        if let (false, Some(folder)) = (state.unsettled, self.folder()) {
            // Without the note a crash costs no more than fetching some blocks again.
            state.unsettled = File::create(folder.join(UNSETTLED)).is_ok();
        }
    }

    fn bytes_at(&self, place: Place) -> io::Result<Vec<u8>> {
        let block = place.of(&self.manifest).ok_or(io::ErrorKind::InvalidInput)?;
        let mut file = File::open(self.file(place.file))?;
        file.seek(SeekFrom::Start(block.start))?;
        let mut bytes = vec![0; block.length as usize];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn file(&self, index: u32) -> PathBuf {
        self.home.file(self.manifest.files.get(index as usize).map_or("", |file| file.name.as_str()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every block of a model.
pub(super) fn all(manifest: &Manifest) -> impl Iterator<Item = Place> + '_ {
    let files = (0u32..).zip(&manifest.files);
    files.flat_map(|(file, named)| (0..named.blocks.len() as u32).map(move |block| Place { file, block }))
}
