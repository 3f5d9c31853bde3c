//! What can be wrong with a model file.

use std::io;
use std::path::{Path, PathBuf};

use computepool_core::{ContentHash, Fault, FaultCode};

use crate::gguf::GgufError;
use crate::tensor::TensorType;

/// Why a model could not be read. Text that came from the file is shortened and escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Something is wrong in this file.
    #[error("{}: {source}", path.display())]
    In {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong.
        source: Box<ModelError>,
    },
    /// Neither a GGUF file nor a folder with a `config.json`.
    #[error("this is neither a .gguf file nor a folder with a config.json")]
    NotAModel,
    /// A damaged or unusable GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A damaged safetensors file.
    #[error("bad safetensors header: {reason}")]
    Safetensors {
        /// In words.
        reason: String,
    },
    /// A JSON file that is not what it should be.
    #[error("bad JSON: {reason}")]
    Json {
        /// In words.
        reason: String,
    },
    /// A file that should be small is not.
    #[error("{bytes} bytes, where at most {limit} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The index of a sharded folder names files it must not, or that are not there.
    #[error("bad weight index: {reason}")]
    BadIndex {
        /// In words.
        reason: String,
    },
    /// The model does not say something it must.
    #[error("`{key}` is missing")]
    MissingSetting {
        /// The metadata key, or the field of `config.json`.
        key: String,
    },
    /// The model says something impossible.
    #[error("`{key}`: {reason}")]
    BadSetting {
        /// The metadata key, or the field of `config.json`.
        key: String,
        /// In words.
        reason: String,
    },
    /// An architecture that this version does not run.
    #[error("the architecture is `{got}`, this version runs {known}")]
    UnsupportedArchitecture {
        /// As the file names it.
        got: String,
        /// The ones that run.
        known: &'static str,
    },
    /// A feature that this version does not have.
    #[error("this model needs {what}, which this version does not have")]
    Unsupported {
        /// Which.
        what: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A tensor that the architecture needs is not there.
    #[error("tensor `{tensor}` is missing")]
    MissingTensor {
        /// As the file would name it.
        tensor: String,
    },
    /// A tensor that the architecture has no place for: running without it would give wrong answers.
    #[error("tensor `{tensor}` has no place in the architecture `{architecture}`")]
    UnexpectedTensor {
        /// As the file names it.
        tensor: String,
        /// What the model claims to be.
        architecture: &'static str,
    },
    /// A tensor's shape is not the one that the settings ask for.
    #[error("tensor `{tensor}` has shape {got:?}, the settings ask for {expected:?}")]
    WrongShape {
        /// As the file names it.
        tensor: String,
        /// Outermost first.
        expected: Vec<usize>,
        /// Outermost first.
        got: Vec<usize>,
    },
    /// A tensor's bytes are not those of its type and shape.
    #[error("a {kind} tensor of shape {shape:?} cannot have {got} bytes")]
    WrongSize {
        /// Its type.
        kind: TensorType,
        /// Outermost first.
        shape: Vec<usize>,
        /// Bytes it should have, where they can be counted.
        expected: Option<usize>,
        /// Bytes it has.
        got: usize,
    },
    /// Floats are needed.
    #[error("{tensor} is stored as {kind}; F32, F16 or BF16 is needed here")]
    NotFloat {
        /// Which.
        tensor: String,
        /// Its type.
        kind: TensorType,
    },
    /// Rows that a tensor does not have, or cannot be cut at.
    #[error("no rows {start}..{end} in a tensor of shape {shape:?}")]
    NoSuchRows {
        /// First row.
        start: usize,
        /// One past the last row.
        end: usize,
        /// Outermost first.
        shape: Vec<usize>,
    },
    /// A layer that the model does not have.
    #[error("layer {layer} of a model with {layer_count} layers")]
    NoSuchLayer {
        /// Which.
        layer: u32,
        /// How many there are.
        layer_count: u32,
    },
    /// A byte range outside the file.
    #[error("bytes {start}..{end} of a file of {have}")]
    OutOfFile {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// The file's size.
        have: u64,
    },
    /// The file changed while it was in use.
    #[error("{} had {expected} bytes when it was opened and has {got} now", path.display())]
    FileChanged {
        /// Which.
        path: PathBuf,
        /// Size at opening.
        expected: u64,
        /// Size now.
        got: u64,
    },
    /// The content is not the one asked for.
    #[error("{} has SHA-256 {got}, expected {expected}", path.display())]
    HashMismatch {
        /// Which.
        path: PathBuf,
        /// The hash asked for.
        expected: ContentHash,
        /// The hash it has.
        got: ContentHash,
    },
    /// What the model's headers say is not what its manifest says.
    #[error("{} is not the model that its manifest describes: {reason}", path.display())]
    NotAsDescribed {
        /// Which.
        path: PathBuf,
        /// In words.
        reason: String,
    },
    /// A text that cannot be a model's name.
    #[error("`{text}` cannot name a model: {reason}")]
    BadModelName {
        /// The text.
        text: String,
        /// In words.
        reason: String,
    },
    /// More shards than layers, none at all, or a summary that contradicts itself.
    #[error("{layers} layers cannot be split over {shards} shards")]
    CannotSplit {
        /// Layers there are.
        layers: usize,
        /// Shards asked for.
        shards: usize,
    },
    /// The caller withdrew.
    #[error("cancelled")]
    Cancelled,
    /// The sample model was not fetched.
    #[error("the sample model is not at {}: run make sample-model", path.display())]
    NoSample {
        /// Where it should be.
        path: PathBuf,
    },
    /// The machine has no cache folder.
    #[error("this user has no cache folder")]
    NoCacheFolder,
}

