//! Runs one layer range: batch-invariant kernels, ragged batching, KV, sampling; and the supervisor of the child
//! process that does so.
//!
//! The child process (`computepool-engine`) is [`child`] around a [`ShardLoader`]; the host starts and watches it through
//! [`client`], and the two speak [`pipe`] frames. Inside, `batch` gathers whatever is ready into one step, `forward` runs it
//! through the layers on a `backend`, and [`sampling`] with [`constraint`] chooses tokens on the exit shard.

mod accelerator;
mod backend;
mod batch;
pub mod child;
pub mod client;
mod compiler;
pub mod constraint;
mod cpu;
mod forward;
#[expect(unsafe_code, reason = "vector intrinsics and functions compiled for an instruction set that was detected")]
mod kernels;
pub mod pipe;
pub mod sampling;
mod sequence;
mod shard;
mod speed;

pub use shard::ShardLoader;
