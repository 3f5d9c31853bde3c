//! What the rest of a route costs at least.
//!
//! Let a *walk* be a route that may come to the same machine more than once. The cheapest walk that completes a route is
//! found by dynamic programming over `(blocks done, machine)` alone, since it need not remember where it was; it costs no
//! more than the cheapest route, because every route is a walk.
//!
//! The bound is made tight by prices (Lagrangian relaxation): every visit to machine `x` costs `λₓ ≥ 0` more, and every
//! machine that is not on the route yet gives `λₓ` back, used or not:
//!
//! ```text
//! bound(blocks, last, used) = walk_λ(blocks, last) − Σ_{x ∉ used} λₓ  ≤  the cheapest completion by a route
//! ```
//!
//! A route visits each unused machine at most once and each used one not at all, so at its true cost it pays no more
//! prices than are given back. And the bound is *consistent*: going on to an unused machine `x` takes the edge's cost
//! `c` and the refund of `x` out of the sum, and `walk_λ(here) ≤ c + λₓ + walk_λ(there)` is what the recursion minimises.

use super::field::{Field, NEVER};

/// For one entry machine, or for any: the cheapest walks from everywhere to the end.
#[derive(Clone)]
pub(super) struct Bound {
    entry: Option<usize>,
    levels: usize,
    counted: Count,
    prices: Vec<u64>,
    total: u64,
    /// By level, block and machine: the cheapest walk to the end, where the machine's run ended before the block.
    done: Vec<u64>,
    /// The same where the machine's run begins with the block.
    begun: Vec<u64>,
}

/// How many shards a route may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// So many.
    Exactly(usize),
    /// Up to so many.
    AtMost(usize),
    /// Any number.
    Any,
}

impl Count {
    /// The same for a choice from so many machines: more shards than that there cannot be, and need not be counted.
    pub(super) fn among(self, machines: usize) -> Self {
        match self {
            Self::AtMost(most) if most >= machines => Self::Any,
            counted => counted,
        }
    }

    /// How many more may follow after `shards`; 0 also where that is not counted.
    pub(super) fn left(self, shards: usize) -> usize {
        match self {
            Self::Exactly(most) | Self::AtMost(most) => most.saturating_sub(shards),
            Self::Any => 0,
        }
    }

    /// Whether a route may end after `shards`.
    pub(super) fn may_end(self, shards: usize) -> bool {
        match self {
            Self::Exactly(wanted) => shards == wanted,
            Self::AtMost(most) => shards <= most,
            Self::Any => true,
        }
    }

    /// Whether a route may go on after `shards`.
    pub(super) fn may_go_on(self, shards: usize) -> bool {
        match self {
            Self::Exactly(most) | Self::AtMost(most) => shards < most,
            Self::Any => true,
        }
    }
}

impl Bound {
    /// The bound for routes that begin at `entry`, or anywhere; `prices` by machine.
    pub(super) fn new(field: &Field, counted: Count, entry: Option<usize>, prices: Vec<u64>) -> Self {
        let levels = match counted {
            Count::Exactly(most) | Count::AtMost(most) => most.max(1),
            Count::Any => 1,
        };
        let size = levels * (field.layers + 1) * field.machines();
        let total = (0..field.machines()).filter(|x| Some(*x) != entry).map(|x| prices[x]).sum();
        let (done, begun) = (vec![NEVER; size], vec![NEVER; size]);
        let mut bound = Self { entry, levels, counted, prices, total, done, begun };
        bound.fill(field);
        bound
    }

    fn slot(&self, field: &Field, level: usize, block: usize, machine: usize) -> usize {
        (level * (field.layers + 1) + block) * field.machines() + machine
    }

    fn fill(&mut self, field: &Field) {
        let n = field.machines();
        for level in 0..self.levels {
            if level == 0 || !matches!(self.counted, Count::Exactly(_)) {
                for machine in 0..n {
                    let slot = self.slot(field, level, field.layers, machine);
                    self.done[slot] = match self.entry {
                        Some(entry) => field.close(machine, entry),
                        None => field.close_anywhere(machine),
                    };
                }
            }
            let before = if self.counted == Count::Any { Some(level) } else { level.checked_sub(1) };
            for block in (0..field.layers).rev() {
                for machine in 0..n {
                    let ends = field.ends(machine, block);
                    let Some(blocks) = ends.start().checked_sub(block).filter(|_| !ends.is_empty()) else { continue };
                    let first = self.slot(field, level, *ends.start(), machine);
                    let rate = field.rate[machine];
                    let (mut least, mut run) = (NEVER, field.run(machine, blocks));
                    for rest in self.done[first..].iter().step_by(n).take(ends.end() + 1 - ends.start()) {
                        least = least.min(run + rest);
                        run += rate;
                    }
                    let slot = self.slot(field, level, block, machine);
                    self.begun[slot] = least;
                }
                let Some(before) = before else { continue };
                let next = self.slot(field, before, block, 0);
                let open: Vec<u64> =
                    self.begun[next..][..n].iter().zip(&self.prices).map(|(rest, price)| rest + price).collect();
                for machine in 0..n {
                    let arcs = field.arcs(machine).iter().zip(&open).enumerate();
                    let others = arcs.filter(|(to, _)| *to != machine).map(|(_, (arc, rest))| arc + rest);
                    let least = others.min().unwrap_or(NEVER).min(NEVER);
                    let slot = self.slot(field, level, block, machine);
                    self.done[slot] = least;
                }
            }
        }
    }

