//! `computepool network` and `computepool preflight`: what there is, and what can be.

use std::collections::BTreeMap;
use std::time::Duration;

use computepool_app::preflight;
use computepool_core::ports::{NetworkStatus, NodeStatus, Pace, PoolStatus, ShardPhase};
use computepool_core::{Fault, FaultCode, LinkMeasure, NodeId, PathKind, Reach};

use crate::arguments::{NetworkArguments, PreflightArguments};
use crate::show::{bytes, table};
use computepool_app::endpoint::Endpoint;

/// Prints the network that an endpoint belongs to.
pub(crate) async fn show(arguments: NetworkArguments) -> Result<(), Fault> {
    let status = Endpoint::new(&arguments.endpoint, arguments.key).get("/network").await?;
    let status: NetworkStatus = serde_json::from_value(status)
        .map_err(|error| Fault::new(FaultCode::BadFrame, format!("the endpoint speaks of another network: {error}")))?;
    let names: BTreeMap<&NodeId, &str> = status.nodes.iter().map(|node| (&node.node, node.name.as_str())).collect();
    println!("{}", nodes(&status.nodes));
    println!("{}", paths(&status.nodes, &names));
    for pool in &status.pools {
        println!("{}", served(pool, &names));
    }
    println!(
        "{} sessions, {} generations running; {} went on after a loss, {} were handed over",
        status.sessions, status.generations, status.failovers, status.handovers
    );
    Ok(())
}

/// Says what this machine's network allows.
pub(crate) async fn preflight(arguments: PreflightArguments) -> Result<(), Fault> {
    for sentence in preflight::look(&arguments.join, Duration::from_secs(arguments.seconds)).await? {
        println!("{sentence}");
    }
    Ok(())
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn nodes(nodes: &[NodeStatus]) -> String {
    let mut rows = vec![row(["node", "layers", "state", "reach", "device", "runs", "pace"])];
    for node in nodes {
        let layers = node.layers.map_or_else(|| "-".to_owned(), |layers| layers.to_string());
        let device = node.shard.as_ref().map_or("-", |shard| shard.device.as_str());
        let fetched = |progress: computepool_core::ports::FetchProgress| {
            format!("fetching {} of {}", bytes(progress.present), bytes(progress.needed))
        };
        let state = node.fetching.map_or_else(|| phase(node.phase).to_owned(), fetched);
        // What was seen of it, beside what it says of itself.
        let pace = match node.slowness {
            0 => "-".to_owned(),
            slowness => format!("{:.2}x", f64::from(slowness) / 1000.0),
        };
        let runs = node.generations.to_string();
        rows.push(row([&node.name, &layers, &state, reach(node.reach), device, &runs, &pace]));
    }
    table(&rows)
}

fn paths(nodes: &[NodeStatus], names: &BTreeMap<&NodeId, &str>) -> String {
    let mut rows = vec![row(["path", "kind", "round trip", "up", "down"])];
    for node in nodes {
        for LinkMeasure { peer, kind, rtt_us, up, down } in &node.links {
            let path = format!("{} > {}", node.name, names.get(peer).copied().unwrap_or(peer.as_str()));
            let trip = format!("{:.1} ms", *rtt_us as f64 / 1000.0);
            let rate = |rate: &Option<u64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{}/s", bytes(rate)));
            rows.push(row([&path, path_kind(*kind), &trip, &rate(up), &rate(down)]));
        }
    }
    table(&rows)
}

fn served(pool: &PoolStatus, names: &BTreeMap<&NodeId, &str>) -> String {
    let listed = |nodes: &[NodeId]| {
        let names: Vec<&str> = nodes.iter().map(|node| names.get(node).copied().unwrap_or(node.as_str())).collect();
        if names.is_empty() { "-".to_owned() } else { names.join(", ") }
    };
    let mut rows = vec![row([pool.model.as_str(), "ready", "coming"])];
    for place in &pool.places {
        rows.push(row([&format!("  layers {}", place.layers), &listed(&place.ready), &listed(&place.coming)]));
    }
    let mut text = table(&rows);
    let pace = |what: &str, pace: Option<Pace>| {
        pace.map_or_else(String::new, |pace| {
            let (each, first) = (pace.token_us as f64 / 1000.0, pace.first_us as f64 / 1000.0);
            format!("  {what}: {each:.1} ms a token ({:.1} a second), the first after {first:.0} ms\n", 1000.0 / each)
        })
    };
    text.push_str(&pace("predicted", pool.predicted));
    text.push_str(&pace("measured", pool.measured));
    match pool.spares {
        Some(spares) => text.push_str(&format!("  {spares} nodes could be lost at any place without a gap\n")),
        None => text.push_str("  there is a gap: it cannot be asked now\n"),
    }
    if let Some(advice) = &pool.advice {
        text.push_str(&format!("  {advice}\n"));
    }
    text
}

fn phase(phase: ShardPhase) -> &'static str {
    match phase {
        ShardPhase::Idle => "idle",
        ShardPhase::Loading => "loading",
        ShardPhase::Ready => "ready",
        ShardPhase::Down => "down",
        ShardPhase::Draining => "leaving",
    }
}

fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Unknown => "unknown",
        Reach::Public => "public",
        Reach::Punchable => "punchable",
        Reach::Relayed => "relayed",
    }
}

fn path_kind(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Lan => "lan",
        PathKind::Direct => "direct",
        PathKind::Relayed => "relayed",
    }
}
