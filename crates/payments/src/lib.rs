//! Payments: one voucher opens a session, seconds of service are metered, and every unit is accounted for.
//!
//! [`Payments`] is the toll of an HTTP face: it quotes by x402 ([`x402`], [`quote`]), checks vouchers ([`voucher`]), lets
//! requests pass before the chain has answered where its limits allow that, and meters what generations deliver
//! ([`meter`]). What becomes of the money is decided by a pure state machine ([`settlement`]) whose every step is in the
//! ledger ([`ledger`]) before it is taken; the books follow from the ledger. [`client`] is the other side: who pays.
//!
//! The chain, the ledger and the clock are ports: this crate knows `computepool-core` and nothing else of the project, and
//! never sees a key.

mod actor;
pub mod client;
mod handle;
pub mod ledger;
pub mod meter;
pub mod quote;
mod settings;
pub mod settlement;
mod standin;
#[cfg(feature = "testkit")]
pub mod testkit;
mod token;
mod turnstile;
pub mod voucher;
pub mod x402;

pub use actor::Ports;
pub use handle::Payments;
pub use settings::{Settings, SettingsError};
pub use standin::{Serving, reassignments};
