//! EVM chains: endpoints that fail and lie, transactions that land once, and the deployment of all contracts.
//!
//! [`rpc::Rpc`] asks one chain through several endpoints and holds what they say against the question.
//! [`sender::Sender`] is the one queue of an account's transactions. [`deployment`] lays everything down, from an empty
//! chain on, and verifies it. [`devnet`] is a chain of one's own with all that on it.
//!
//! This crate never sees a key: a [`Vault`](computepool_core::ports::Vault) signs. It refuses to know what a session or
//! a voucher is worth.

mod artifacts;
pub mod coalitions;
mod contracts;
pub mod deployment;
pub mod devnet;
pub mod earnings;
mod error;
pub mod exits;
pub mod finality;
pub mod gas;
mod network;
mod revert;
pub mod rpc;
pub mod sender;
mod sessions;
pub mod tokens;

pub use error::ChainError;
pub use network::{Network, Solvency, Usdc};
pub use sessions::{SessionReader, Sessions, refund};
