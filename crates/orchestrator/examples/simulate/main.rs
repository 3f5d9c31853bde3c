//! Simulated worlds against the planner, and a simulated day against the orchestrator.
//!
//! Prints tables, and as its last line `key=value` words. Fails where a bound is not kept.
#![expect(clippy::print_stdout, reason = "this is a command")]

#[path = "../../tests/planning/brute.rs"]
mod brute;
mod day;
mod figures;
mod quality;
mod stopwatch;
#[path = "../../tests/planning/worlds.rs"]
mod worlds;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut figures = figures::Figures::default();
    quality::run(&mut figures);
    day::run(&mut figures);
    if figures.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
