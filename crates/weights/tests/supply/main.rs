//! Shelves, web servers and peers, all in this process; some of them do not behave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fetching;
mod hostile;
mod model;
mod peers;
mod shelf;
mod web;
