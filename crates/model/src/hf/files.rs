//! The weight files of a folder and their headers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::Value;

use super::object;
use crate::error::{ModelError, shown};
use crate::extent::Blob;
use crate::tensor::TensorType;
use crate::weights::Located;

const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// The most that is read of an index, in bytes. That of a model with 100,000 tensors has about ten million.
const INDEX_LIMIT: u64 = 16 << 20;
/// The most that is read of a safetensors header, in bytes.
const HEADER_LIMIT: u64 = 16 << 20;
/// The most files a model may be sharded into.
const FILE_LIMIT: usize = 1024;

/// The files that hold a folder's weights, sorted by name.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let names = match index(folder)? {
        Some(index) => {
            let mut names: Vec<String> = index.into_values().collect();
            names.sort_unstable();
            names.dedup();
            names
        }
        None => vec![SINGLE.to_owned()],
    };
    if names.len() > FILE_LIMIT {
        let reason = format!("{} files; at most {FILE_LIMIT} are read", names.len());
        return Err(ModelError::BadIndex { reason });
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Which file holds which tensor, as the folder's index says; nothing where it has none.
fn index(folder: &Path) -> Result<Option<BTreeMap<String, String>>, ModelError> {
    let path = folder.join(INDEX);
    if !path.is_file() {
        return Ok(None);
    }
    let refused = |reason: String| ModelError::BadIndex { reason }.at(&path);
    let root = object(&path, INDEX_LIMIT)?;
    let Some(Value::Object(map)) = root.get("weight_map") else {
        return Err(refused("there is no `weight_map`".into()));
    };
    let mut index = BTreeMap::new();
    for (tensor, file) in map {
        let Value::String(file) = file else {
            return Err(refused(format!("`{}` is not in a file", shown(tensor))));
        };
        if !is_plain_name(file) {
            return Err(refused(format!("`{}` is not the name of a safetensors file beside it", shown(file))));
        }
        index.insert(tensor.clone(), file.clone());
    }
    if index.is_empty() {
        return Err(refused("the `weight_map` is empty".into()));
    }
    Ok(Some(index))
}

/// Whether a name stays in its folder, on every operating system.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.len() <= 255 && name.ends_with(".safetensors") && !name.starts_with('.') && name.chars().all(plain)
}

/// Reads the headers of a folder's weight files.
pub(super) fn read(folder: &Path) -> Result<(BTreeMap<String, Located>, Vec<Blob>), ModelError> {
    let index = index(folder)?;
    let mut tensors = BTreeMap::new();
    let mut blobs = Vec::new();
    for path in weight_files(folder)? {
        if !path.exists() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return Err(ModelError::BadIndex { reason: format!("`{name}` is missing") });
        }
        let blob = Blob::open(&path)?;
        let found = header(&blob, blobs.len()).map_err(|error| error.at(&path))?;
        blobs.push(blob);
        let file = path.file_name();
        for (name, located) in found {
            // In a sharded folder the index decides: a tensor counts only in the file it is said to be in.
            let here = index.as_ref().is_none_or(|index| index.get(&name).map(AsRef::as_ref) == file);
            if here {
                tensors.insert(name, located);
            }
        }
    }
    if let Some(lost) = index.iter().flat_map(BTreeMap::keys).find(|name| !tensors.contains_key(*name)) {
        return Err(ModelError::BadIndex { reason: format!("`{}` is not in the file it should be in", shown(lost)) });
    }
    Ok((tensors, blobs))
}

/// The tensors of one safetensors file. Those of types that no shard can hold are left out: they are missed later,
/// should the model need them.
fn header(blob: &Blob, index: usize) -> Result<Vec<(String, Located)>, ModelError> {
    let refused = |reason: String| ModelError::Safetensors { reason };
    let extent = blob.extent(0..blob.len())?;
    let bytes = extent.as_bytes();
    let length = bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
    let length = length.ok_or_else(|| refused("the file is shorter than 8 bytes".into()))?;
    if length > HEADER_LIMIT {
        return Err(refused(format!("a header of {length} bytes; at most {HEADER_LIMIT} are read")));
    }
    let (length, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| refused(error.to_string()))?;
    let start = 8 + length as u64;
    let mut found = Vec::new();
    for (name, info) in metadata.tensors() {
        let kind = match info.dtype {
            Dtype::F32 => TensorType::F32,
            Dtype::F16 => TensorType::F16,
            Dtype::BF16 => TensorType::Bf16,
            other if name.ends_with("_proj.weight") || name.ends_with("embed_tokens.weight") => {
                return Err(ModelError::Unsupported {
                    what: format!("weights stored as {other}"),
                    hint: "choose the F32, F16 or BF16 folder of this model, or a GGUF file",
                });
            }
            _ => continue,
        };
        let (from, to) = info.data_offsets;
        let range = start + from as u64..start + to as u64;
        found.push((name, Located { kind, shape: info.shape.clone(), blob: index, range }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_only_files_beside_it() {
        for good in ["model-00001-of-00002.safetensors", "a.safetensors"] {
            assert!(is_plain_name(good), "{good}");
        }
        for bad in [
            "../model.safetensors",
            "a/b.safetensors",
            "a\\b.safetensors",
            "C:model.safetensors",
            "/etc/passwd",
            ".safetensors",
            "model.bin",
            "",
            "model.safetensors\0",
        ] {
            assert!(!is_plain_name(bad), "{bad}");
        }
    }
}
