//! A model on disk, by layer range.

mod inventory;
mod names;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use computepool_core::{ContentHash, LayerRange, ModelId, ModelSummary};

pub use names::{LayerTensor, TensorName};

pub(crate) use inventory::{Need, names, need, shape};

use crate::config::ModelConfig;
use crate::error::{ModelError, shown};
use crate::extent::Blob;
use crate::gguf::settings::{self, FromTensors};
use crate::gguf::{GgufError, Metadata};
use crate::hf;
use crate::tensor::{Tensor, TensorType};

/// An opened model: its settings, and where each of its tensors lies. Clones share it.
///
/// Opening reads headers and settings only, and checks that every tensor the architecture needs is there in the shape
/// the settings ask for. A tensor's bytes are mapped when it is asked for, and only its own.
#[derive(Clone, Debug)]
pub struct ModelFile {
    inner: Arc<Inner>,
}

struct Inner {
    config: ModelConfig,
    tensors: BTreeMap<TensorName, Located>,
    blobs: Vec<Blob>,
    origin: Origin,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFile").field("config", &self.config).field("tensors", &self.tensors.len()).finish()
    }
}

enum Origin {
    Gguf(Metadata),
    Folder(PathBuf),
}

/// A tensor that some file of a model declares.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// How it is stored.
    pub(crate) kind: TensorType,
    /// Outermost first.
    pub(crate) shape: Vec<usize>,
    /// Which of the model's files it is in.
    pub(crate) blob: usize,
    /// Its bytes in that file.
    pub(crate) range: Range<u64>,
}

impl Located {
    fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Maps it.
    pub(crate) fn tensor(&self, blobs: &[Blob]) -> Result<Tensor, ModelError> {
        let (start, end) = (self.range.start, self.range.end);
        let blob = blobs.get(self.blob).ok_or(ModelError::OutOfFile { start, end, have: 0 })?;
        Tensor::new(self.kind, self.shape.clone(), blob.extent(self.range.clone())?)
    }
}

