//! Manifests: what a model's bytes are, block by block, and which of them a layer range needs.

use serde::{Deserialize, Serialize};

use crate::sealed::Statement;
use crate::{ContentHash, Fault, FaultCode, LayerRange, ModelSummary, NodeId};

/// A model's files and the hashes of their blocks, signed by the owner of the pool that offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the model is.
    pub summary: ModelSummary,
    /// Its files, in order of their names.
    pub files: Vec<ManifestFile>,
    /// Bytes of a block; the last block of a file may be shorter.
    pub block_bytes: u32,
    /// What every shard needs: headers, configuration, tokenizer.
    pub common: Vec<Extent>,
    /// What the entry shard needs beside its blocks.
    pub entry: Vec<Extent>,
    /// What the exit shard needs beside its blocks.
    pub exit: Vec<Extent>,
    /// What each transformer block needs, in order.
    pub layers: Vec<Vec<Extent>>,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name inside the model, with `/` between folders; no `..` and no absolute path.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of each block.
    pub blocks: Vec<ContentHash>,
}

/// Bytes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Index into [`Manifest::files`].
    pub file: u32,
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
}

/// Where the weights of a model come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightSource {
    /// A sealed [`Manifest`].
    pub manifest: crate::Sealed,
    /// Web addresses under which the manifest's files lie by name, for example
    /// `https://huggingface.co/OWNER/REPO/resolve/REVISION/`; tried in this order.
    pub urls: Vec<String>,
}

impl Manifest {
    /// The blocks of each file that a layer range needs, as sorted indices without repetition.
    pub fn blocks_for(&self, layers: LayerRange) -> Vec<Vec<u32>> {
        let mut wanted = vec![std::collections::BTreeSet::new(); self.files.len()];
        let mut want = |extents: &[Extent]| {
            for extent in extents.iter().filter(|extent| extent.end > extent.start) {
                let size = u64::from(self.block_bytes);
                let blocks = (extent.start / size) as u32..=((extent.end - 1) / size) as u32;
                wanted[extent.file as usize].extend(blocks);
            }
        };
        want(&self.common);
        if layers.is_entry() {
            want(&self.entry);
        }
        if layers.is_exit(self.summary.layer_count) {
            want(&self.exit);
        }
        for layer in layers.iter() {
            if let Some(extents) = self.layers.get(layer as usize) {
                want(extents);
            }
        }
        wanted.into_iter().map(|blocks| blocks.into_iter().collect()).collect()
    }

    /// Bytes of one block of a file.
    pub fn block_len(&self, file: u32, block: u32) -> Option<u32> {
        let file = self.files.get(file as usize)?;
        let start = u64::from(block) * u64::from(self.block_bytes);
        let left = file.bytes.checked_sub(start).filter(|left| *left > 0)?;
        Some(left.min(u64::from(self.block_bytes)) as u32)
    }
}

/// The smallest and largest block.
const BLOCK_BYTES: std::ops::RangeInclusive<u32> = 1 << 16..=1 << 23;
/// The most files of a model.
const MAX_FILES: usize = 4096;

impl Statement for Manifest {
    const DOMAIN: &'static [u8] = b"computepool/manifest/1\n";
    const NAME: &'static str = "manifest";
    const MAX_BYTES: usize = 3 << 20;

    fn check(&self, _by: &NodeId) -> Result<(), Fault> {
        let refuse = |what: String| Err(Fault::new(FaultCode::InvalidRequest, format!("the manifest {what}")));
        if !BLOCK_BYTES.contains(&self.block_bytes) {
            return refuse(format!("cuts files into blocks of {} bytes", self.block_bytes));
        }
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return refuse(format!("names {} files", self.files.len()));
        }
        for (index, file) in self.files.iter().enumerate() {
            let taken = |other: &ManifestFile| other.name.eq_ignore_ascii_case(&file.name);
            if !is_plain_name(&file.name) || self.files[..index].iter().any(taken) {
                return refuse(format!("has a file that may not be called {:?}", file.name));
            }
            if file.blocks.len() as u64 != file.bytes.div_ceil(u64::from(self.block_bytes)) {
                return refuse(format!("gives {} block hashes for {} bytes", file.blocks.len(), file.bytes));
            }
        }
        if self.layers.len() != self.summary.layer_count as usize {
            return refuse(format!("places {} of {} blocks", self.layers.len(), self.summary.layer_count));
        }
        let extents = self.layers.iter().flatten().chain(&self.common).chain(&self.entry).chain(&self.exit);
        for extent in extents {
            let inside = self.files.get(extent.file as usize).is_some_and(|file| extent.end <= file.bytes);
            if !inside || extent.start > extent.end {
                return refuse(format!("places a tensor at {}..{} of file {}", extent.start, extent.end, extent.file));
            }
        }
        Ok(())
    }
}

/// Names that mean the same inside a folder on every system, and nothing outside it.
fn is_plain_name(name: &str) -> bool {
    // Windows has these in every folder, whatever stands behind the first dot.
    let device = |part: &str| {
        let stem = part.split('.').next().unwrap_or(part).to_ascii_lowercase();
        let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
        matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
            || numbered.is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let plain = |part: &str| {
        !part.is_empty()
            && !device(part)
            && !part.starts_with('.')
            && !part.ends_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
    };
    name.len() <= 200 && name.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::is_plain_name;

    #[test]
    fn names_stay_in_their_folder_and_mean_the_same_everywhere() {
        for good in ["model.gguf", "a/b/model-00001-of-00002.safetensors", "config.json", "com10", "console.bin", "a+b"]
        {
            assert!(is_plain_name(good), "{good}");
        }
        let bad = [
            "", "/a", "a/", "a//b", "../a", "a/..", ".hidden", "a.", "a b", "a\\b", "c:a", "NUL", "con.txt", "a/LPT1.x",
        ];
        for bad in bad {
            assert!(!is_plain_name(bad), "{bad}");
        }
    }
}
