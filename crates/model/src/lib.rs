//! What a model file says: weights by layer range, tokenizer, chat template, fit.
//!
//! Reads GGUF files and Hugging Face folders. Weights stay memory-mapped, so that a shard touches only the bytes of its
//! own layers. This crate refuses to know how a tensor is multiplied (`engine`) and who asks for text (`api`).

pub mod catalogue;
pub mod config;
pub mod error;
pub mod fit;
pub mod gguf;
pub mod hf;
pub mod template;
pub mod tensor;
pub mod text;
pub mod tokenizer;
pub mod weights;