impl ModelError {
    /// The same error, saying in which file.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            named @ (Self::Io { .. }
            | Self::In { .. }
            | Self::FileChanged { .. }
            | Self::HashMismatch { .. }
            | Self::NotAsDescribed { .. }
            | Self::NoSample { .. }
            | Self::Cancelled) => named,
            other => Self::In { path: path.to_path_buf(), source: Box::new(other) },
        }
    }

    /// The error itself, without the file it is in.
    pub fn cause(&self) -> &Self {
        match self {
            Self::In { source, .. } => source.cause(),
            other => other,
        }
    }

    fn code(&self) -> FaultCode {
        match self.cause() {
            Self::Io { .. } | Self::NoCacheFolder => FaultCode::Io,
            Self::Gguf(error) => error.code(),
            Self::NotAModel | Self::NoSample { .. } => FaultCode::ModelNotFound,
            Self::UnsupportedArchitecture { .. } | Self::Unsupported { .. } | Self::UnexpectedTensor { .. } => {
                FaultCode::UnsupportedModel
            }
            Self::NoSuchRows { .. }
            | Self::NoSuchLayer { .. }
            | Self::CannotSplit { .. }
            | Self::BadModelName { .. } => FaultCode::InvalidRequest,
            Self::Cancelled => FaultCode::Cancelled,
            _ => FaultCode::BadModelFile,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self.cause() {
            Self::Gguf(error) => error.hint(),
            Self::Unsupported { hint, .. } => Some(hint),
            Self::UnsupportedArchitecture { .. } | Self::UnexpectedTensor { .. } => {
                Some("choose a Llama, Mistral, Qwen2, Qwen3 or Gemma 3 (text) model")
            }
            Self::NotAModel => Some("name a .gguf file, or a Hugging Face folder with config.json and safetensors"),
            Self::NoSample { .. } => Some("run `make sample-model`"),
            Self::NoCacheFolder => Some("set HOME (or XDG_CACHE_HOME), or name the file in COMPUTEPOOL_SAMPLE_MODEL"),
            Self::HashMismatch { .. } | Self::NotAsDescribed { .. } => {
                Some("the file is damaged or another version: fetch it again")
            }
            Self::FileChanged { .. } => Some("do not write to a model file that is in use; restart the node"),
            Self::BadModelName { .. } => Some("use lower-case letters, digits, dots, dashes and underscores"),
            Self::CannotSplit { .. } => Some("use between one shard and one shard per layer"),
            cause if cause.code() == FaultCode::BadModelFile => Some("fetch the model again, and compare its SHA-256"),
            _ => None,
        }
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        let fault = Fault::new(error.code(), error.to_string());
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

/// Text from a file as it may stand in an error message: escaped, and no longer than 80 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(80).collect();
    if shown.len() < text.len() && shown.chars().count() == 80 {
        shown.push('…');
    }
    shown
}
