//! Which holder of each place serves a request.
//!
//! The places are layers of a graph and their holders its nodes; a route is a path through it, closed to a ring by the
//! way of each token from the exit back to the entry. Its length is a sum over nodes and edges, so that the shortest path
//! from one entry is found by going through the places once (Bellman's recursion), and the shortest ring by doing that for
//! every entry:
//!
//! ```text
//! queue(h)   = 1 + active(h)
//! node(h)    = queue(h) · ( blocks·layer(h) + head(h) at the exit ) + step
//! best(p, h) = node(h) + min over holders g of place p−1:  best(p−1, g) + hop(g, h)
//! ring       = min over entries e, exits x:  best_e(last, x) + back(x, e)
//! ```
//!
//! `queue` is what a stream may have to wait: a machine that serves `a` others and takes them one after the other is
//! `1 + a` times as slow. Engines batch, so it is an upper bound; what matters is that load spreads.
//!
//! It is done from the side, entry or exit, that has fewer holders. That is `min(entries, exits) · Σ holders²` sums.
//!
//! Holders that are to be avoided cost so much that a route with one fewer of them is always shorter, and so much exactly
//! that, among routes with as many of them, the length decides.

use computepool_core::LayerRange;

use super::cost::{hop_ns, limited, return_ns};
use super::{Machine, Paths, Prediction, Problem, predict};

/// A machine that is ready to serve a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which, by its place in the list of machines.
    pub machine: usize,
    /// Generations it takes part in now.
    pub active: u32,
    /// It is to be used only where nobody else can be.
    pub avoid: bool,
}

/// A route through the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// For each place, which of its holders, by its place in their list.
    pub holders: Vec<usize>,
    /// What it is predicted to take a stream that is alone on it.
    pub prediction: Prediction,
    /// How many of its machines were to be avoided.
    pub avoided: usize,
}

/// What a part of a route counts for at most, in nanoseconds: half an hour.
const LONGEST: u64 = 1 << 41;
/// Longer than any route of [`MAX_SHARDS`](crate::MAX_SHARDS) places without a machine that is to be avoided.
const DETOUR: u64 = 1 << 49;
/// Longer than any route, and twice it can still be added.
const UNREACHED: u64 = 1 << 61;

/// Chooses a holder for every place, entry first; `None` where a place has none, or there is no place.
///
/// # Panics
///
/// Where a holder is not in the list of machines.
pub fn route(
    problem: &Problem,
    machines: &[Machine],
    paths: &Paths,
    places: &[(LayerRange, Vec<Holder>)],
) -> Option<Route> {
    if places.is_empty() || places.iter().any(|(_, holders)| holders.is_empty()) {
        return None;
    }
    let graph = Graph::new(problem, machines, paths, places);
    let holders = graph.shortest_ring();
    let chosen: Vec<(LayerRange, usize)> =
        places.iter().zip(&holders).map(|((layers, ready), index)| (*layers, ready[*index].machine)).collect();
    let avoided = places.iter().zip(&holders).filter(|((_, ready), index)| ready[**index].avoid).count();
    Some(Route { prediction: predict(problem, machines, paths, &chosen), holders, avoided })
}

/// Costs in nanoseconds, [`DETOUR`]s included.
struct Graph {
    /// By place and holder.
    nodes: Vec<Vec<u64>>,
    /// By place, holder there, and holder of the next place.
    edges: Vec<Vec<Vec<u64>>>,
    /// By exit and entry.
    back: Vec<Vec<u64>>,
}

impl Graph {
    fn new(problem: &Problem, machines: &[Machine], paths: &Paths, places: &[(LayerRange, Vec<Holder>)]) -> Self {
        let node = |layers: LayerRange, holder: &Holder| {
            let machine = &machines[holder.machine];
            let head = machine.believed(machine.speed.head_ns);
            let head = if layers.is_exit(problem.model.layer_count) { head } else { 0 };
            let work =
                machine.believed(machine.speed.layer_ns).saturating_mul(layers.len().into()).saturating_add(head);
            let alone = work.saturating_mul(1 + u64::from(holder.active)).saturating_add(problem.costs.step_ns);
            alone.min(LONGEST) + if holder.avoid { DETOUR } else { 0 }
        };
        let edge = |from: &Holder, to: &Holder| {
            let path = paths.between(from.machine, to.machine);
            hop_ns(problem, limited(path, &machines[from.machine])).min(LONGEST)
        };
        let back = |exit: &Holder, entry: &Holder| match places.len() {
            1 if exit.machine == entry.machine => 0,
            // With one place there is no ring: the entry is the exit.
            1 => UNREACHED,
            _ => return_ns(problem, paths.between(exit.machine, entry.machine)).min(LONGEST),
        };
        let table = |from: &[Holder], to: &[Holder], of: &dyn Fn(&Holder, &Holder) -> u64| -> Vec<Vec<u64>> {
            from.iter().map(|from| to.iter().map(|to| of(from, to)).collect()).collect()
        };
        let pairs = places.iter().zip(places.iter().skip(1));
        let (first, last) = (&places[0].1, &places[places.len() - 1].1);
        Self {
            nodes: places.iter().map(|(layers, ready)| ready.iter().map(|it| node(*layers, it)).collect()).collect(),
            edges: pairs.map(|((_, from), (_, to))| table(from, to, &edge)).collect(),
            back: table(last, first, &back),
        }
    }

    /// The holder of each place on the shortest ring.
    fn shortest_ring(&self) -> Vec<usize> {
        let (entries, exits) = (self.nodes[0].len(), self.back.len());
        let turned = exits < entries;
        let ring = if turned { self.turned().shortest_forward() } else { self.shortest_forward() };
        if turned { ring.into_iter().rev().collect() } else { ring }
    }

    /// The same ring, the other way round.
    fn turned(&self) -> Self {
        let flipped = |table: &Vec<Vec<u64>>| -> Vec<Vec<u64>> {
            let width = table.first().map_or(0, Vec::len);
            (0..width).map(|to| table.iter().map(|row| row[to]).collect()).collect()
        };
        Self {
            nodes: self.nodes.iter().rev().cloned().collect(),
            edges: self.edges.iter().rev().map(flipped).collect(),
            back: flipped(&self.back),
        }
    }

    fn shortest_forward(&self) -> Vec<usize> {
        let (mut shortest, mut ring) = (u64::MAX, Vec::new());
        for entry in 0..self.nodes[0].len() {
            let mut costs = vec![UNREACHED; self.nodes[0].len()];
            costs[entry] = self.nodes[0][entry];
            let mut origins: Vec<Vec<usize>> = Vec::with_capacity(self.edges.len());
            for (edges, nodes) in self.edges.iter().zip(self.nodes.iter().skip(1)) {
                let mut reached = vec![(u64::MAX, 0); nodes.len()];
                for (from, (cost, row)) in costs.iter().zip(edges).enumerate() {
                    for (best, edge) in reached.iter_mut().zip(row) {
                        *best = (*best).min((cost + edge, from));
                    }
                }
                costs = reached.iter().zip(nodes).map(|((cost, _), node)| cost + node).collect();
                origins.push(reached.into_iter().map(|(_, from)| from).collect());
            }
            let ends = costs.iter().zip(&self.back).map(|(cost, back)| cost + back[entry]);
            let Some((exit, length)) = ends.enumerate().min_by_key(|(_, length)| *length) else { continue };
            if length < shortest {
                shortest = length;
                let mut at = exit;
                ring = vec![at];
                for from in origins.iter().rev() {
                    at = from[at];
                    ring.push(at);
                }
                ring.reverse();
            }
        }
        ring
    }
}
