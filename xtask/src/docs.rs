//! The Markdown files name only files and make targets that exist.

use std::fs;
use std::path::Path;

use crate::outcome::{Figures, Outcome, none_wrong};
use crate::process::root;

const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

pub(crate) fn run() -> Outcome {
    none_wrong("stale places in the documents", &violations(), Figures::default().with("pages", PAGES.len()))
}

fn violations() -> Vec<String> {
    let root = root();
    let makefile = fs::read_to_string(root.join("Makefile")).unwrap_or_default();
    let targets = make_targets(&makefile);
    let mut wrong = Vec::new();
    for page in PAGES {
        let Ok(text) = fs::read_to_string(root.join(page)) else {
            wrong.push(format!("{page} is missing"));
            continue;
        };
        wrong.extend(dead_links(&text, &root).into_iter().map(|link| format!("{page}: {link} does not exist")));
        wrong.extend(unknown_targets(&text, &targets).into_iter().map(|name| format!("{page}: no `make {name}`")));
    }
    wrong
}

fn make_targets(makefile: &str) -> Vec<&str> {
    makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .map(|(name, _)| name)
        .collect()
}

/// Targets of `](…)` and of `src="…"`, `srcset="…"` that are paths and lead nowhere.
fn dead_links(text: &str, root: &Path) -> Vec<String> {
    let after = |opening: &'static str, closing: char| {
        text.split(opening).skip(1).filter_map(move |rest| rest.split_once(closing)).map(|(link, _)| link)
    };
    let links = after("](", ')').chain(after("src=\"", '"')).chain(after("srcset=\"", '"'));
    links
        .filter(|link| !link.contains("://") && !link.starts_with('#') && !link.is_empty())
        .map(|link| link.split('#').next().unwrap_or(link))
        .filter(|path| !root.join(path).exists())
        .map(str::to_owned)
        .collect()
}

/// Names in `make name`, at the start of a line or of inline code, that the Makefile does not have.
fn unknown_targets(text: &str, targets: &[&str]) -> Vec<String> {
    text.lines()
        .flat_map(|line| line.split('`').enumerate().filter(|(at, _)| *at == 0 || at % 2 == 1).map(|(_, part)| part))
        .filter_map(|code| code.trim_start().strip_prefix("make "))
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !targets.contains(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_name_what_exists() {
        let wrong = violations();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_dead_link_and_an_unknown_target_are_seen() {
        let text = "See [the map](NOWHERE.md), [here](#top), [cargo](Cargo.toml).\nmake nothing\nRun `make test` or `make tea`.";
        assert_eq!(dead_links(text, &root()), ["NOWHERE.md"]);
        assert_eq!(unknown_targets(text, &make_targets("test: ## all\nA := b\n")), ["nothing", "tea"]);
    }
}
