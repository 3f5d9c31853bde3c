//! The bounded fuzz run: the mutation tests at full count, then libFuzzer on the parsers of strangers' bytes.
//!
//! The tests read `COMPUTEPOOL_FUZZ_CASES` and run a small number of cases when it is absent. libFuzzer's own runtime
//! is built by `fuzz/` with the C++ compiler; rustc's stable coverage pass feeds it, so neither nightly nor cargo-fuzz
//! is needed (with nightly, `cargo +nightly fuzz run <target>` works as well and adds the address sanitizer).

use std::path::Path;
use std::process::{Command, Stdio};

use crate::outcome::{Failure, Figures, Outcome};
use crate::process::{cargo, root, run as run_command, run_reading, target_dir};
use crate::suite;

const DEFAULT_CASES: &str = "10000";
const DEFAULT_SECONDS: &str = "60";

/// Tests are picked by these parts of their names.
const NAMES: &[&str] = &["fuzz", "mutat", "garbage", "hostile", "lying"];

/// What the compiler does to a fuzz target: counters at every edge, and every comparison reported.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions=on";

pub(crate) fn run(_: &[String]) -> Outcome {
    let cases = std::env::var("COMPUTEPOOL_FUZZ_CASES").unwrap_or_else(|_| DEFAULT_CASES.to_owned());
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let (tally, well) = suite::tests("fuzz", &names, &[("COMPUTEPOOL_FUZZ_CASES", &cases)])?;
    let mut figures =
        Figures::default().with("cases", &cases).with("tests_passed", tally.passed).with("tests_failed", tally.failed);
    if !well || tally.passed == 0 {
        return Err(Failure::new("the mutation tests did not pass").with(figures));
    }
    let seconds = std::env::var("COMPUTEPOOL_FUZZ_SECONDS").unwrap_or_else(|_| DEFAULT_SECONDS.to_owned());
    match libfuzzer(&seconds) {
        Ok(runs) => figures.extend(runs),
        Err(failure) => {
            figures.extend(failure.figures);
            return Err(Failure::new(failure.message).with(figures));
        }
    }
    Ok(figures)
}

/// Runs every target of `fuzz/` for `seconds`, from its seeds; what it learns is kept in the build folder.
fn libfuzzer(seconds: &str) -> Outcome {
    let mut figures = Figures::default();
    if !has_cxx() {
        eprintln!("skipping libFuzzer: its runtime needs a C++ compiler (c++)");
        return Ok(figures.with("libfuzzer", "skipped"));
    }
    let built = target_dir().join("fuzz");
    let triple = host()?;
    // With a target named, the flags stay away from build scripts and macros.
    run_command(
        cargo().current_dir(root().join("fuzz")).env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &built).args([
            "build",
            "--release",
            "--bins",
            "--target",
            &triple,
        ]),
    )?;
    for target in targets(&root().join("fuzz/fuzz_targets")) {
        let corpus = built.join("corpus").join(&target);
        std::fs::create_dir_all(&corpus)
            .map_err(|error| Failure::new(format!("{}: {error}", corpus.display())).with(figures.clone()))?;
        let mut fuzzer = Command::new(built.join(&triple).join("release").join(&target));
        fuzzer.arg(&corpus);
        let seeds = root().join("fuzz/seeds").join(&target);
        if seeds.is_dir() {
            fuzzer.arg(seeds);
        }
        fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", corpus.display())).args([
            "-max_len=65536",
            "-rss_limit_mb=1024",
            "-timeout=10",
            "-print_final_stats=1",
            "-verbosity=0",
        ]);
        let mut runs = String::from("0");
        let well = run_reading(&mut fuzzer, true, |line| {
            if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
                count.trim().clone_into(&mut runs);
            }
        })?;
        figures.add(&format!("{target}_runs"), runs);
        if !well {
            let message = format!("libFuzzer found something in {target}; its input is in {}", corpus.display());
            return Err(Failure::new(message).with(figures));
        }
    }
    Ok(figures.with("libfuzzer_seconds", seconds))
}

fn has_cxx() -> bool {
    let probe = Command::new("c++").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

/// The triple this machine compiles for.
fn host() -> Result<String, Failure> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| Failure::new(format!("rustc -vV: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV names no host"))
}

/// The targets' names, in order.
fn targets(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}
