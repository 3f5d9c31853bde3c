//! How a network is shown.

use std::collections::BTreeMap;

use crate::lab::network::Status;
use crate::lab::table::Table;

fn layers(status: &Status, id: &str) -> String {
    match status.node(id).and_then(|node| node.layers) {
        Some(layers) => format!("{}..{}", layers.start, layers.end),
        None => "-".to_owned(),
    }
}

/// The nodes: how they are reached and what they serve.
pub(super) fn print_nodes(status: &Status) {
    let mut table = Table::new(&["node", "reach", "place", "phase", "paths", "reason"]);
    for node in &status.nodes {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for link in &node.links {
            *kinds.entry(&link.kind).or_default() += 1;
        }
        let paths: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        table.row([
            node.name.clone(),
            node.reach.clone(),
            layers(status, &node.node),
            node.phase.clone(),
            paths.join(", "),
            node.reason.clone(),
        ]);
    }
    table.print("Nodes");
}

/// The paths between nodes, as they measured them.
pub(super) fn print_paths(status: &Status) {
    let name = |id: &str| status.node(id).map_or_else(|| id.to_owned(), |node| node.name.clone());
    let rate = |rate: Option<u64>| rate.map_or("-".to_owned(), |rate| format!("{:.1}", rate as f64 * 8.0 / 1e6));
    let mut table = Table::new(&["from", "to", "kind", "rtt ms", "up Mbit/s", "down Mbit/s"]);
    for node in &status.nodes {
        for link in &node.links {
            table.row([
                node.name.clone(),
                name(&link.peer),
                link.kind.clone(),
                format!("{:.1}", link.rtt_us as f64 / 1e3),
                rate(link.up),
                rate(link.down),
            ]);
        }
    }
    table.print("Paths, as measured");
}
