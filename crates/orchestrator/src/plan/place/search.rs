//! Routes, built shard by shard.
//!
//! A *label* is the beginning of a route: its machines, the block it has come to, and what it costs. Labels with the same
//! machines, the same entry, the same last machine and the same block can be completed in the same ways, so that only the
//! cheapest of them counts: this is the dynamic programme over (blocks covered, set of machines, first, last).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::bound::{Bound, Count};
use super::field::{Field, NEVER};

/// The runs of a route, entry first: machine and end.
pub(super) type Runs = Vec<(usize, usize)>;

/// The beginning of a route.
#[derive(Clone, Copy)]
struct Label {
    cost: u64,
    /// The sum of its machines' prices, the entry's left out.
    paid: u64,
    machines: u64,
    entry: u8,
    last: u8,
    block: u16,
    /// What it was before its last shard.
    parent: u32,
}

const NO_PARENT: u32 = u32::MAX;

/// What no other label has that could be completed differently.
type Key = (u64, u8, u8, u16);

impl Label {
    fn key(&self) -> Key {
        (self.machines, self.entry, self.last, self.block)
    }

    fn shards(&self) -> usize {
        self.machines.count_ones() as usize
    }
}

/// The labels that a run of `machine` from `start` on gives, after something that cost `before`.
fn runs(field: &Field, machine: usize, start: usize, before: u64) -> impl Iterator<Item = (usize, u64)> + '_ {
    let cost = move |end: usize| before.saturating_add(field.run(machine, end - start));
    field.ends(machine, start).map(move |end| (end, cost(end)))
}

fn trace(labels: &[Label], mut at: u32) -> Runs {
    let mut runs = Vec::new();
    while let Some(label) = labels.get(at as usize) {
        runs.push((usize::from(label.last), usize::from(label.block)));
        at = label.parent;
    }
    runs.reverse();
    runs
}

/// A route and what it costs.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) cost: u64,
    pub(super) runs: Runs,
}

/// How many labels with one key a beam expects at most among the best.
const ALIKE: usize = 16;

/// The best route that a beam finds: of all beginnings that have come to the same block, the `width` are kept that promise
/// most by `bound`, which is one for any entry. Where shards are counted, those with as many are kept for each number.
pub(super) fn beam(field: &Field, counted: Count, bound: &Bound, width: usize) -> Option<Found> {
    let promise = |label: &Label| {
        label.cost.saturating_add(bound.rest(field, label.shards(), label.block.into(), label.last.into(), label.paid))
    };
    let lanes = counted.left(0).max(1).min(field.machines());
    let lane = |label: &Label| if counted == Count::Any { 0 } else { label.shards() - 1 };
    let mut waiting: Vec<Vec<(u64, Label)>> = vec![Vec::new(); (field.layers + 1) * lanes];
    let mut labels: Vec<Label> = Vec::new();
    let mut best: Option<(u64, u32)> = None;
    let wait = |label: Label, least: u64, waiting: &mut Vec<Vec<(u64, Label)>>| {
        let (promise, lane) = (promise(&label), lane(&label));
        if promise < least && lane < lanes {
            waiting[usize::from(label.block) * lanes + lane].push((promise, label));
        }
    };
    for entry in 0..field.machines() {
        for (end, cost) in runs(field, entry, 0, field.step) {
            let (machines, id, paid) = (1 << entry, entry as u8, bound.opening(entry));
            let label = Label { cost, paid, machines, entry: id, last: id, block: end as u16, parent: NO_PARENT };
            wait(label, NEVER, &mut waiting);
        }
    }
    for bucket in 0..waiting.len() {
        let mut promising = std::mem::take(&mut waiting[bucket]);
        let rank = |(promise, label): &(u64, Label)| (*promise, label.key(), label.cost);
        if promising.len() > ALIKE * width {
            promising.select_nth_unstable_by_key(ALIKE * width, rank);
            promising.truncate(ALIKE * width);
        }
        // Of labels with one key the cheapest comes first; the others go.
        promising.sort_unstable_by_key(rank);
        promising.dedup_by_key(|(_, label)| label.key());
        promising.truncate(width);
        for (promise, label) in promising {
            if best.is_some_and(|(cost, _)| promise >= cost) {
                break;
            }
            let at = labels.len() as u32;
            labels.push(label);
            let (last, block, shards) = (usize::from(label.last), usize::from(label.block), label.shards());
            if block == field.layers {
                let cost = label.cost.saturating_add(field.close(last, label.entry.into()));
                if counted.may_end(shards) && best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, at));
                }
                continue;
            }
            for to in (0..field.machines()).filter(|to| label.machines & (1 << to) == 0) {
                let paid = label.paid + bound.price(to);
                for (end, cost) in runs(field, to, block, label.cost.saturating_add(field.arc(last, to))) {
                    let machines = label.machines | 1 << to;
                    let child = Label { cost, paid, machines, last: to as u8, block: end as u16, parent: at, ..label };
                    wait(child, best.map_or(NEVER, |(cost, _)| cost), &mut waiting);
                }
            }
        }
    }
    best.map(|(cost, at)| Found { cost, runs: trace(&labels, at) })
}

