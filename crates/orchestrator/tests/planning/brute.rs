//! Every route there is, one after the other: what the planner's answers are held against.
//!
//! The cost of a token is written down here once more, from the formula and not from the planner's code.

use computepool_core::LayerRange;
use computepool_orchestrator::plan::{Machine, Paths, Problem, Shards};

/// The least nanoseconds from token to token over all sets of machines, all orders and all cuts; `None` where nothing
/// fits.
pub(crate) fn least_token_ns(problem: &Problem, machines: &[Machine], paths: &Paths) -> Option<u64> {
    let mut search = Search { problem, machines, paths, route: Vec::new(), least: None };
    search.go_on(0, 0);
    search.least
}

struct Search<'a> {
    problem: &'a Problem<'a>,
    machines: &'a [Machine],
    paths: &'a Paths,
    route: Vec<usize>,
    least: Option<u64>,
}

impl Search<'_> {
    fn go_on(&mut self, block: u32, cost: u64) {
        let layers = self.problem.model.layer_count;
        if block == layers {
            return self.end(cost);
        }
        for next in 0..self.machines.len() {
            if self.route.contains(&next) {
                continue;
            }
            let hop = self.route.last().map_or(0, |last| self.hop(*last, next));
            self.route.push(next);
            for end in block + 1..=layers {
                let range = LayerRange::new(block, end).expect("not empty");
                let machine = &self.machines[next];
                if self.problem.suits(range, machine) {
                    let layer = machine.speed.layer_ns * u64::from(machine.slowness) / 1000;
                    let run = layer * u64::from(end - block) + self.problem.costs.step_ns;
                    self.go_on(end, cost + hop + run);
                }
            }
            self.route.pop();
        }
    }

    fn hop(&self, from: usize, to: usize) -> u64 {
        let path = self.paths.between(from, to);
        let rate = path.bytes_per_second.min(self.machines[from].upload_limit.unwrap_or(u64::MAX));
        let bytes = u64::from(self.problem.model.hidden) * 4;
        path.rtt_us * 500 + bytes * 1_000_000_000 / rate + self.problem.costs.hop_ns
    }

    fn end(&mut self, cost: u64) {
        let (shards, entry, exit) = (self.route.len(), self.route[0], self.route[self.route.len() - 1]);
        let allowed = match self.problem.shards {
            Shards::Exactly(wanted) => shards == wanted,
            Shards::AtMost(most) => shards <= most,
        };
        if !allowed {
            return;
        }
        let head = self.machines[exit].speed.head_ns * u64::from(self.machines[exit].slowness) / 1000;
        let back =
            if shards == 1 { 0 } else { self.paths.between(exit, entry).rtt_us * 500 + self.problem.costs.hop_ns };
        let whole = cost + head + back;
        self.least = Some(self.least.map_or(whole, |least| least.min(whole)));
    }
}
