//! What the program does where it can.

mod arguments;
mod outcome;
mod survey;
mod table;
mod world;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Task};
use outcome::Outcome;

/// The command line.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(unable) = world::possible() {
        eprintln!("lab: {}", unable.sentence);
        println!("skipped={}", unable.reason);
        return ExitCode::SUCCESS;
    }
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    println!("seed {seed}");
    finish(match arguments.task {
        Task::World => survey::run(seed),
    })
}

fn finish(outcome: Outcome) -> ExitCode {
    let findings = match outcome {
        Ok(findings) => findings,
        Err(failure) => {
            eprintln!("lab: {failure}");
            return ExitCode::FAILURE;
        }
    };
    for missed in &findings.missed {
        eprintln!("lab: {missed}");
    }
    println!("{}", findings.figures);
    if findings.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
