//! Who may know whom. ARCHITECTURE.md draws the map; this keeps it.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::outcome::{Failure, Figures, Outcome, none_wrong};
use crate::process::root;

/// Every member of the workspace and the members it may know, by package name.
const KNOWS: &[(&str, &[&str])] = &[
    ("computepool-core", &[]),
    ("computepool-model", &["computepool-core"]),
    ("computepool-chain", &["computepool-core"]),
    ("computepool-engine", &["computepool-core", "computepool-model"]),
    ("computepool-transport", &["computepool-core"]),
    ("computepool-node", &["computepool-core"]),
    ("computepool-orchestrator", &["computepool-core"]),
    ("computepool-weights", &["computepool-core"]),
    ("computepool-payments", &["computepool-core"]),
    ("computepool-store", &["computepool-core"]),
    ("computepool-sensors", &[]),
    ("computepool-wallet", &["computepool-core"]),
    ("computepool-api", &["computepool-core"]),
    (
        "computepool-app",
        &[
            "computepool-api",
            "computepool-chain",
            "computepool-core",
            "computepool-engine",
            "computepool-model",
            "computepool-node",
            "computepool-orchestrator",
            "computepool-payments",
            "computepool-sensors",
            "computepool-store",
            "computepool-transport",
            "computepool-wallet",
            "computepool-weights",
        ],
    ),
    ("computepool-cli", &["computepool-app", "computepool-core"]),
    ("computepool-lab", &[]),
    ("xtask", &[]),
];

/// Other people's crates that belong to certain rooms: the name or its beginning (`name*`), and who may use it.
const BELONGS: &[(&str, &[&str])] = &[
    ("libp2p*", &["transport"]),
    ("candle-*", &["engine"]),
    ("cudarc", &["engine"]),
    ("rayon", &["engine"]),
    ("llguidance", &["engine"]),
    ("toktrie*", &["engine"]),
    ("tokenizers", &["model"]),
    ("minijinja*", &["model"]),
    ("safetensors", &["model"]),
    ("memmap2", &["model", "engine"]),
    ("axum*", &["api"]),
    ("tower*", &["api", "chain"]),
    ("utoipa*", &["api"]),
    ("governor", &["api"]),
    ("prometheus-client", &["api", "transport"]),
    ("ts-rs", &["app"]),
    ("jiff", &["app"]),
    ("x11rb", &["app", "sensors"]),
    ("zbus", &["sensors"]),
    ("nvml-wrapper", &["sensors"]),
    ("hyper*", &["api"]),
    ("reqwest", &["app", "chain", "cli", "lab", "weights"]),
    ("directories", &["app", "model"]),
    ("toml", &["app"]),
    ("sysinfo", &["app", "engine"]),
    ("tracing-subscriber", &["app", "engine", "cli"]),
    ("clap", &["cli", "lab"]),
    ("rustyline", &["cli"]),
    ("rpassword", &["cli"]),
    ("indicatif", &["app", "cli"]),
    ("sqlx", &["store"]),
    ("tun-rs", &["lab"]),
    ("alloy", &["chain", "wallet"]),
    // What can make, keep or use a private key of an account.
    ("keyring*", &["wallet"]),
    ("bip32", &["wallet"]),
    ("bip39", &["wallet"]),
    // Payments only in its test kit, for payers.
    ("k256", &["payments", "wallet"]),
    ("scrypt", &["wallet"]),
    ("cargo_metadata", &["xtask"]),
    // The vocabulary has no runtime, no clock of its own and no dice.
    (
        "tokio*",
        &[
            "model",
            "engine",
            "transport",
            "node",
            "orchestrator",
            "sensors",
            "store",
            "weights",
            "chain",
            "payments",
            "wallet",
            "api",
            "app",
            "cli",
            "lab",
        ],
    ),
    (
        "rand*",
        &[
            "model",
            "engine",
            "transport",
            "node",
            "orchestrator",
            "weights",
            "chain",
            "payments",
            "wallet",
            "api",
            "app",
            "cli",
            "lab",
        ],
    ),
];

pub(crate) fn run() -> Outcome {
    let metadata = metadata()?;
    let wrong = violations(&metadata);
    none_wrong("breaches of who may know whom", &wrong, Figures::default().with("rooms", KNOWS.len()))
}

fn metadata() -> Result<Metadata, Failure> {
    MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .map_err(|error| Failure::new(format!("cargo metadata: {error}")))
}

fn violations(metadata: &Metadata) -> Vec<String> {
    let rules: BTreeMap<&str, &[&str]> = KNOWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        match rules.get(name) {
            None => wrong.push(format!("{name} has no place in the map (KNOWS in xtask/src/rooms.rs)")),
            Some(known) => wrong.extend(neighbours(package, &rules, known)),
        }
        wrong.extend(strangers(package));
        wrong.extend(manifest(package));
    }
    let members: Vec<&str> = metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    for name in rules.keys().filter(|name| !members.contains(*name)) {
        wrong.push(format!("{name} is in the map and not in the workspace"));
    }
    wrong
}

/// Members a package depends on, for tests as well, without being allowed to.
fn neighbours(package: &Package, rules: &BTreeMap<&str, &[&str]>, known: &[&str]) -> Vec<String> {
    let dependencies = package.dependencies.iter().map(|dependency| dependency.name.as_str());
    dependencies
        .filter(|name| rules.contains_key(name) && !known.contains(name) && *name != package.name.as_str())
        .map(|name| format!("{} may not know {name}", package.name))
        .collect()
}

/// Other people's crates in a room they do not belong to. Tests may use what they like.
fn strangers(package: &Package) -> Vec<String> {
    let room = package.name.strip_prefix("computepool-").unwrap_or(&package.name);
    let used = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    used.filter_map(|dependency| {
        let (_, rooms) = BELONGS.iter().find(|(pattern, _)| matches(pattern, &dependency.name))?;
        let allowed = rooms.contains(&room);
        (!allowed).then(|| format!("{room} may not use {} (it belongs to {})", dependency.name, rooms.join(", ")))
    })
    .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// What every manifest says: the licence, the workspace's lints, and that it is not published.
fn manifest(package: &Package) -> Vec<String> {
    let mut wrong = Vec::new();
    if package.license.as_deref() != Some("Apache-2.0 OR MIT") {
        wrong.push(format!("{}: its license field should be Apache-2.0 OR MIT", package.name));
    }
    if package.publish.as_deref() != Some(&[]) {
        wrong.push(format!("{}: publish should be false", package.name));
    }
    let text = std::fs::read_to_string(&package.manifest_path).unwrap_or_default();
    if !text.replace(' ', "").contains("[lints]\nworkspace=true") {
        wrong.push(format!("{}: [lints] workspace = true is missing", package.name));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_knows_only_whom_it_may() {
        let wrong = violations(&metadata().unwrap());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_breach_is_seen() {
        let mut metadata = metadata().unwrap();
        let engine = metadata.packages.iter().find(|package| package.name.as_str() == "computepool-engine");
        let candle = engine.and_then(|p| p.dependencies.iter().find(|d| d.name == "candle-core")).cloned().unwrap();
        let mut app = candle.clone();
        app.name = "computepool-app".into();
        let core = metadata.packages.iter_mut().find(|package| package.name.as_str() == "computepool-core").unwrap();
        core.dependencies.extend([candle, app]);
        let wrong = violations(&metadata);
        assert!(wrong.contains(&"computepool-core may not know computepool-app".to_owned()), "{wrong:?}");
        assert!(wrong.contains(&"core may not use candle-core (it belongs to engine)".to_owned()), "{wrong:?}");
    }
}
