//! Hugging Face folders: `config.json` and safetensors, in one file or in shards with an index.
//!
//! The folder comes from a stranger as a GGUF file does: JSON files are bounded, header lengths are checked against
//! the file, and an index may only name files beside it.

mod files;
mod settings;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::extent::Blob;
use crate::weights::Located;

pub(crate) use files::{INDEX, weight_files};

/// Settings beside the weights.
pub(crate) const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
/// The most that is read of a settings file, in bytes.
const SETTINGS_LIMIT: u64 = 4 << 20;

/// What a folder holds, before its tensors are matched with its settings.
pub(crate) struct Folder {
    pub(crate) config: ModelConfig,
    pub(crate) tensors: BTreeMap<String, Located>,
    pub(crate) blobs: Vec<Blob>,
    /// What stands before the names of all tensors of the language model but its output head.
    pub(crate) prefix: String,
}

/// Where the language model's tensors are: alone, inside Gemma 3 with images as first published, as saved by newer
/// versions of transformers, or saved without its head.
const PREFIXES: [&str; 4] = ["model.", "language_model.model.", "model.language_model.", ""];

/// The output head's name in a folder whose other tensors carry `prefix`.
pub(crate) fn output_name(prefix: &str) -> String {
    match prefix {
        "language_model.model." => "language_model.lm_head.weight".into(),
        _ => "lm_head.weight".into(),
    }
}

/// Reads settings and headers.
pub(crate) fn open(folder: &Path) -> Result<Folder, ModelError> {
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Err(ModelError::NotAModel);
    }
    let config = object(&path, SETTINGS_LIMIT)?;
    let path = folder.join(GENERATION_CONFIG);
    let generation = if path.is_file() { object(&path, SETTINGS_LIMIT)? } else { Map::new() };
    let (tensors, blobs) = files::read(folder)?;
    let embedded = |prefix: &&&str| tensors.contains_key(&format!("{prefix}embed_tokens.weight"));
    let missing = || ModelError::MissingTensor { tensor: "model.embed_tokens.weight".into() };
    let prefix = PREFIXES.iter().find(embedded).ok_or_else(missing)?.to_string();
    let has_output = tensors.contains_key(&output_name(&prefix));
    let config = settings::read(&config, &generation, has_output).map_err(|error| error.at(&folder.join(CONFIG)))?;
    Ok(Folder { config, tensors, blobs, prefix })
}

/// Reads a JSON object from a file of at most `limit` bytes.
fn object(path: &Path, limit: u64) -> Result<Map<String, Value>, ModelError> {
    use std::io::Read;
    let failed = |source| ModelError::Io { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > limit {
        return Err(ModelError::TooLarge { bytes, limit }.at(path));
    }
    // The file may grow after its length was asked for; no more than the limit is read all the same.
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| ModelError::Json { reason: error.to_string() }.at(path))
}
