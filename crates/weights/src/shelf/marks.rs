//! Which blocks of a model are on the disk and were checked.
//!
//! Kept in one small file, which is replaced as a whole: a magic number, the SHA-256 of the manifest it belongs to, a
//! bit per block file by file, and the SHA-256 of all that. Anything else is as if nothing had been noted.

use computepool_core::Manifest;
use sha2::{Digest, Sha256};

use crate::block::Place;

const MAGIC: [u8; 8] = *b"CPMARK\x01\n";
const DIGEST: usize = 32;

/// A bit for every block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    files: Vec<Vec<u8>>,
}

impl Marks {
    pub(super) fn none(manifest: &Manifest) -> Self {
        Self { files: manifest.files.iter().map(|file| vec![0; file.blocks.len().div_ceil(8)]).collect() }
    }

    pub(super) fn has(&self, place: Place) -> bool {
        let byte = self.files.get(place.file as usize).and_then(|bits| bits.get(place.block as usize / 8));
        byte.is_some_and(|byte| byte & (1 << (place.block % 8)) != 0)
    }

    pub(super) fn set(&mut self, place: Place, there: bool) {
        let bits = self.files.get_mut(place.file as usize);
        if let Some(byte) = bits.and_then(|bits| bits.get_mut(place.block as usize / 8)) {
            let bit = 1 << (place.block % 8);
            *byte = if there { *byte | bit } else { *byte & !bit };
        }
    }

    /// Forgets a file.
    pub(super) fn clear(&mut self, file: u32) {
        if let Some(bits) = self.files.get_mut(file as usize) {
            bits.fill(0);
        }
    }

    pub(super) fn encode(&self, manifest: &[u8; DIGEST]) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), manifest, &self.files.concat()].concat();
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }

    /// The marks in `bytes`, if they are whole and belong to this manifest.
    pub(super) fn decode(bytes: &[u8], digest: &[u8; DIGEST], manifest: &Manifest) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<DIGEST>()?;
        let mut rest = body.strip_prefix(&MAGIC)?.strip_prefix(digest)?;
        if Sha256::digest(body).as_slice() != check {
            return None;
        }
        let mut marks = Self::none(manifest);
        for bits in &mut marks.files {
            let (these, others) = rest.split_at_checked(bits.len())?;
            bits.copy_from_slice(these);
            rest = others;
        }
        rest.is_empty().then_some(marks)
    }
}
