//! Real swarms on loopback, and peers that do not behave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocks;
mod control;
mod floods;
mod frames;
mod hostile;
mod lanes;
mod measuring;
mod relays;
mod support;
mod tabling;
