//! Other people's clients against a real network of three nodes that serves the sample model.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::environment::{cache, conformance, folder, python, sample_model};
use crate::outcome::{Failure, Figures, Outcome};
use crate::process::{cargo, run as run_command, run_reading, target_dir};

const KEY: &str = "conformance-key";
/// A second key, which may ask five times a minute, and what the endpoint knows of it.
const LIMITED_KEY: &str = "limited-key";
const LIMITED: &str = "f33b2500796d61f96eeef0f5331ddc40c17e434aff139f4d9e00bfe75170d87a:5";
pub(super) const MODEL: &str = "smollm2-135m-instruct";
const OPENAI_JS: &str = "7.55.0";

/// A network on this machine, up for as long as this lives.
pub(super) struct Network {
    process: Child,
    /// What it says of itself when it is up: a line of JSON.
    line: String,
}

impl Network {
    /// `computepool up` with the sample model and these further arguments.
    pub(super) fn start(change: impl FnOnce(&mut Command)) -> Result<Self, Failure> {
        let mut command = Command::new(target_dir().join("debug/computepool"));
        command.args(["up", "--supervised", "--api", "127.0.0.1:0"]);
        // Long enough for every check, short enough for a model that does not come to an end.
        command.args(["--context", "2304"]);
        command.arg("--model").arg(format!("{MODEL}={}", sample_model()?.display()));
        change(&mut command);
        let cannot = |error| Failure::new(format!("the network could not be started: {error}"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(cannot)?;
        let output = process.stdout.take();
        let mut network = Self { process, line: String::new() };
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut network.line).map_err(cannot)?;
        }
        Ok(network)
    }

    /// What it says of itself under this key.
    pub(super) fn said(&self, key: &str) -> Result<String, Failure> {
        let value = self.line.split_once(&format!("\"{key}\":\"")).and_then(|(_, rest)| rest.split_once('"'));
        let silent = || Failure::new(format!("the network did not say its {key}: {}", self.line));
        value.map(|(value, _)| value.to_owned()).ok_or_else(silent)
    }

    /// Lets everything finish; an error where it does not leave by itself.
    pub(super) fn leave(mut self) -> Result<(), Failure> {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(Failure::new(format!("the network ended with {status}"))),
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        Err(Failure::new("the network did not leave within a minute"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Every client, one after another, on one network.
pub(crate) fn run() -> Outcome {
    let python = python("comply", &["openai==3.51.0", "llm-comply==0.5.0"], None)?;
    let package = javascript()?;
    let network = Network::start(|command| {
        // The key by which `up` itself sees whether all is ready.
        command.args(["--unpaid", "--key-sha256", LIMITED]).env("COMPUTEPOOL_API_KEY", KEY);
    })?;
    let api = network.said("api")?;
    let with_api = |command: &mut Command, limited: bool| {
        command.args([&api, KEY, MODEL]);
        if limited {
            command.arg(LIMITED_KEY);
        }
        checks(command)
    };
    let mut results = Vec::new();
    results.push(("python", with_api(Command::new(&python).arg(conformance("clients/openai_client.py")), true)));
    match package {
        Ok(package) => {
            let script = std::path::absolute(conformance("clients/openai_client.mjs"));
            let script = script.map_err(|error| Failure::new(error.to_string()))?;
            results.push(("javascript", with_api(Command::new("node").arg(script).current_dir(package), true)));
        }
        Err(why) => results.push(("javascript", Ok(format!("skipped:{why}")))),
    }
    let mut rust = cargo();
    rust.args(["run", "--quiet", "--locked", "--manifest-path"]).arg(conformance("async-openai/Cargo.toml"));
    rust.env("CARGO_TARGET_DIR", cache()?.join("async-openai-target")).arg("--");
    results.push(("rust", with_api(&mut rust, true)));
    results.push(("comply", with_api(Command::new(&python).arg(conformance("clients/comply.py")), false)));
    let left = network.leave();
    let mut figures = Figures::default();
    let mut wrong = Vec::new();
    for (client, result) in results {
        let said = result.unwrap_or_else(|failure| {
            wrong.push(format!("{client}: {}", failure.message));
            "failed".to_owned()
        });
        figures.add(client, said);
    }
    wrong.extend(left.err().map(|failure| failure.message));
    if wrong.is_empty() { Ok(figures) } else { Err(Failure::new(wrong.join("\n")).with(figures)) }
}

/// `17/18` from a client's closing line, `… 17 of 18 checks passed`.
pub(super) fn checks(command: &mut Command) -> Result<String, Failure> {
    let mut tally = None;
    let well = run_reading(command, false, |line| tally = tally_of(line).or(tally.take()))?;
    match (well, tally) {
        (true, Some(tally)) => Ok(tally),
        (false, Some(tally)) => Err(Failure::new(format!("{tally} checks passed"))),
        (_, None) => Err(Failure::new("it ended without saying how many checks passed")),
    }
}

fn tally_of(line: &str) -> Option<String> {
    let mut words = line.strip_suffix(" checks passed")?.rsplit(' ');
    let (count, of, passed) = (words.next()?, words.next()?, words.next()?);
    (of == "of").then(|| format!("{passed}/{count}"))
}

/// The folder with the npm package, or why it cannot be used.
fn javascript() -> Result<Result<std::path::PathBuf, String>, Failure> {
    let package = folder(cache()?.join("npm-openai"))?;
    let manifest = package.join("node_modules/openai/package.json");
    let wanted = format!("\"version\": \"{OPENAI_JS}\"");
    if !std::fs::read_to_string(manifest).is_ok_and(|text| text.contains(&wanted)) {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&package);
        run_command(install.arg(format!("openai@{OPENAI_JS}")))?;
    }
    let version = node_version(&package);
    let mut probe = Command::new("node");
    probe.args(["-e", "import('openai').then((m) => new m.default({ apiKey: 'x' }))"]).current_dir(&package);
    match probe.stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(Ok(package)),
        _ if version < 22 => {
            eprintln!("npm openai {OPENAI_JS} does not load on Node {version}; it asks for 22 or newer: left out");
            Ok(Err(format!("node_{version}_is_too_old")))
        }
        _ => Err(Failure::new(format!("npm openai {OPENAI_JS} does not load on Node {version}"))),
    }
}

/// The major version of Node, 0 without one.
fn node_version(folder: &Path) -> u32 {
    let said = Command::new("node").arg("--version").current_dir(folder).output();
    let text = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_clients_are_read() {
        assert_eq!(tally_of("openai-python 3.51.0: 17 of 18 checks passed").as_deref(), Some("17/18"));
        assert_eq!(tally_of("ok    chat"), None);
    }
}
