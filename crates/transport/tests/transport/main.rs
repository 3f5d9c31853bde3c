//! Real swarms on loopback, and peers that do not behave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control;
mod frames;
mod hostile;
mod lanes;
mod support;
