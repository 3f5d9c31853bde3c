//! Everything about the code that needs no run of it.

use crate::conformance::licences;
use crate::outcome::{Figures, Outcome};
use crate::process::{cargo, run as run_command};
use crate::{docs, rooms, tidy};

pub(crate) fn run(_: &[String]) -> Outcome {
    let mut figures = Figures::default();
    figures.extend(rooms::run()?);
    figures.extend(tidy::run()?);
    figures.extend(docs::run()?);
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    run_command(cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    run_command(cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings"))?;
    figures.extend(licences::run()?);
    Ok(figures)
}