impl ModelFile {
    /// Opens a GGUF file, or a Hugging Face folder (`config.json` and safetensors). Files are recognised by their
    /// first bytes, not by their names.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let metadata = std::fs::metadata(path).map_err(|source| ModelError::Io { path: path.to_path_buf(), source })?;
        if metadata.is_dir() {
            hf::open(path).and_then(|folder| Self::from_folder(folder, path))
        } else {
            Blob::open(path).and_then(Self::from_blob)
        }
        .map_err(|error| error.at(path))
    }

    /// Opens a GGUF file that is in memory.
    pub fn from_gguf(bytes: Vec<u8>) -> Result<Self, ModelError> {
        Self::from_blob(Blob::memory(bytes))
    }

    fn from_blob(blob: Blob) -> Result<Self, ModelError> {
        let metadata = match Metadata::read(blob.extent(0..blob.len())?) {
            Ok(metadata) => metadata,
            Err(GgufError::BadMagic { .. } | GgufError::Truncated { what: "the magic number", .. }) => {
                return Err(ModelError::NotAModel);
            }
            Err(error) => return Err(error.into()),
        };
        let mut declared: BTreeMap<String, Located> = BTreeMap::new();
        for tensor in metadata.tensors() {
            let (kind, shape, range) = (tensor.kind, tensor.shape.clone(), tensor.range.clone());
            declared.insert(tensor.name.clone(), Located { kind, shape, blob: 0, range });
        }
        let architecture = settings::architecture(&metadata)?;
        let blobs = vec![blob];
        let embedding = TensorName::TokenEmbedding.gguf();
        let vocabulary = match declared.get(&embedding).map(|located| located.shape.as_slice()) {
            Some([rows, _]) => *rows,
            Some(got) => {
                let got = got.to_vec();
                return Err(ModelError::WrongShape { tensor: embedding, expected: vec![0, 0], got });
            }
            None => return Err(ModelError::MissingTensor { tensor: embedding }),
        };
        let rope_factors = match declared.get(&TensorName::RopeFactors.gguf()) {
            // Read before the settings say how many there must be, so the size is bounded here.
            Some(located) if located.bytes() > 1 << 16 => {
                let tensor = TensorName::RopeFactors.gguf();
                return Err(ModelError::WrongShape { tensor, expected: vec![0], got: located.shape.clone() });
            }
            Some(located) => Some(located.tensor(&blobs)?.to_f32()?),
            None => None,
        };
        let tied = !declared.contains_key(&TensorName::Output.gguf());
        let config = settings::read(&metadata, architecture, FromTensors { vocabulary, tied, rope_factors })?;
        let tensors = take_inventory(&config, &mut declared, |name| name.gguf())?;
        if let Some(left) = declared.keys().next() {
            return Err(ModelError::UnexpectedTensor { tensor: shown(left), architecture: architecture.gguf_name() });
        }
        Ok(Self { inner: Arc::new(Inner { config, tensors, blobs, origin: Origin::Gguf(metadata) }) })
    }

    fn from_folder(folder: hf::Folder, path: &Path) -> Result<Self, ModelError> {
        let hf::Folder { config, mut tensors, blobs, prefix } = folder;
        let architecture = config.architecture;
        let name = |name: TensorName| match name {
            TensorName::Output => hf::output_name(&prefix),
            other => format!("{prefix}{}", other.hf(architecture)),
        };
        let kept = take_inventory(&config, &mut tensors, name)?;
        let blocks = format!("{prefix}layers.");
        let unexpected = |left: &&String| left.starts_with(&blocks) && !left.ends_with("rotary_emb.inv_freq");
        if let Some(left) = tensors.keys().find(unexpected) {
            return Err(ModelError::UnexpectedTensor { tensor: shown(left), architecture: architecture.hf_name() });
        }
        let origin = Origin::Folder(path.to_path_buf());
        Ok(Self { inner: Arc::new(Inner { config, tensors: kept, blobs, origin }) })
    }

    /// The settings.
    pub fn config(&self) -> &ModelConfig {
        &self.inner.config
    }

    /// A tensor, mapped; nothing where this model has none of this name. A tied model has no `Output` of its own.
    pub fn tensor(&self, name: TensorName) -> Result<Option<Tensor>, ModelError> {
        let layer_count = self.inner.config.layer_count;
        match name {
            TensorName::Layer(layer, _) if layer >= layer_count => Err(ModelError::NoSuchLayer { layer, layer_count }),
            _ => self.inner.tensors.get(&name).map(|located| located.tensor(&self.inner.blobs)).transpose(),
        }
    }

    /// A tensor that the model must have.
    pub fn require(&self, name: TensorName) -> Result<Tensor, ModelError> {
        self.tensor(name)?.ok_or_else(|| ModelError::MissingTensor { tensor: name.to_string() })
    }

    /// Exactly the tensors that a shard of these layers needs, each once: its blocks'; on the entry the token
    /// embedding; on the exit the final norm and the head, which for a tied model is the token embedding; and the rope
    /// factors where the model has them (they are part of the settings, so every shard reads them). Blocks beyond the
    /// model's last are left out.
    pub fn shard_tensors(&self, layers: LayerRange) -> Vec<TensorName> {
        let config = &self.inner.config;
        let exit = layers.is_exit(config.layer_count);
        let needed = |name: &TensorName| match *name {
            TensorName::TokenEmbedding => layers.is_entry() || (exit && config.tied),
            TensorName::RopeFactors => true,
            TensorName::OutputNorm | TensorName::Output => exit,
            TensorName::Layer(layer, _) => layers.iter().contains(&layer),
        };
        self.inner.tensors.keys().copied().filter(needed).collect()
    }

    /// Bytes of the tensors of [`shard_tensors`](Self::shard_tensors), as they are stored.
    pub fn shard_bytes(&self, layers: LayerRange) -> u64 {
        self.shard_tensors(layers).into_iter().map(|name| self.tensor_bytes(name)).sum()
    }

    /// Bytes of a tensor as it is stored; 0 where the model has none of this name.
    pub fn tensor_bytes(&self, name: TensorName) -> u64 {
        self.inner.tensors.get(&name).map_or(0, Located::bytes)
    }

    /// Where a tensor lies: in which of the model's files (a folder's weight files sorted by name), and its bytes there.
    pub(crate) fn place(&self, name: TensorName) -> Option<(usize, Range<u64>)> {
        self.inner.tensors.get(&name).map(|located| (located.blob, located.range.clone()))
    }

    /// How a tensor is stored, without mapping it.
    pub fn tensor_type(&self, name: TensorName) -> Option<TensorType> {
        self.inner.tensors.get(&name).map(|located| located.kind)
    }

    /// What other rooms need to know, under the name and content hash that the catalogue gives.
    pub fn summary(&self, id: ModelId, hash: ContentHash) -> ModelSummary {
        let config = &self.inner.config;
        let mut layer_bytes = vec![0u64; config.layer_count as usize];
        for (name, located) in &self.inner.tensors {
            if let TensorName::Layer(layer, _) = name
                && let Some(bytes) = layer_bytes.get_mut(*layer as usize)
            {
                *bytes += located.bytes();
            }
        }
        let embedding_bytes = self.tensor_bytes(TensorName::TokenEmbedding);
        let head = if config.tied { embedding_bytes } else { self.tensor_bytes(TensorName::Output) };
        ModelSummary {
            id,
            hash,
            architecture: config.architecture.gguf_name().to_owned(),
            layer_count: config.layer_count,
            hidden: config.hidden as u32,
            vocabulary: config.vocabulary as u32,
            context: config.context,
            layer_bytes,
            embedding_bytes,
            head_bytes: self.tensor_bytes(TensorName::OutputNorm) + head,
            kv_bytes_per_token_layer: config.kv_bytes_per_token_layer(),
        }
    }

    /// The metadata, where this is a GGUF file.
    pub fn gguf(&self) -> Option<&Metadata> {
        match &self.inner.origin {
            Origin::Gguf(metadata) => Some(metadata),
            Origin::Folder(_) => None,
        }
    }

    /// The folder, where this is a Hugging Face folder.
    pub fn folder(&self) -> Option<&Path> {
        match &self.inner.origin {
            Origin::Gguf(_) => None,
            Origin::Folder(path) => Some(path),
        }
    }
}

/// Takes the tensors that the settings call for out of what the files declare, checking presence, shape and type.
fn take_inventory(
    config: &ModelConfig,
    declared: &mut BTreeMap<String, Located>,
    file_name: impl Fn(TensorName) -> String,
) -> Result<BTreeMap<TensorName, Located>, ModelError> {
    let mut tensors = BTreeMap::new();
    for name in names(config) {
        let need = need(config, name);
        if need == Need::Absent {
            continue;
        }
        let tensor = file_name(name);
        let located = match (declared.remove(&tensor), need) {
            (Some(located), _) => located,
            (None, Need::Required) => return Err(ModelError::MissingTensor { tensor }),
            (None, _) => continue,
        };
        let expected = shape(config, name);
        if located.shape != expected {
            return Err(ModelError::WrongShape { tensor, expected, got: located.shape });
        }
        if expected.len() == 1 && !located.kind.is_float() {
            return Err(ModelError::NotFloat { tensor: format!("tensor `{tensor}`"), kind: located.kind });
        }
        tensors.insert(name, located);
    }
    Ok(tensors)
}
