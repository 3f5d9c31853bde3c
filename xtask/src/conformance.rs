//! Other people's suites and implementations, against ours. Long, and therefore not part of `make test`.

mod clients;
mod environment;
pub(crate) mod licences;
mod matrix;
mod numbers;
mod text;
mod x402;

use crate::outcome::{Failure, Figures, Outcome};

/// A name to ask for it alone, and what runs it.
type Suite = (&'static str, fn() -> Outcome);

/// Every suite, the quick ones first.
const SUITES: &[Suite] = &[
    ("licences", licences::run),
    ("tokenizers", text::tokenizers),
    ("templates", text::templates),
    ("logits", numbers::logits),
    ("speed", numbers::speed),
    ("x402", x402::run),
    ("clients", clients::run),
    ("matrix", matrix::run),
];

/// Runs the suites named, all of them when none is.
pub(crate) fn run(names: &[String]) -> Outcome {
    if let Some(unknown) = names.iter().find(|name| !SUITES.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
        return Err(Failure::new(format!("no suite {unknown}; there are: {}", known.join(", "))));
    }
    let mut figures = Figures::default();
    let mut failed = Vec::new();
    for (name, suite) in SUITES.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|n| n == name)) {
        eprintln!("── {name}");
        match suite() {
            Ok(result) => figures.extend(result),
            Err(failure) => {
                eprintln!("{name}: {}", failure.message);
                figures.extend(failure.figures);
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(figures);
    }
    let figures = figures.with("failed", failed.join(","));
    Err(Failure::new(format!("failed: {}", failed.join(", "))).with(figures))
}
