//! What lies between machines, as they measured it.

use std::collections::HashMap;

use computepool_core::{LinkMeasure, NodeId, PathKind};

/// One way from one machine to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// What lies between; absent where nobody has measured.
    pub kind: Option<PathKind>,
    /// Round trip time in microseconds.
    pub rtt_us: u64,
    /// Bytes a second that arrive.
    pub bytes_per_second: u64,
}

impl Path {
    /// What is assumed between machines that have not measured each other: a relay on another continent. Whoever has
    /// measured a path is preferred to whoever has not.
    pub const UNMEASURED: Self = Self { kind: None, rtt_us: 150_000, bytes_per_second: 500_000 };
}

/// What is assumed of a path whose round trip is known and whose throughput is not, in bytes a second: 100 Mbit/s in a
/// local network, 10 Mbit/s of somebody's uplink, and less through a relay.
fn assumed_throughput(kind: PathKind) -> u64 {
    match kind {
        PathKind::Lan => 12_500_000,
        PathKind::Direct => 1_250_000,
        PathKind::Relayed => 625_000,
    }
}

/// The paths between machines, which are named by their place in a list. Only measured ones take room.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// By sender, sorted by receiver.
    rows: Vec<Vec<(u32, Report)>>,
}

/// What is known of the way from one machine to another, from either end.
#[derive(Clone, Copy, Debug)]
struct Report {
    kind: PathKind,
    rtt_us: u64,
    throughput: Option<u64>,
}

impl Report {
    /// Two reports of the same way: the worse figure counts, so that nobody is chosen for having said too much.
    fn joined(self, other: Self) -> Self {
        let throughput = match (self.throughput, other.throughput) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { kind: self.kind.max(other.kind), rtt_us: self.rtt_us.max(other.rtt_us), throughput }
    }
}

impl Paths {
    /// No path is known; the list has `machines` entries.
    pub fn unmeasured(machines: usize) -> Self {
        Self { rows: vec![Vec::new(); machines] }
    }

    /// What machines say of their links, in the order in which they will be named. Links to others are left out.
    ///
    /// A sender's [`up`](LinkMeasure::up) and the receiver's [`down`](LinkMeasure::down) are two accounts of one way.
    pub fn measured<'a>(machines: impl IntoIterator<Item = (&'a NodeId, &'a [LinkMeasure])>) -> Self {
        let machines: Vec<(&NodeId, &[LinkMeasure])> = machines.into_iter().collect();
        let places: HashMap<&NodeId, usize> =
            machines.iter().enumerate().map(|(place, (node, _))| (*node, place)).collect();
        let mut paths = Self::unmeasured(machines.len());
        for (here, (_, links)) in machines.iter().enumerate() {
            for link in *links {
                let Some(&there) = places.get(&link.peer) else { continue };
                let report = |throughput| Report { kind: link.kind, rtt_us: link.rtt_us, throughput };
                paths.rows[here].push((there as u32, report(link.up)));
                paths.rows[there].push((here as u32, report(link.down)));
            }
        }
        paths.settle();
        paths
    }

    /// Sorts all rows, and joins what was said twice.
    fn settle(&mut self) {
        for row in &mut self.rows {
            row.sort_by_key(|(to, _)| *to);
            row.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 = kept.1.joined(next.1);
                }
                same
            });
        }
    }

    /// The way from one machine to another; the assumed one where it was not measured. No way is needed to oneself.
    pub fn between(&self, from: usize, to: usize) -> Path {
        if from == to {
            return Path { kind: Some(PathKind::Lan), rtt_us: 0, bytes_per_second: u64::MAX };
        }
        let found = self.rows.get(from).and_then(|row| {
            let place = row.binary_search_by_key(&(to as u32), |(to, _)| *to).ok()?;
            Some(row[place].1)
        });
        found.map_or(Path::UNMEASURED, |report| Path {
            kind: Some(report.kind),
            rtt_us: report.rtt_us,
            bytes_per_second: report.throughput.unwrap_or_else(|| assumed_throughput(report.kind)).max(1),
        })
    }

    /// To whom the way from `from` was measured by either.
    pub fn neighbours(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        self.rows.get(from).into_iter().flatten().map(|(to, _)| *to as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_account_for_a_way_and_the_worse_figure_counts() {
        let node = |name: &str| NodeId::new(name).unwrap();
        let (a, b, c) = (node("a"), node("b"), node("c"));
        let link = |peer: &NodeId, kind, rtt_us, up, down| LinkMeasure { peer: peer.clone(), kind, rtt_us, up, down };
        let of_a = [
            link(&b, PathKind::Direct, 20_000, Some(9_000_000), None),
            link(&node("stranger"), PathKind::Lan, 1, None, None),
        ];
        let of_b = [link(&a, PathKind::Direct, 30_000, Some(700_000), Some(3_000_000))];
        let paths = Paths::measured([(&a, of_a.as_slice()), (&b, of_b.as_slice()), (&c, [].as_slice())]);
        let forth = paths.between(0, 1);
        assert_eq!((forth.rtt_us, forth.bytes_per_second), (30_000, 3_000_000));
        let back = paths.between(1, 0);
        assert_eq!((back.rtt_us, back.bytes_per_second), (30_000, 700_000));
        assert_eq!(paths.between(0, 2), Path::UNMEASURED);
        assert_eq!(paths.between(2, 2).rtt_us, 0);
        assert_eq!(paths.neighbours(0).collect::<Vec<_>>(), [1]);
        assert_eq!(paths.neighbours(7).count(), 0, "whoever is not in the list knows nobody");
    }

    #[test]
    fn a_throughput_nobody_measured_is_assumed_by_kind() {
        let (a, b) = (NodeId::new("a").unwrap(), NodeId::new("b").unwrap());
        let link = |kind| [LinkMeasure { peer: b.clone(), kind, rtt_us: 500, up: None, down: None }];
        let through =
            |kind| Paths::measured([(&a, link(kind).as_slice()), (&b, [].as_slice())]).between(0, 1).bytes_per_second;
        assert!(through(PathKind::Lan) > through(PathKind::Direct));
        assert!(through(PathKind::Direct) > through(PathKind::Relayed));
        assert!(through(PathKind::Relayed) > Path::UNMEASURED.bytes_per_second);
    }
}
