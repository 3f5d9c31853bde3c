//! Real servers: an X server that the test starts, a bus that the test starts, files that the test writes.
#![cfg(target_os = "linux")]

mod buses;
mod screens;
mod support;
