//! The test run: nextest where it is installed, plain `cargo test` where it is not, then the doctests.
//!
//! nextest is not installed on demand: building it takes longer than everything it saves in one run.

use std::fs;
use std::process::Command;

use crate::outcome::{Failure, Figures, Outcome};
use crate::process::{cargo, has_cargo_command, root, run_reading};

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// All tests; `arguments` are names to pick from them.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (tests, well) = tests("default", arguments, &[])?;
    let (doctests, doctests_well) = if arguments.is_empty() { doctests()? } else { (Tally::default(), true) };
    let figures = Figures::default()
        .with("passed", tests.passed + doctests.passed)
        .with("failed", tests.failed + doctests.failed)
        .with("doctests", doctests.passed);
    if !well || !doctests_well {
        return Err(Failure::new("not every test passed").with(figures));
    }
    if tests.passed == 0 {
        return Err(Failure::new("no test ran").with(figures));
    }
    Ok(figures)
}

/// Runs the workspace's tests whose names contain one of `names` (all, when there are none), with `environment`.
/// Returns the tally and whether the runner was content.
pub(crate) fn tests(profile: &str, names: &[String], environment: &[(&str, &str)]) -> Result<(Tally, bool), Failure> {
    if has_cargo_command("nextest") {
        return nextest(profile, names, environment);
    }
    eprintln!("cargo-nextest is missing: using cargo test (`cargo install --locked cargo-nextest` makes runs quicker)");
    // The same grouping as .config/nextest.toml: what starts whole networks runs one at a time.
    let (mut tally, well) = libtest(plain(environment).arg("--").args(names).args(["--skip", "cluster"]))?;
    if !names.is_empty() {
        return Ok((tally, well));
    }
    let (clusters, clusters_well) = libtest(plain(environment).args(["--", "cluster", "--test-threads", "1"]))?;
    tally.add(clusters);
    Ok((tally, well && clusters_well))
}

fn plain(environment: &[(&str, &str)]) -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
    command.envs(environment.iter().copied());
    command
}

fn nextest(profile: &str, names: &[String], environment: &[(&str, &str)]) -> Result<(Tally, bool), Failure> {
    // nextest keeps its reports under the workspace, wherever cargo builds.
    let report = root().join("target/nextest").join(profile).join("junit.xml");
    if report.exists() {
        fs::remove_file(&report).map_err(|error| Failure::new(format!("{}: {error}", report.display())))?;
    }
    let mut command = cargo();
    command.args(["nextest", "run", "--workspace", "--profile", profile]).args(names);
    command.envs(environment.iter().copied());
    let well = run_reading(&mut command, false, |_| {})?;
    let tally = fs::read_to_string(&report).ok().and_then(|text| junit(&text)).unwrap_or_default();
    Ok((tally, well))
}

fn doctests() -> Result<(Tally, bool), Failure> {
    libtest(cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]))
}

/// Runs a command that ends in libtest's closing lines.
pub(crate) fn libtest(command: &mut Command) -> Result<(Tally, bool), Failure> {
    let mut tally = Tally::default();
    let well = run_reading(command, false, |line| {
        if let Some(found) = libtest_line(line) {
            tally.add(found);
        }
    })?;
    Ok((tally, well))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …`
fn libtest_line(line: &str) -> Option<Tally> {
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| -> Option<u64> {
        counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    Some(Tally { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored").unwrap_or(0) })
}

/// The totals on a JUnit report's outermost element.
fn junit(report: &str) -> Option<Tally> {
    let (_, rest) = report.split_once("<testsuites ")?;
    let (attributes, _) = rest.split_once('>')?;
    let count = |name: &str| -> Option<u64> {
        let (_, value) = attributes.split_once(&format!("{name}=\""))?;
        value.split_once('"')?.0.parse().ok()
    };
    let failed = count("failures")? + count("errors")?;
    Some(Tally { passed: count("tests")?.checked_sub(failed)?, failed, ignored: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_read() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s";
        assert_eq!(libtest_line(line), Some(Tally { passed: 3, failed: 2, ignored: 1 }));
        assert_eq!(libtest_line("test a::b ... ok"), None);
        let report = r#"<?xml version="1.0"?>
<testsuites name="nextest-run" tests="12" failures="2" errors="1" uuid="x" time="1.0">"#;
        assert_eq!(junit(report), Some(Tally { passed: 9, failed: 3, ignored: 0 }));
        assert_eq!(junit("<other/>"), None);
    }
}
