//! What an engine executable does with its arguments.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::{Loader, run, stdio};
use crate::pipe::DeviceChoice;

/// A device that an engine executable can compute on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// How to ask for it.
    pub device: DeviceChoice,
    /// Its name, for people.
    pub name: String,
    /// Bytes of its own memory, where it has any and tells.
    pub memory_bytes: Option<u64>,
}

/// What `--probe` prints, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The executable's version.
    pub version: String,
    /// What it can compute on here.
    pub devices: Vec<DeviceReport>,
}

const USAGE: &str = "This is ComputePool's engine. It is started by the application and speaks frames over its standard
input and output. By hand: --probe shows the devices it can use, --version its version.";

/// The whole of an engine executable: `--version`, `--probe`, or, without arguments, [`run`] over standard input and
/// output until the host closes the pipe. Log lines go to standard error, filtered by `RUST_LOG`.
pub fn main<L: Loader>(loader: &L) -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let outcome = match arguments.iter().map(AsRef::as_ref).collect::<Vec<&str>>().as_slice() {
        [] => return serve(loader),
        ["--version"] => writeln!(io::stdout(), "computepool-engine {}", env!("CARGO_PKG_VERSION")),
        ["--probe"] => probe(loader),
        ["--help" | "-h"] => writeln!(io::stdout(), "{USAGE}"),
        _ => {
            let _ = writeln!(io::stderr(), "{USAGE}");
            return ExitCode::from(2);
        }
    };
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn probe<L: Loader>(loader: &L) -> io::Result<()> {
    let report = ProbeReport { version: env!("CARGO_PKG_VERSION").to_owned(), devices: loader.devices() };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &report)?;
    writeln!(out)
}

fn serve<L: Loader>(loader: &L) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).without_time().init();
    end_on_panic();
    let output = match stdio::claim_stdout() {
        Ok(output) => output,
        Err(error) => {
            tracing::error!(%error, "standard output cannot be kept for the host");
            return ExitCode::FAILURE;
        }
    };
    match run(loader, io::stdin(), output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the process when any of its threads panics, after the message: half an engine is worse than a fresh one.
///
/// llguidance catches panics of its own and hides them from this hook, which it wraps.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
