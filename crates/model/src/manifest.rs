//! Manifests of models on this disk: the hash of every block, and which bytes each layer needs.
//!
//! A manifest names every file that a shard reads. Of a GGUF file the **common** part is all that stands before the
//! first tensor: header, metadata, tokenizer. Of a Hugging Face folder it is the settings and the header of every
//! weight file. The **entry** part is the token embedding; the **exit** part is the final norm and the output head,
//! which for a tied model is the token embedding again. A model of which only the blocks of one layer range are on the
//! disk, in files of full length, therefore opens and loads that range.

mod extents;
mod files;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use computepool_core::{ContentHash, Manifest, ManifestFile, ModelId};
use sha2::{Digest, Sha256};

use crate::catalogue::{HashCache, HashProgress, Progress, Stamp};
use crate::error::ModelError;
use crate::weights::ModelFile;
use files::Part;

/// The smallest block that [`block_bytes_for`] proposes, and the largest that a manifest may have.
const BLOCK_BYTES: std::ops::RangeInclusive<u32> = 1 << 18..=1 << 23;
/// The most blocks that [`block_bytes_for`] aims for: a manifest of so many takes about one megabyte.
const MANY_BLOCKS: u64 = 1 << 15;

/// A block size for a model of `bytes`: a power of two that makes few enough blocks for a manifest that is sent over a
/// control link, and no larger than needed, since what a shard fetches is rounded up to blocks.
pub fn block_bytes_for(bytes: u64) -> u32 {
    let wanted = bytes.div_ceil(MANY_BLOCKS).next_power_of_two();
    u32::try_from(wanted).unwrap_or(u32::MAX).clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end())
}

/// The manifest of a GGUF file or a Hugging Face folder, cut into blocks of `block_bytes`, or of what
/// [`block_bytes_for`] proposes. Reads every file once, from start to end. The summary's hash is that of
/// [`hash_model`](crate::catalogue::hash_model), and `id` is its name.
///
/// # Errors
///
/// As [`ModelFile::open`]; [`ModelError::FileChanged`] where a file grew or shrank meanwhile;
/// [`ModelError::Cancelled`] where `progress` breaks.
pub fn build(
    path: &Path,
    id: ModelId,
    block_bytes: Option<u32>,
    progress: &mut Progress<'_>,
) -> Result<Manifest, ModelError> {
    let model = ModelFile::open(path)?;
    let parts = files::parts(path)?;
    let total = parts.iter().map(|part| part.bytes).sum();
    let block_bytes = block_bytes.unwrap_or_else(|| block_bytes_for(total));
    if block_bytes == 0 {
        let reason = "a block holds at least one byte".to_owned();
        return Err(ModelError::BadSetting { key: "block_bytes".into(), reason });
    }
    let mut work = Work { path, block_bytes, done: 0, total, progress };
    let mut files = Vec::with_capacity(parts.len());
    let mut listing = String::new();
    let mut single = None;
    for part in &parts {
        let (blocks, whole) = work.hash(part)?;
        if part.counts {
            listing.push_str(&format!("{}  {}\n", hex::encode(whole), part.name));
            single = Some(whole);
        }
        files.push(ManifestFile { name: part.name.clone(), bytes: part.bytes, blocks });
    }
    let hash = match single {
        Some(whole) if model.gguf().is_some() => ContentHash(whole),
        _ => ContentHash(Sha256::digest(listing).into()),
    };
    let summary = model.summary(id, hash);
    let extents::Extents { common, entry, exit, layers } = extents::of(&model, &parts)?;
    Ok(Manifest { summary, files, block_bytes, common, entry, exit, layers })
}

impl HashCache {
    /// The manifest of a model, remembered or built (see [`build`]). Also what has been learnt of its content hash is
    /// remembered.
    pub fn manifest(
        &self,
        path: &Path,
        id: ModelId,
        block_bytes: Option<u32>,
        progress: &mut Progress<'_>,
    ) -> Result<Manifest, ModelError> {
        let path = &std::path::absolute(path).map_err(|source| ModelError::Io { path: path.to_path_buf(), source })?;
        let stamps = || -> Result<Vec<Stamp>, ModelError> {
            files::parts(path)?.into_iter().map(|part| Stamp::of(part.path)).collect()
        };
        let before = stamps()?;
        let fits = |manifest: &Manifest| block_bytes.is_none_or(|bytes| bytes == manifest.block_bytes);
        if let Some(mut manifest) = self.recall::<Manifest>(path, KIND, &before).filter(fits) {
            manifest.summary.id = id;
            return Ok(manifest);
        }
        let manifest = build(path, id, block_bytes, progress)?;
        if before.iter().all(Stamp::is_settled) && stamps()? == before {
            self.remember(path, KIND, before, &manifest);
            self.learn(path, manifest.summary.hash)?;
        }
        Ok(manifest)
    }
}

/// What remembered manifests are called.
const KIND: &str = "manifest.json";

struct Work<'a, 'p, 'q> {
    path: &'a Path,
    block_bytes: u32,
    done: u64,
    total: u64,
    progress: &'p mut Progress<'q>,
}

impl Work<'_, '_, '_> {
    /// The hash of each block of a file, and of all of it.
    fn hash(&mut self, part: &Part) -> Result<(Vec<ContentHash>, [u8; 32]), ModelError> {
        let failed = |source| ModelError::Io { path: part.path.clone(), source };
        let mut file = File::open(&part.path).map_err(failed)?;
        let (mut blocks, mut whole, mut read) = (Vec::new(), Sha256::new(), 0);
        let mut block = vec![0; self.block_bytes as usize];
        loop {
            let length = fill(&mut file, &mut block).map_err(failed)?;
            let Some(bytes) = block.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
            blocks.push(ContentHash(Sha256::digest(bytes).into()));
            whole.update(bytes);
            read += length as u64;
            self.done += length as u64;
            let (done, total) = (self.done, self.total.max(self.done));
            if (self.progress)(HashProgress { path: self.path, done, total }).is_break() {
                return Err(ModelError::Cancelled);
            }
        }
        if read != part.bytes {
            let path: PathBuf = part.path.clone();
            return Err(ModelError::FileChanged { path, expected: part.bytes, got: read });
        }
        Ok((blocks, whole.finalize().into()))
    }
}

/// Reads until the buffer is full or the file ends, and says how much.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
