//! What a model file says: weights by layer range, tokenizer, chat template, fit.
//!
//! Reads GGUF files and Hugging Face folders. Weights stay memory-mapped, so that a shard touches only the bytes of its
//! own layers. This crate refuses to know how a tensor is multiplied (`engine`) and who asks for text (`api`).

pub mod catalogue;
pub mod config;
pub mod error;
mod extent;
pub mod fit;
pub mod gguf;
pub mod hf;
pub mod manifest;
pub mod template;
pub mod tensor;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod text;
pub mod tokenizer;
pub mod weights;

pub use error::ModelError;
pub use tensor::{Tensor, TensorType};
pub use weights::{LayerTensor, ModelFile, TensorName};
