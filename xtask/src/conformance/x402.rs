//! x402's own packages, in both directions: our client pays their server, and their client pays our endpoint.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::clients::{MODEL, Network, checks};
use super::environment::{conformance, example, figures_of};
use crate::outcome::{Failure, Figures, Outcome};
use crate::process::run as run_command;

/// Both directions, each on a chain of its own.
pub(crate) fn run() -> Outcome {
    let folder = packages()?;
    let mut figures = Figures::default();
    let mut wrong = Vec::new();
    match figures_of(Command::new(example("x402_payer")?).arg(folder.join("server.mjs"))) {
        Ok(said) => figures.extend(said),
        Err(failure) => {
            figures.add("x402_express", "failed");
            wrong.push(format!("our client, their server: {}", failure.message));
        }
    }
    match their_client(&folder) {
        Ok(()) => figures.add("x402_fetch", "ok"),
        Err(failure) => {
            figures.add("x402_fetch", "failed");
            wrong.push(format!("their client, our endpoint: {}", failure.message));
        }
    }
    if wrong.is_empty() { Ok(figures) } else { Err(Failure::new(wrong.join("\n")).with(figures)) }
}

/// Their client pays a network of three nodes, which serves the sample model for play money.
fn their_client(folder: &Path) -> Result<(), Failure> {
    let network = Network::start(|_| ())?;
    let (api, chain) = (network.said("api")?, network.said("endpoint")?);
    let paid = checks(Command::new("node").arg(folder.join("pay.mjs")).args([&api, MODEL, &chain]));
    let left = network.leave();
    paid.and(left)
}

/// The folder of the scripts, with the packages that they use: by the lock file, and nothing of a package is run.
fn packages() -> Result<PathBuf, Failure> {
    let folder = std::path::absolute(conformance("x402")).map_err(cannot)?;
    let changed = |name: &str| folder.join(name).metadata().and_then(|it| it.modified());
    let installed = folder.join("node_modules/.package-lock.json");
    let fresh = matches!((changed("package-lock.json"), installed.metadata().and_then(|it| it.modified())),
        (Ok(wanted), Ok(there)) if there >= wanted);
    if !fresh {
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
        run_command(&mut install)?;
        File::options()
            .append(true)
            .open(installed)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .map_err(cannot)?;
    }
    Ok(folder)
}

fn cannot(error: std::io::Error) -> Failure {
    Failure::new(error.to_string())
}
