//! Real servers: an X server that the test starts, a bus that the test starts, files that the test writes.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod buses;
mod screens;
mod support;