    /// What a route costs at least of which `shards` end before `block` with machine `last`. `paid` is the sum of the
    /// prices of the machines on it, the entry's left out.
    pub(super) fn rest(&self, field: &Field, shards: usize, block: usize, last: usize, paid: u64) -> u64 {
        let walk = self.done[self.slot(field, self.counted.left(shards), block, last)];
        if walk >= NEVER { NEVER } else { (walk + paid).saturating_sub(self.total) }
    }

    /// What a route costs at least that begins at `entry`.
    pub(super) fn whole(&self, field: &Field, entry: usize) -> u64 {
        let walk = self.begun[self.slot(field, self.counted.left(1), 0, entry)];
        let paid = walk + field.step + self.opening(entry);
        if walk >= NEVER { NEVER } else { paid.saturating_sub(self.total) }
    }

    /// What any route costs at least, and where such a one would begin.
    fn least(&self, field: &Field) -> (u64, usize) {
        let entries = match self.entry {
            Some(entry) => entry..entry + 1,
            None => 0..field.machines(),
        };
        entries.map(|entry| (self.whole(field, entry), entry)).min().unwrap_or((NEVER, 0))
    }

    /// The price of a machine.
    pub(super) fn price(&self, machine: usize) -> u64 {
        self.prices[machine]
    }

    /// What has been paid when a route has begun at `entry`. An entry that is given has no price: it is always used.
    pub(super) fn opening(&self, entry: usize) -> u64 {
        if self.entry.is_some() { 0 } else { self.prices[entry] }
    }

    /// The same prices, for routes from one entry.
    pub(super) fn from(&self, field: &Field, entry: usize) -> Self {
        Self::new(field, self.counted, Some(entry), self.prices.clone())
    }

    /// How often the cheapest walk from `entry` comes to each machine.
    fn visits(&self, field: &Field, entry: usize) -> Vec<u64> {
        let mut visits = vec![0; field.machines()];
        let (mut shards, mut block, mut machine) = (1, 0, entry);
        loop {
            visits[machine] += 1;
            let level = self.counted.left(shards);
            let cost = |end: usize| field.run(machine, end - block) + self.done[self.slot(field, level, end, machine)];
            let Some(end) = field.ends(machine, block).min_by_key(|end| cost(*end)) else { return visits };
            block = end;
            if block == field.layers || !self.counted.may_go_on(shards) {
                return visits;
            }
            shards += 1;
            let next = self.slot(field, self.counted.left(shards), block, 0);
            let cost = |to: usize| field.arc(machine, to) + self.prices[to] + self.begun[next + to];
            let Some(to) = (0..field.machines()).filter(|to| *to != machine).min_by_key(|to| cost(*to)) else {
                return visits;
            };
            machine = to;
        }
    }

    /// Raises the prices of machines that the cheapest walk comes to more than once, and lowers those of machines that it
    /// does without, until the bound reaches `known` or `rounds` are over (subgradient ascent with Polyak's step, which is
    /// halved whenever it has not helped for a while). Answers the best.
    pub(super) fn raised(self, field: &Field, known: u64, rounds: usize) -> Self {
        let counted = self.counted;
        let (mut best, mut now) = (self.clone(), self);
        let (mut halvings, mut in_vain) = (0_u32, 0);
        for _ in 0..rounds {
            let (reached, entry) = now.least(field);
            if reached >= known {
                return now;
            }
            let visits = now.visits(field, entry);
            let over: Vec<i64> = visits.iter().map(|visits| *visits as i64 - 1).collect();
            let matters = |x: usize| over[x] > 0 || (over[x] < 0 && now.prices[x] > 0);
            let square: u64 = (0..over.len()).filter(|x| matters(*x)).map(|x| over[x].unsigned_abs().pow(2)).sum();
            if square == 0 {
                // The walk is a route, and no price is paid in vain.
                return now;
            }
            let stride = (((known.min(NEVER) - reached) / square) >> halvings).max(1);
            let mut prices = now.prices.clone();
            for (x, price) in prices.iter_mut().enumerate().filter(|(x, _)| matters(*x)) {
                let by = stride.saturating_mul(over[x].unsigned_abs()).min(NEVER / 64);
                *price = if over[x] > 0 { (*price + by).min(NEVER / 64) } else { price.saturating_sub(by) };
            }
            now = Self::new(field, counted, now.entry, prices);
            if now.least(field).0 > best.least(field).0 {
                (best, in_vain) = (now.clone(), 0);
            } else {
                in_vain += 1;
                if in_vain >= PATIENCE {
                    (now, in_vain) = (best.clone(), 0);
                    halvings += 1;
                    if halvings > HALVINGS {
                        break;
                    }
                }
            }
        }
        best
    }
}

/// After so many rounds without a better bound the step is halved.
const PATIENCE: usize = 5;
/// After so many halvings there is no more to be had.
const HALVINGS: u32 = 10;
