//! The endpoint, asked as clients ask it, with a scripted model behind it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chat;
mod completions;
mod disconnect;
mod document;
mod endpoint;
mod errors;
mod grammar;
mod keys;
mod loopback;
mod mutation;
mod operations;
mod paying;
mod streaming;
mod tools;
