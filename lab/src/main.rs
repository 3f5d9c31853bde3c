//! Networks of home machines in network namespaces, and what is done to them: `make lab`.
//!
//! The world is a small internet on one machine: public hosts, and homes behind NATs of their own on links of a chosen
//! delay and rate. In it run the real executables, and scenarios kill, freeze and cut them off while somebody reads an
//! answer. Namespaces need Linux and root; where they cannot be had, the program says why and ends in `skipped=REASON`
//! with success.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to its terminal")]

#[cfg(target_os = "linux")]
mod lab;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    lab::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("lab: network namespaces are needed, which Linux alone has");
    println!("skipped=not_linux");
    ExitCode::SUCCESS
}
