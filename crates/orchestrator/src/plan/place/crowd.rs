//! Too many machines to look at every route: which of them are worth it.
//!
//! A good ring lies in one neighbourhood. Each machine is tried as the middle of one: the others are ranked by what a
//! block on them would cost, with the way from the middle shared out over as many blocks as they have room for,
//!
//! ```text
//! worth(x | middle) = layer(x) + ( step + hop(middle, x) ) / room(x)
//! ```
//!
//! and the neighbourhood is as good as the cheapest machines of it that have room for the model. The few most promising
//! ones are cut down to as many machines as an exact search can look at, and solved. The best ring is then improved as
//! long as that helps: its own machines and those that are cheapest beside any of *them* are the next neighbourhood.
//!
//! Nothing is proven about the result. `make simulate` says how far it is from the optimum where that is known.

use super::bound::{Bound, Count};
use super::exact::cheapest;
use super::field::{Field, MOST_MACHINES, Needs};
use super::search::{Found, beam};
use super::{Proof, unlimited};
use crate::plan::cost::{hop_ns, limited};
use crate::plan::{Machine, Paths, Problem};

/// Neighbourhoods that a beam looks at, and of these, such as are searched.
const TRIED: usize = 8;
const SEARCHED: usize = 2;
/// Machines that count as near to everybody: the best by themselves.
const FAMOUS: usize = 32;
/// Beginnings that the beam keeps.
const BEAM: usize = 2;
/// The same where too many machines are needed for more than a beam.
const WIDE_BEAM: usize = 8;
/// What part of the effort that a proof may take is spent on one neighbourhood.
const SHARE: usize = 40;
/// How often the best ring's surroundings are searched.
const ROUNDS: usize = 6;

/// A machine by itself.
struct Standing {
    name: usize,
    layer_ns: u64,
    /// The most blocks it has room for.
    room: usize,
}

pub(super) struct Crowd<'a> {
    problem: &'a Problem<'a>,
    machines: &'a [Machine],
    paths: &'a Paths,
    counted: Count,
    /// By name; none for who can serve nothing.
    standing: Vec<Option<Standing>>,
    /// The best by themselves, best first.
    famous: Vec<usize>,
    /// How many machines a search is given.
    size: usize,
}

impl<'a> Crowd<'a> {
    /// The machines named in `names`, of which a search is given `size` at once.
    pub(super) fn new(
        problem: &'a Problem<'a>,
        machines: &'a [Machine],
        paths: &'a Paths,
        names: &[usize],
        counted: Count,
        size: usize,
    ) -> Self {
        let needs = Needs::new(problem);
        let mut standing: Vec<Option<Standing>> = machines.iter().map(|_| None).collect();
        for &name in names {
            let machine = &machines[name];
            let room = needs.room(machine);
            let layer_ns = machine.believed(machine.speed.layer_ns);
            standing[name] = (room > 0).then_some(Standing { name, layer_ns, room });
        }
        let mut crowd = Self { problem, machines, paths, counted, standing, famous: Vec::new(), size };
        let far = |standing: &Standing| crowd.worth(standing, 0);
        let mut ranked: Vec<(u64, usize)> = crowd.standing.iter().flatten().map(|it| (far(it), it.name)).collect();
        ranked.sort_unstable();
        ranked.truncate(FAMOUS);
        crowd.famous = ranked.into_iter().map(|(_, name)| name).collect();
        crowd
    }

    /// What a block on the machine costs, if the way to it takes `hop` nanoseconds.
    fn worth(&self, standing: &Standing, hop: u64) -> u64 {
        let share = match self.counted {
            Count::Exactly(shards) => (self.problem.model.layer_count as usize / shards.max(1)).max(1),
            Count::AtMost(_) | Count::Any => usize::MAX,
        };
        let way = self.problem.costs.step_ns.saturating_add(hop) / standing.room.min(share) as u64;
        standing.layer_ns.saturating_add(way)
    }

    fn hop(&self, from: usize, to: usize) -> u64 {
        if from == to { 0 } else { hop_ns(self.problem, limited(self.paths.between(from, to), &self.machines[from])) }
    }

    /// Whoever is worth looking at beside `middle`, best first, `middle` itself and those in `with` before all others.
    fn around(&self, middle: &[usize]) -> Vec<(u64, usize)> {
        let mut near: Vec<usize> =
            middle.iter().flat_map(|name| self.paths.neighbours(*name)).chain(self.famous.iter().copied()).collect();
        near.sort_unstable();
        near.dedup();
        let mut ranked: Vec<(u64, usize)> = near
            .into_iter()
            .filter(|name| !middle.contains(name))
            .filter_map(|name| {
                let standing = self.standing.get(name)?.as_ref()?;
                let hop = middle.iter().map(|from| self.hop(*from, name)).min().unwrap_or(0);
                Some((self.worth(standing, hop), name))
            })
            .collect();
        ranked.sort_unstable();
        ranked
    }

