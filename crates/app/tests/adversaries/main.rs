//! Everybody who could take more than is theirs, against everything real: payments as the toll, the chain's sessions, the
//! contracts and the streaming protocol on anvil, wallets that sign, and a ledger in SQLite. `scripts/setup contracts`
//! installs anvil.
//!
//! What a contract alone forbids is proven in `contracts/test`, what settling alone decides in `crates/payments/tests`,
//! against thousands of orders of events. Here it is all of them together: at the end of every test
//! [`World::assert_adds_up`](world::World::assert_adds_up) reads from the chain where each unit is.
#![expect(clippy::unwrap_used, reason = "what a test sets up must be there")]

mod contracts;
mod expired;
mod front_run;
mod lies;
mod misdirected;
mod operators;
mod orchestrator;
mod proxy;
mod refunds;
mod reorganised;
mod replayed;
mod underfunded;
mod world;
