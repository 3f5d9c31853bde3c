//! Rules a compiler does not keep: how long a file may be, how modules are named, where certain words may stand.

use std::fs;
use std::path::{Path, PathBuf};

use crate::outcome::{Figures, Outcome, none_wrong};
use crate::process::root;

const MAX_LINES: usize = 800;

/// Folders with our Rust code.
const SOURCES: &[&str] = &["crates", "xtask", "fuzz"];

/// A word and the paths (by how they begin) where it may stand; with the reason it may not elsewhere.
struct WordRule {
    words: &'static [&'static str],
    /// Folders the rule looks at; everything when empty.
    within: &'static [&'static str],
    /// Exceptions.
    allowed: &'static [&'static str],
    reason: &'static str,
}

const WORDS: &[WordRule] = &[
    WordRule {
        words: &["unsafe {", "unsafe fn ", "unsafe impl ", "unsafe extern ", "unsafe trait "],
        within: &[],
        allowed: &[
            "crates/engine/",
            "crates/model/src/extent",
            "crates/sensors/src/windows/calls",
            "xtask/src/tidy.rs",
        ],
        reason: "`unsafe` stands only in the engine's kernels, the model's memory maps, and calls of the Windows API",
    },
    WordRule {
        words: &["std::net::", "tokio::net::"],
        within: &["crates/core/", "crates/model/", "crates/engine/", "crates/node/", "crates/orchestrator/"],
        allowed: &[],
        reason: "sockets belong to transport and api",
    },
    WordRule {
        words: &["std::fs::", "tokio::fs::", "SystemTime::now", "Instant::now", "std::env::"],
        within: &["crates/core/src/"],
        allowed: &["crates/core/src/ports.rs"], // `SystemClock`, the one clock that is read
        reason: "the vocabulary does no I/O and reads no clock",
    },
];

pub(crate) fn run() -> Outcome {
    let files = rust_files();
    let mut lengths: Vec<usize> = files.iter().map(|(_, text)| text.lines().count()).collect();
    lengths.sort_unstable();
    let figures = Figures::default()
        .with("files", files.len())
        .with("median_lines", lengths.get(lengths.len() / 2).copied().unwrap_or(0))
        .with("longest", lengths.last().copied().unwrap_or(0));
    none_wrong("untidy places", &violations(&files), figures)
}

fn violations(files: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in files {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{path}: {lines} lines; split it below {MAX_LINES}"));
        }
        if Path::new(path).file_name().is_some_and(|name| name == "mod.rs") {
            wrong.push(format!("{path}: name it after its folder, beside it (foo.rs + foo/)"));
        }
        let applicable = WORDS.iter().filter(|rule| {
            let begins = |list: &[&str]| list.iter().any(|beginning| path.starts_with(beginning));
            (rule.within.is_empty() || begins(rule.within)) && !begins(rule.allowed)
        });
        for rule in applicable {
            wrong.extend(places(text, rule.words).map(|line| format!("{path}:{line}: {}", rule.reason)));
        }
    }
    wrong
}

/// Lines, counted from one, on which one of `words` stands outside a line comment.
fn places<'a>(text: &'a str, words: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    code.enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word))).map(|(at, _)| at + 1)
}

/// Our Rust files: path from the root with forward slashes, and text.
fn rust_files() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let files = rust_files();
        assert!(files.len() > 30, "only {} files found", files.len());
        let wrong = violations(&files);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn each_rule_bites() {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let wrong = violations(&[
            file("crates/api/src/long.rs", &"\n".repeat(MAX_LINES + 1)),
            file("crates/api/src/keys/mod.rs", ""),
            file("crates/api/src/raw.rs", "fn a() {}\nlet x = unsafe { y() };"),
            file("crates/engine/src/kernel.rs", "let x = unsafe { y() };"),
            file("crates/orchestrator/src/plan.rs", "use std::net::IpAddr; // std::net::"),
            file("crates/core/src/ids.rs", "// std::fs::read would be wrong here\nlet now = SystemTime::now();"),
        ]);
        let starts = ["crates/api/src/long.rs: 801", "crates/api/src/keys/mod.rs:", "crates/api/src/raw.rs:2:"];
        let ends = ["crates/orchestrator/src/plan.rs:1:", "crates/core/src/ids.rs:2:"];
        let expected: Vec<&str> = starts.into_iter().chain(ends).collect();
        assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
        for (line, start) in wrong.iter().zip(expected) {
            assert!(line.starts_with(start), "{line} does not start with {start}");
        }
    }
}
