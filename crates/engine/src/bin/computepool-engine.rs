//! The engine process for processors.

use std::process::ExitCode;

use computepool_engine::{ShardLoader, child};

fn main() -> ExitCode {
    child::main(&ShardLoader)
}
