//! A chain and a ledger in memory. The chain keeps the contract's rules, counts its money, and can be made to fail, to lie
//! and to go back.

mod chain;
mod ledger;
mod payer;
mod world;

pub use chain::{FakeChain, Mood};
pub use ledger::MemoryLedger;
pub use payer::{Payer, granted, offer, tariff, token_domain};
pub use world::World;
