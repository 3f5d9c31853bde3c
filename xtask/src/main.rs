//! The project's own chores, behind the Makefile: `xtask <chore>`.
//!
//! A chore prints what it does and ends with one line of `key=value` figures, which `scripts/result` repeats in the
//! target's RESULT line. The rules of the house ([`rooms`], [`tidy`], [`docs`]) are tests as well, so that
//! `make test` keeps them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to its terminal")]

mod conformance;
mod docs;
mod fuzz;
mod lint;
mod outcome;
mod process;
mod rooms;
mod suite;
mod tidy;

use std::process::ExitCode;

use outcome::{Figures, Outcome};

/// A name, what it does, and what does it with the arguments after the name.
type Chore = (&'static str, &'static str, fn(&[String]) -> Outcome);

const CHORES: &[Chore] = &[
    ("test", "every test of the workspace, and the doctests", suite::run),
    ("fuzz", "the mutation tests at full count, then a bounded libFuzzer run", fuzz::run),
    ("lint", "rooms, tidy, docs, rustfmt, clippy, rustdoc, licences", lint::run),
    ("conformance", "comparisons with other people's work", conformance::run),
    ("rooms", "who may know whom", |_| rooms::run()),
    ("tidy", "file lengths, module files, where `unsafe` may stand", |_| tidy::run()),
    ("docs", "links and make targets named in the Markdown files", |_| docs::run()),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_default();
    let Some((_, _, chore)) = CHORES.iter().find(|(name, ..)| *name == wanted) else {
        eprintln!("usage: xtask <chore> [arguments]\n");
        for (name, what, _) in CHORES {
            eprintln!("  {name:<12} {what}");
        }
        return ExitCode::from(2);
    };
    let arguments: Vec<String> = arguments.collect();
    match chore(&arguments) {
        Ok(figures) => finish(figures, ExitCode::SUCCESS),
        Err(failure) => {
            eprintln!("{wanted}: {}", failure.message);
            finish(failure.figures, ExitCode::FAILURE)
        }
    }
}

fn finish(figures: Figures, code: ExitCode) -> ExitCode {
    let line = figures.to_string();
    if !line.is_empty() {
        println!("{line}");
    }
    code
}
