//! Where models are looked for, and what they are called.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use computepool_core::{ContentHash, Fault, ModelId};

use crate::error::{ModelError, shown};
use crate::gguf::Metadata;
use crate::hf;

/// How deep folders are searched: `models/publisher/model/file.gguf` is at 2, a snapshot of the Hugging Face cache at 2.
const DEPTH: u32 = 4;
/// The most folder entries that are looked at.
const ENTRY_LIMIT: usize = 20_000;
/// Leaves room for a hash to be appended.
const ID_LENGTH: usize = 100;

/// A model, or a folder to search for models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSource {
    /// The name to give it; only where `path` is one model.
    pub id: Option<ModelId>,
    /// A GGUF file, a Hugging Face folder, or a folder of such.
    pub path: PathBuf,
}

impl FromStr for ModelSource {
    type Err = Fault;

    /// Reads `PATH` or `ID=PATH`. What stands before the first `=` is an id where it consists of lower-case letters,
    /// digits, `.`, `-` and `_` only; a path that looks so can be written with `./` in front.
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text.split_once('=') {
            Some((id, path)) if !id.is_empty() && id.chars().all(is_id_character) && !path.is_empty() => {
                Ok(Self { id: Some(ModelId::new(id)?), path: path.into() })
            }
            _ if text.is_empty() => {
                Err(ModelError::BadModelName { text: String::new(), reason: "it is empty".into() }.into())
            }
            _ => Ok(Self { id: None, path: text.into() }),
        }
    }
}

impl ModelSource {
    /// The models this source may hold, sorted by path.
    pub(super) fn candidates(&self) -> Result<Vec<PathBuf>, ModelError> {
        let failed = |source| ModelError::Io { path: self.path.clone(), source };
        let metadata = std::fs::metadata(&self.path).map_err(failed)?;
        if self.id.is_some() || !metadata.is_dir() || self.path.join(hf::CONFIG).is_file() {
            return Ok(vec![self.path.clone()]);
        }
        let mut found = Vec::new();
        let mut looked_at = 0;
        let mut folders = vec![(self.path.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => return Err(failed(error)),
                // A folder inside that is not ours to read holds no model of ours.
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                looked_at += 1;
                if looked_at > ENTRY_LIMIT {
                    let what = format!("a search through more than {ENTRY_LIMIT} files");
                    let hint = "name a folder that holds models only";
                    return Err(ModelError::Unsupported { what, hint }.at(&self.path));
                }
                let path = entry.path();
                // Links to folders are not followed, so that the search ends.
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    let hidden = entry.file_name().to_string_lossy().starts_with('.');
                    if path.join(hf::CONFIG).is_file() {
                        found.push(path);
                    } else if depth < DEPTH && !hidden {
                        folders.push((path, depth + 1));
                    }
                } else if is_model_file(&path) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// A GGUF file by its name, but neither the image part of a model nor one still being fetched.
fn is_model_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.ends_with(".gguf") && !name.starts_with('.') && !name.contains("mmproj")
}

fn is_id_character(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_')
}

/// The name of a model that was given none: that of its file or folder; where that says nothing (`model.gguf`,
/// `ggml-model-q4_0.gguf`), `general.name`; in the Hugging Face cache, that of the repository.
pub(super) fn derive_id(path: &Path, metadata: Option<&Metadata>) -> Result<ModelId, ModelError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let own = name(&absolute);
    let text = match metadata {
        Some(metadata) => {
            let stem = own.strip_suffix(".gguf").unwrap_or(&own);
            let says_nothing = stem == "model" || stem.starts_with("ggml-model") || stem.is_empty();
            match metadata.get_str("general.name").ok().flatten() {
                Some(title) if says_nothing && !slug(title).is_empty() => title.to_owned(),
                _ => stem.to_owned(),
            }
        }
        None => {
            let snapshot = own.len() == 40 && own.bytes().all(|b| b.is_ascii_hexdigit());
            let repository = absolute.ancestors().map(name).find(|name| name.starts_with("models--"));
            match repository.filter(|_| snapshot).as_deref().and_then(|name| name.rsplit("--").next()) {
                Some(repository) => repository.to_owned(),
                None => own,
            }
        }
    };
    let id = slug(&text);
    let refused = |reason: String| ModelError::BadModelName { text: shown(&text), reason };
    if id.is_empty() {
        return Err(refused("nothing is left of it".into()));
    }
    ModelId::new(id).map_err(|fault| refused(fault.message))
}

/// The name of a model whose own name was already taken by another one.
pub(super) fn distinguished(id: &ModelId, hash: &ContentHash) -> Result<ModelId, ModelError> {
    let short: String = id.as_str().chars().take(ID_LENGTH).collect();
    let digits: String = hash.to_string().chars().take(8).collect();
    ModelId::new(format!("{short}-{digits}"))
        .map_err(|fault| ModelError::BadModelName { text: id.to_string(), reason: fault.message })
}

/// Lower case, and a dash for every run of characters that an id does not have.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if is_id_character(c) {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= ID_LENGTH {
            break;
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_paths() {
        let id = |path: &str| derive_id(Path::new(path), None).map(|id| id.to_string());
        assert_eq!(id("/m/Qwen2.5-0.5B Instruct").unwrap(), "qwen2.5-0.5b-instruct");
        let snapshot = format!("/hub/models--Qwen--Qwen3-0.6B/snapshots/{}", "0a".repeat(20));
        assert_eq!(id(&snapshot).unwrap(), "qwen3-0.6b");
        assert_eq!(id("/m/Ünïcode 模型 v1").unwrap(), "n-code-v1");
        assert!(id("/m/模型").is_err());
        assert_eq!(id(&format!("/m/{}", "a".repeat(200))).unwrap().len(), ID_LENGTH);
    }

    #[test]
    fn an_id_before_the_path_is_told_from_a_path() {
        let source = |text: &str| text.parse::<ModelSource>().unwrap();
        let named = source("tiny=/models/a=b.gguf");
        assert_eq!((named.id.unwrap().as_str(), named.path), ("tiny", PathBuf::from("/models/a=b.gguf")));
        for path in ["./a=b.gguf", "/m/x=y", "C:\\m\\x.gguf", "Model=x", "x="] {
            assert_eq!(source(path), ModelSource { id: None, path: path.into() });
        }
        assert!("".parse::<ModelSource>().is_err());
    }
}
