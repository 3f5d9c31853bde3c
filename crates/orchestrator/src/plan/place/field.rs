//! A placement problem in numbers: what each run of blocks on each machine costs, and each step from one to the next.

use std::ops::RangeInclusive;

use computepool_core::LayerRange;

use crate::plan::cost::{hop_ns, limited, return_ns};
use crate::plan::{Holding, Machine, Paths, Problem};

/// More than any route costs; sums of a few of it do not overflow.
pub(super) const NEVER: u64 = u64::MAX / 8;

/// The most machines a field may have: sets of them are kept as bits.
pub(super) const MOST_MACHINES: usize = 64;

/// Costs in nanoseconds per token. Machines are named by their place in the field; the caller's names are in `names`.
pub(super) struct Field {
    pub(super) names: Vec<usize>,
    pub(super) layers: usize,
    /// One block.
    pub(super) rate: Vec<u64>,
    /// The head.
    head: Vec<u64>,
    /// What every shard costs beside its blocks.
    pub(super) step: u64,
    /// By sender and receiver: the message, and the receiver's step.
    arc: Vec<u64>,
    /// By exit and entry.
    back: Vec<u64>,
    /// By machine and first block: where a run that begins there may end.
    ends: Vec<(u16, u16)>,
}

impl Field {
    /// Takes these of the machines, at most [`MOST_MACHINES`]. Where `only` names ranges for a machine, it gets no others.
    pub(super) fn new(
        problem: &Problem,
        machines: &[Machine],
        paths: &Paths,
        names: Vec<usize>,
        only: &dyn Fn(usize) -> Option<Vec<LayerRange>>,
    ) -> Self {
        let layers = problem.model.layer_count as usize;
        let step = problem.costs.step_ns;
        let each = |of: &dyn Fn(usize) -> u64| names.iter().map(|name| of(*name).min(NEVER)).collect::<Vec<u64>>();
        let pairs = |of: &dyn Fn(usize, usize) -> u64| -> Vec<u64> {
            names.iter().flat_map(|from| names.iter().map(|to| of(*from, *to).min(NEVER))).collect()
        };
        let needs = Needs::new(problem);
        let ends = names.iter().flat_map(|name| needs.ends(&machines[*name], only(*name).as_deref())).collect();
        Self {
            layers,
            step,
            rate: each(&|name| machines[name].believed(machines[name].speed.layer_ns)),
            head: each(&|name| machines[name].believed(machines[name].speed.head_ns)),
            arc: pairs(&|from, to| hop_ns(problem, limited(paths.between(from, to), &machines[from])) + step),
            back: pairs(&|exit, entry| if exit == entry { 0 } else { return_ns(problem, paths.between(exit, entry)) }),
            ends,
            names,
        }
    }

    pub(super) fn machines(&self) -> usize {
        self.names.len()
    }

    /// Where a run on `machine` that begins with block `start` may end; empty where none may begin there.
    pub(super) fn ends(&self, machine: usize, start: usize) -> RangeInclusive<usize> {
        let (near, far) = self.ends[machine * self.layers + start];
        near.into()..=far.into()
    }

    /// From one machine's last block to the next one's first, with that one's step.
    pub(super) fn arc(&self, from: usize, to: usize) -> u64 {
        self.arc[from * self.machines() + to]
    }

    /// By receiver, what [`arc`](Self::arc) says.
    pub(super) fn arcs(&self, from: usize) -> &[u64] {
        let n = self.machines();
        &self.arc[from * n..][..n]
    }

    /// The head, and the token's way back to the entry.
    pub(super) fn close(&self, exit: usize, entry: usize) -> u64 {
        self.head[exit] + self.back[exit * self.machines() + entry]
    }

    /// The head, and the shortest way back to any entry.
    pub(super) fn close_anywhere(&self, exit: usize) -> u64 {
        let n = self.machines();
        self.head[exit] + self.back[exit * n..][..n].iter().min().copied().unwrap_or(0)
    }

    pub(super) fn run(&self, machine: usize, blocks: usize) -> u64 {
        self.rate[machine].saturating_mul(blocks as u64).min(NEVER)
    }
}

/// What ranges need of memory, by running sums.
pub(super) struct Needs<'a> {
    problem: &'a Problem<'a>,
    /// Bytes of the blocks before this one.
    before: Vec<u64>,
}

impl<'a> Needs<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        let mut before = vec![0_u64];
        for bytes in &problem.model.layer_bytes {
            before.push(before.last().map_or(0, |sum| sum.saturating_add(*bytes)));
        }
        before.resize(problem.model.layer_count as usize + 1, u64::MAX);
        Self { problem, before }
    }

    /// The same as [`Problem::need_bytes`].
    fn bytes(&self, start: usize, end: usize) -> u64 {
        let model = self.problem.model;
        let embedding = if start == 0 { model.embedding_bytes } else { 0 };
        let head = if end == model.layer_count as usize { model.head_bytes } else { 0 };
        let blocks = self.before[end] - self.before[start];
        let beside = self.problem.kv_need((end - start) as u32).saturating_add(self.problem.reserve_bytes);
        blocks.saturating_add(embedding).saturating_add(head).saturating_add(beside)
    }

    /// For each first block, the nearest and the furthest end that the machine allows; `(1, 0)` where there is none.
    ///
    /// A longer range needs more, so the ends that fit are all those up to some furthest one.
    pub(super) fn ends(&self, machine: &Machine, only: Option<&[LayerRange]>) -> Vec<(u16, u16)> {
        let layers = self.problem.model.layer_count as usize;
        let (mut furthest, mut ends) = (0, Vec::with_capacity(layers));
        for start in 0..layers {
            // It does not move back: without its first block, a range needs less.
            furthest = furthest.max(start);
            while furthest < layers && self.bytes(start, furthest + 1) <= machine.memory_bytes {
                furthest += 1;
            }
            let (mut near, mut far) = (start + 1, furthest);
            let mut narrow = |range: Option<LayerRange>| {
                near = near.max(range.map_or(usize::MAX, |range| range.end() as usize));
                far = far.min(range.map_or(0, |range| range.end() as usize));
            };
            let begins = |range: &LayerRange| range.start() as usize == start;
            if let Some(insisted) = machine.insisted {
                narrow(Some(insisted).filter(begins));
            }
            if let Some(only) = only {
                narrow(only.iter().copied().find(begins));
            }
            if !machine.fetches {
                far = match machine.holds {
                    Holding::Nothing => 0,
                    Holding::Range(held) if (held.start() as usize) > start => 0,
                    Holding::Range(held) => far.min(held.end() as usize),
                    Holding::Whole => far,
                };
            }
            ends.push(if near <= far { (near as u16, far as u16) } else { (1, 0) });
        }
        ends
    }

    /// The most blocks that fit the machine in one range, wherever it begins.
    pub(super) fn room(&self, machine: &Machine) -> usize {
        let ends = self.ends(machine, None);
        let runs = ends.iter().enumerate().map(|(start, (_, far))| usize::from(*far).saturating_sub(start));
        runs.max().unwrap_or(0)
    }
}
