//! The desktop application, asked as its page asks it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bindings;
mod downloads;
mod hostile;
mod kit;
mod owner;
mod programs;
