//! Which files a manifest names.

use std::path::{Path, PathBuf};

use crate::catalogue::hashed_files;
use crate::error::ModelError;
use crate::hf;

/// What a Hugging Face folder may hold beside its weights that a shard or its tokenizer reads, and that does not go
/// into the content hash.
const BESIDE: [&str; 6] = [
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    hf::INDEX,
    "special_tokens_map.json",
    "tokenizer_config.json",
];

/// A file of a model.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Its name in the manifest.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Whether it goes into the content hash.
    pub(super) counts: bool,
    /// Which of the model's weight files it is, if it is one.
    pub(super) weights: Option<usize>,
}

/// A model's files, sorted by name.
pub(super) fn parts(path: &Path) -> Result<Vec<Part>, ModelError> {
    let part = |path: PathBuf, counts| -> Result<Part, ModelError> {
        let metadata = std::fs::metadata(&path).map_err(|source| ModelError::Io { path: path.clone(), source })?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Part { path, name, bytes: metadata.len(), counts, weights: None })
    };
    if !path.is_dir() {
        let file = part(path.to_path_buf(), true)?;
        return Ok(vec![Part { name: plain(&file.name), weights: Some(0), ..file }]);
    }
    let weights = hf::weight_files(path).map_err(|error| error.at(path))?;
    let mut parts = Vec::new();
    for file in hashed_files(path)? {
        parts.push(Part { weights: weights.iter().position(|other| *other == file), ..part(file, true)? });
    }
    for name in BESIDE {
        let file = path.join(name);
        if file.is_file() {
            parts.push(part(file, false)?);
        }
    }
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(parts)
}

/// The name with a dash for every character that a manifest's names do not have. A web server has the file under its
/// own name, so that a file meant to be served from one should have no such characters.
fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '-' };
    let name: String = name.chars().map(kept).take(200).collect();
    match name.trim_matches('.') {
        "" => "model.gguf".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn any_file_gets_a_name_that_a_manifest_can_have() {
        assert_eq!(plain("SmolLM2-135M.Q4_1.gguf"), "SmolLM2-135M.Q4_1.gguf");
        assert_eq!(plain("My Model (1).gguf"), "My-Model--1-.gguf");
        assert_eq!(plain("..."), "model.gguf");
        assert_eq!(plain(".模型"), "--");
        assert_eq!(plain(&"a".repeat(300)).len(), 200);
    }
}
