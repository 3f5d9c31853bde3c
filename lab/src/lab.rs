//! What the program does where it can.

mod answer;
mod arguments;
mod network;
mod outcome;
mod scenario;
mod survey;
mod table;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use arguments::{Arguments, RunArguments, Task};
use network::Programs;
use outcome::{Failure, Findings, Outcome};
use scenario::{Scenario, Settings};

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
        Task::Run(arguments) => run(arguments, seed),
    })
}

/// Runs the scenarios that were named. One that cannot go on is a miss, and the next has its turn.
fn run(arguments: RunArguments, seed: u64) -> Outcome {
    let own = std::env::temp_dir().join(format!("computepool-lab-{}", std::process::id()));
    let kept = arguments.logs.is_some();
    let folder = arguments.logs.unwrap_or(own);
    let settings = Settings {
        programs: Programs::find(arguments.model, folder, arguments.log)?,
        seed,
        count: arguments.count,
        rtt: Duration::from_millis(arguments.rtt),
        nats: arguments.homes,
    };
    let named = if arguments.scenarios.is_empty() { Scenario::ALL.to_vec() } else { arguments.scenarios };
    let mut findings = Findings::default();
    for scenario in named {
        match scenario.run(&settings) {
            Ok(found) => findings.extend(found),
            Err(Failure(what)) if what == scenario::INTERRUPTED => return Err(Failure::new(what)),
            Err(failure) => findings.missed.push(format!("{scenario:?}: {failure}")),
        }
    }
    let folder = &settings.programs.folder;
    if !findings.missed.is_empty() {
        eprintln!("lab: logs are in {}", folder.display());
    } else if !kept {
        std::fs::remove_dir_all(folder).ok();
    }
    Ok(findings)
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
