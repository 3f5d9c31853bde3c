//! The system's own tools for networks: `ip` and `nft`, told what to do on standard input.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::lab::outcome::Failure;

/// Runs a program to its end and returns what it printed; what it complained of is the failure.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let what = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Failure::of(what()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything says on standard error why.
        stdin.write_all(input.as_bytes()).ok();
    }
    let output = child.wait_with_output().map_err(Failure::of(what()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{}: {}", what(), complaint.trim())))
}
