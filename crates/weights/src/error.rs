//! What can go wrong with weights on the disk and on their way there.

use std::io;
use std::path::{Path, PathBuf};

use computepool_core::{ContentHash, Fault, FaultCode, LayerRange, NodeId};

/// Why weights could not be kept, read or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another process keeps its weights in this folder.
    #[error("{} is in use by another process", folder.display())]
    InUse {
        /// Which.
        folder: PathBuf,
    },
    /// The manifest cannot be read, is not signed by whom it names, or makes no sense.
    #[error(transparent)]
    Manifest(#[from] Fault),
    /// The manifest is from somebody whose word does not count here.
    #[error("the manifest is signed by {got}, and only {expected} may describe models to this node")]
    Stranger {
        /// Whose word counts.
        expected: NodeId,
        /// Who signed it.
        got: NodeId,
    },
    /// The manifest describes another model.
    #[error("the manifest describes {got}, not {expected}")]
    OtherModel {
        /// The model asked for.
        expected: ContentHash,
        /// The one described.
        got: ContentHash,
    },
    /// Layers that the model does not have.
    #[error("layers {layers} of a model with {layer_count}")]
    NoSuchLayers {
        /// Asked for.
        layers: LayerRange,
        /// How many there are.
        layer_count: u32,
    },
    /// Not all is here, and nobody said where to get it.
    #[error("layers {layers} of {model} are not on this disk, and no source is known")]
    NoSource {
        /// Of which model.
        model: ContentHash,
        /// Which layers.
        layers: LayerRange,
    },
    /// What is missing does not fit.
    #[error("{needed} more bytes of weights are needed and there is room for {room}")]
    NoRoom {
        /// Bytes to be fetched.
        needed: u64,
        /// Bytes that may be.
        room: u64,
        /// Whether the owner's limit says so, rather than the disk.
        limit: bool,
    },
    /// A block's bytes do not have its hash.
    #[error("block {block} of {file} from {from} is not the one that the manifest describes")]
    BadBlock {
        /// In which file.
        file: String,
        /// Which.
        block: u32,
        /// Who sent it.
        from: String,
    },
    /// A source that does not answer as it should.
    #[error("{from}: {reason}")]
    Source {
        /// Which.
        from: String,
        /// What it does, as a code.
        code: FaultCode,
        /// In words.
        reason: String,
    },
    /// Nobody is left who could be asked.
    #[error("{missing} of {needed} blocks could not be had: {last}")]
    Starved {
        /// Blocks not had.
        missing: usize,
        /// Blocks that were missing at first.
        needed: usize,
        /// What went wrong last.
        last: Box<Fault>,
    },
    /// A task of this process ended before its time.
    #[error("{0}")]
    Broken(String),
}

impl WeightsError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    fn code(&self) -> FaultCode {
        match self {
            Self::Manifest(fault) => fault.code,
            Self::Stranger { .. } => FaultCode::BadSignature,
            Self::Io { .. } => FaultCode::Io,
            Self::OtherModel { .. } | Self::NoSuchLayers { .. } | Self::InUse { .. } => FaultCode::InvalidRequest,
            Self::NoSource { .. } => FaultCode::ModelNotFound,
            Self::NoRoom { .. } => FaultCode::NoCapacity,
            Self::BadBlock { .. } => FaultCode::BadBlock,
            Self::Source { code, .. } => *code,
            Self::Starved { last, .. } => last.code,
            Self::Broken(_) => FaultCode::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Manifest(fault) => return fault.hint.clone(),
            Self::Starved { last, .. } => return last.hint.clone(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "the disk is full: make room on it"
            }
            Self::InUse { .. } => "give every node of this machine a folder of its own",
            Self::Stranger { .. } => "join with an invite link of the pool that offers this model",
            Self::NoSource { .. } => "name the model's file or folder, or an address that it can be fetched from",
            Self::NoRoom { limit: true, .. } => "offer more of the disk, or remove models that are served no longer",
            Self::NoRoom { limit: false, .. } => "make room on the disk, or keep weights on another one",
            Self::Source { code: FaultCode::Unauthorized, .. } => {
                "the model's licence has to be accepted there first: fetch it by hand and name its folder"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<WeightsError> for Fault {
    fn from(error: WeightsError) -> Self {
        let mut fault = Fault::new(error.code(), error.to_string());
        fault.hint = error.hint();
        match error {
            // Peers come and go, and servers recover.
            WeightsError::Starved { .. } => fault.retry_after_ms(10_000),
            _ => fault,
        }
    }
}
