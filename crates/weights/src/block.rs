//! A block's place in a model.

use computepool_core::{ContentHash, Manifest};
use sha2::{Digest, Sha256};

/// Where a block stands: which of the manifest's files, and which block of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) block: u32,
}

/// What a manifest says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) hash: ContentHash,
    /// Its first byte in its file.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) length: u32,
}

impl Place {
    /// The block at this place; nothing where the manifest has none.
    pub(crate) fn of(self, manifest: &Manifest) -> Option<Block> {
        let hash = *manifest.files.get(self.file as usize)?.blocks.get(self.block as usize)?;
        let length = manifest.block_len(self.file, self.block)?;
        Some(Block { hash, start: u64::from(self.block) * u64::from(manifest.block_bytes), length })
    }
}

impl Block {
    /// Whether these are its bytes.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.length as usize && Sha256::digest(bytes).as_slice() == self.hash.0
    }
}

/// The places that [`Manifest::blocks_for`] lists by file.
pub(crate) fn places(by_file: Vec<Vec<u32>>) -> impl Iterator<Item = Place> {
    let files = (0u32..).zip(by_file);
    files.flat_map(|(file, blocks)| blocks.into_iter().map(move |block| Place { file, block }))
}
