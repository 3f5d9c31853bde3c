//! Running other programs, and where things lie.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::outcome::Failure;

/// The workspace's root: asked at run time, because checkouts may share one build folder.
pub(crate) fn root() -> PathBuf {
    match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => Path::new(&package).parent().unwrap_or(Path::new(".")).to_path_buf(), // under cargo
        None => PathBuf::from("."),                                                            // under make
    }
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs us, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Whether `cargo <name>` exists.
pub(crate) fn has_cargo_command(name: &str) -> bool {
    let probe = cargo().args([name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

/// Shows the command and runs it on our own terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    show(command);
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{} ended with {status}", words(command)))) }
}

/// Shows the command and runs it; each line it writes (standard error as well, where `errors` says so) is shown and
/// handed on. Says whether it succeeded.
pub(crate) fn run_reading(command: &mut Command, errors: bool, mut line: impl FnMut(&str)) -> Result<bool, Failure> {
    show(command);
    let (output, input) = std::io::pipe().map_err(|error| Failure::new(format!("no pipe: {error}")))?;
    if errors {
        let second = input.try_clone().map_err(|error| Failure::new(format!("no pipe: {error}")))?;
        command.stderr(second);
    }
    let mut child = command.stdout(input).spawn().map_err(|error| cannot_start(command, &error))?;
    // The command keeps its ends of the pipe until they are replaced, and the pipe ends only when all are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for bytes in BufReader::new(output).split(b'\n') {
        let bytes = bytes.map_err(|error| Failure::new(format!("reading from {}: {error}", words(command))))?;
        let text = String::from_utf8_lossy(&bytes);
        println!("{text}");
        line(&text);
    }
    let status = child.wait().map_err(|error| Failure::new(format!("waiting for {}: {error}", words(command))))?;
    Ok(status.success())
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("{} could not be started: {error}", words(command)))
}

fn show(command: &Command) {
    eprintln!("+ {}", words(command));
}

fn words(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut text = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
