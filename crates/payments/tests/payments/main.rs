//! Payments over a chain and a ledger in memory.

#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

mod books;
mod client;
mod settling;
mod toll;
mod walk;
