//! The engine process for NVIDIA GPUs. Its own executable, because it does not start where the driver is missing.

use std::process::ExitCode;

use computepool_engine::{ShardLoader, child};

fn main() -> ExitCode {
    child::main(&ShardLoader)
}