/// Labels that wait to be completed.
struct Frontier<'a> {
    field: &'a Field,
    labels: Vec<Label>,
    /// By what a route costs at least that begins so; of equals, the one that has come further first.
    heap: BinaryHeap<Reverse<(u64, Reverse<u16>, u32)>>,
    cheapest: HashMap<Key, u64>,
    /// Nothing that costs as much is of interest.
    least: u64,
    offered: usize,
}

impl Frontier<'_> {
    fn offer(&mut self, label: Label, bound: &Bound) {
        self.offered += 1;
        let rest = bound.rest(self.field, label.shards(), label.block.into(), label.last.into(), label.paid);
        let promise = label.cost.saturating_add(rest);
        if promise >= self.least {
            return;
        }
        let cheapest = self.cheapest.entry(label.key()).or_insert(u64::MAX);
        if label.cost < *cheapest {
            *cheapest = label.cost;
            self.heap.push(Reverse((promise, Reverse(label.block), self.labels.len() as u32)));
            self.labels.push(label);
        }
    }

    /// The most promising label, its promise and its place, unless nothing left is of interest.
    fn next(&mut self) -> Option<(Label, u64, u32)> {
        while let Some(Reverse((promise, _, at))) = self.heap.pop() {
            if promise >= self.least {
                return None;
            }
            let label = self.labels[at as usize];
            // The same was reached more cheaply since.
            if self.cheapest.get(&label.key()) == Some(&label.cost) {
                return Some((label, promise, at));
            }
        }
        None
    }
}

/// Looks for a route cheaper than `known`, best first (A*), until nothing that is left could be cheaper or `effort` labels
/// were looked at. `bounds` by entry; a missing one says that no route from there is cheaper. Answers what every route
/// costs at least, and the cheapest.
///
/// Because the bounds are consistent, a label is completed only once its cheapest beginning is known; and once the most
/// promising label promises no less than the best route, no other can be cheaper.
pub(super) fn best_first(
    field: &Field,
    counted: Count,
    bounds: &[Option<Bound>],
    known: u64,
    effort: usize,
) -> (u64, Option<Found>) {
    let mut frontier = Frontier {
        field,
        labels: Vec::new(),
        heap: BinaryHeap::new(),
        cheapest: HashMap::new(),
        least: known,
        offered: 0,
    };
    let mut best = None;
    for (entry, bound) in bounds.iter().enumerate() {
        let Some(bound) = bound else { continue };
        for (end, cost) in runs(field, entry, 0, field.step) {
            let (machines, id) = (1 << entry, entry as u8);
            let label = Label { cost, paid: 0, machines, entry: id, last: id, block: end as u16, parent: NO_PARENT };
            frontier.offer(label, bound);
        }
    }
    let mut least = None;
    while let Some((label, promise, at)) = frontier.next() {
        if frontier.offered >= effort {
            least = Some(promise);
            break;
        }
        let Some(bound) = bounds[usize::from(label.entry)].as_ref() else { continue };
        let (last, block, shards) = (usize::from(label.last), usize::from(label.block), label.shards());
        if block == field.layers {
            let cost = label.cost.saturating_add(field.close(last, label.entry.into()));
            if counted.may_end(shards) && cost < frontier.least {
                (frontier.least, best) = (cost, Some(at));
            }
            continue;
        }
        if !counted.may_go_on(shards) {
            continue;
        }
        for to in (0..field.machines()).filter(|to| label.machines & (1 << to) == 0) {
            let paid = label.paid + bound.price(to);
            for (end, cost) in runs(field, to, block, label.cost.saturating_add(field.arc(last, to))) {
                let machines = label.machines | 1 << to;
                let child = Label { cost, paid, machines, last: to as u8, block: end as u16, parent: at, ..label };
                frontier.offer(child, bound);
            }
        }
    }
    let found = best.map(|at| Found { cost: frontier.least, runs: trace(&frontier.labels, at) });
    (least.unwrap_or(frontier.least), found)
}