    /// What the model would cost on `middle` and the cheapest machines around it; the less, the more promising.
    fn promise(&self, middle: &Standing) -> u64 {
        let mut left = self.problem.model.layer_count as usize;
        let mut cost = 0_u64;
        let mut take = |standing: &Standing, worth: u64| {
            let blocks = standing.room.min(left);
            left -= blocks;
            cost = cost.saturating_add(worth.saturating_mul(blocks as u64));
            left > 0
        };
        if !take(middle, self.worth(middle, 0)) {
            return cost;
        }
        for (worth, name) in self.around(&[middle.name]) {
            let Some(standing) = &self.standing[name] else { continue };
            if !take(standing, worth) {
                return cost;
            }
        }
        // There is not enough room around it.
        cost.saturating_add(u64::from(u32::MAX).saturating_mul(left as u64))
    }

    /// A neighbourhood of a ring or of one machine.
    fn pool(&self, middle: &[usize]) -> Vec<usize> {
        let others = self.around(middle).into_iter().map(|(_, name)| name);
        let mut pool: Vec<usize> = middle.iter().copied().chain(others).take(self.size).collect();
        pool.sort_unstable();
        pool
    }

    fn field(&self, names: Vec<usize>) -> Field {
        Field::new(self.problem, self.machines, self.paths, names, &unlimited)
    }

    fn guess(&self, field: &Field, width: usize) -> Option<Found> {
        let counted = self.counted.among(field.machines());
        beam(field, counted, &Bound::new(field, counted, None, vec![0; field.machines()]), width)
    }

    fn solve(&self, names: Vec<usize>) -> Option<(Field, Found)> {
        let field = self.field(names);
        let small = field.machines() <= self.problem.together;
        let found = if small {
            cheapest(&field, self.counted, self.problem.effort / SHARE).map(|(found, _)| found)
        } else {
            self.guess(&field, WIDE_BEAM)
        };
        Some((field, found?))
    }

    /// The best ring that was found.
    pub(super) fn best(&self) -> Option<(Field, Found, Proof)> {
        let mut middles: Vec<(u64, usize)> = Vec::new();
        for standing in self.standing.iter().flatten() {
            middles.push((self.promise(standing), standing.name));
        }
        middles.sort_unstable();
        middles.truncate(TRIED);
        let mut pools: Vec<(u64, Vec<usize>)> = Vec::new();
        for (_, middle) in middles {
            let pool = self.pool(&[middle]);
            if pools.iter().any(|(_, other)| *other == pool) {
                continue;
            }
            let guess = self.guess(&self.field(pool.clone()), BEAM);
            pools.extend(guess.map(|found| (found.cost, pool)));
        }
        pools.sort();
        pools.truncate(SEARCHED);
        let solved = pools.into_iter().filter_map(|(_, pool)| self.solve(pool));
        let mut best = solved.min_by_key(|(_, found)| found.cost)?;
        for _ in 0..ROUNDS {
            let ring: Vec<usize> = best.1.runs.iter().map(|(machine, _)| best.0.names[*machine]).collect();
            let next = self.solve(self.pool(&ring));
            match next.filter(|(_, found)| found.cost < best.1.cost) {
                Some(better) => best = better,
                None => break,
            }
        }
        Some((best.0, best.1, Proof::Heuristic))
    }
}

/// How many machines a neighbourhood needs: such as an exact search can look at, or more where the model must be spread
/// over more.
pub(super) fn size(problem: &Problem, machines: &[Machine], names: &[usize], counted: Count) -> usize {
    let needs = Needs::new(problem);
    let mut rooms: Vec<usize> = names.iter().map(|name| needs.room(&machines[*name])).collect();
    rooms.sort_unstable_by(|a, b| b.cmp(a));
    let wanted = match counted {
        Count::Exactly(shards) => shards,
        Count::AtMost(_) | Count::Any => 1,
    };
    // With twice the room that is needed there is something to choose from.
    let few: usize = rooms.iter().take(problem.together).sum();
    let enough = few >= 2 * problem.model.layer_count as usize && wanted < problem.together;
    if enough { problem.together.min(MOST_MACHINES) } else { MOST_MACHINES }
}
