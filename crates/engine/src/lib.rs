//! Runs one layer range: batch-invariant kernels, ragged batching, KV, sampling; and the supervisor of the child
//! process that does so.

pub mod child;
pub mod client;
pub mod constraint;
pub mod pipe;
pub mod sampling;
