//! cargo-deny: licences, banned crates, sources. deny.toml has the rules.

use crate::outcome::{Figures, Outcome};
use crate::process::{cargo, has_cargo_command, run as run_command};

const VERSION: &str = "0.20.2";

/// Builds cargo-deny where it is missing, which takes some minutes once.
pub(crate) fn run() -> Outcome {
    if !has_cargo_command("deny") {
        eprintln!("cargo-deny is missing: building {VERSION} (some minutes, once)");
        run_command(cargo().args(["install", "--locked", "cargo-deny", "--version", VERSION]))?;
    }
    run_command(cargo().args(["deny", "check", "licenses", "bans", "sources"]))?;
    Ok(Figures::default().with("licences", "ok"))
}
