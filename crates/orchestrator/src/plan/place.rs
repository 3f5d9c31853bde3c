//! Which machine holds which range.

mod bound;
mod crowd;
mod exact;
mod field;
mod recut;
mod search;

use std::collections::BTreeSet;

use computepool_core::LayerRange;

use super::cost::{hop_ns, limited};
use super::{Held, Machine, Paths, PlanError, Prediction, Problem, Shards, predict};
use bound::Count;
use crowd::Crowd;
use field::{Field, MOST_MACHINES, Needs};
use search::Found;

/// Up to so many machines a placement is proven to be the fastest, or told how far it may be from it, unless a problem
/// says otherwise.
pub const EXACT_MACHINES: usize = 16;

/// A placement stays as it is unless another takes less than so many thousandths of its time from token to token:
/// moving weights costs minutes, and every session a new route.
const WORTH_MOVING: u64 = 900;

/// How a model is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The places, entry first.
    pub places: Vec<Placed>,
    /// What it is predicted to take.
    pub prediction: Prediction,
    /// How good it is known to be.
    pub proof: Proof,
    /// Whether the current cut was kept, with whoever holds a place of it.
    pub kept: bool,
}

/// One place of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which blocks.
    pub layers: LayerRange,
    /// On which machine, by its place in the list.
    pub machine: usize,
}

/// How good a placement is known to be. Said of the time from token to token, before cuts are evened out within
/// [`Problem::indifference`]; of a placement that was kept, it is said of what is left to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing is faster.
    Exact,
    /// Nothing is faster by more than these thousandths of its time.
    Within(u32),
    /// Found by rule of thumb.
    Heuristic,
}

/// Chooses who holds which range: the route with the least time from token to token, then the cut of it with the earliest
/// first token. See [`plan`](super) for what that means and why it is so.
///
/// A current cut stays, its vacant places filled as well as can be, unless something else would be faster by a tenth.
pub fn place(problem: &Problem, machines: &[Machine], paths: &Paths) -> Result<Placement, PlanError> {
    let kept = if problem.current.is_empty() { None } else { keep(problem, machines, paths) };
    let fresh = match anew(problem, machines, paths) {
        Ok(fresh) => fresh,
        Err(error) => return kept.ok_or(error),
    };
    let stays = |kept: &Placement| {
        let worth = u128::from(kept.prediction.token_ns) * u128::from(WORTH_MOVING);
        u128::from(fresh.prediction.token_ns) * 1000 >= worth
    };
    Ok(kept.filter(stays).unwrap_or(fresh))
}

/// No machine is limited to certain ranges.
fn unlimited(_: usize) -> Option<Vec<LayerRange>> {
    None
}

/// The best placement, whatever there is now.
fn anew(problem: &Problem, machines: &[Machine], paths: &Paths) -> Result<Placement, PlanError> {
    let needs = Needs::new(problem);
    let able: Vec<usize> = (0..machines.len()).filter(|name| needs.room(&machines[*name]) > 0).collect();
    let counted = match problem.shards {
        Shards::Exactly(shards) => Count::Exactly(shards),
        Shards::AtMost(most) => Count::AtMost(most),
    };
    let solve = |names: Vec<usize>, counted| {
        if names.len() <= problem.together.min(MOST_MACHINES) {
            let field = Field::new(problem, machines, paths, names, &unlimited);
            let (found, proof) = exact::cheapest(&field, counted, problem.effort)?;
            return Some((field, found, proof));
        }
        let size = crowd::size(problem, machines, &names, counted);
        Crowd::new(problem, machines, paths, &names, counted, size).best()
    };
    let insisting = || able.iter().copied().filter(|name| machines[*name].insisted.is_some()).collect();
    let solved = solve(able.clone(), counted).or_else(|| solve(insisting(), Count::Any));
    let Some((field, found, proof)) = solved else { return Err(refusal(problem, machines, &able)) };
    let found = recut::recut(problem, machines, paths, &field, &found);
    Ok(placement(problem, machines, paths, &field, &found, (proof, false)))
}

/// The current cut with its holders, its vacant places filled; `None` where there is none, or it cannot be kept.
fn keep(problem: &Problem, machines: &[Machine], paths: &Paths) -> Option<Placement> {
    let current = &problem.current;
    let sound = |held: &Held| {
        let suits = |name: usize| machines.get(name).is_some_and(|machine| problem.suits(held.layers, machine));
        held.machine.is_none_or(suits)
    };
    let insists = |held: &Held| held.machine.is_some_and(|name| machines[name].insisted.is_some());
    let counted = match problem.shards {
        Shards::Exactly(shards) => current.len() == shards,
        Shards::AtMost(most) => current.len() <= most,
    };
    if !current.iter().all(sound) || !(counted || current.iter().all(insists)) {
        return None;
    }
    let holds = |name: usize| current.iter().find(|held| held.machine == Some(name));
    let vacant: Vec<LayerRange> =
        current.iter().filter(|held| held.machine.is_none()).map(|held| held.layers).collect();
    let only = |name: usize| Some(holds(name).map_or_else(|| vacant.clone(), |held| vec![held.layers]));
    let mut names: Vec<usize> = current.iter().filter_map(|held| held.machine).collect();
    names.extend(takers(problem, machines, paths));
    let field = Field::new(problem, machines, paths, names, &only);
    // The ranges leave only one number of shards.
    let (found, proof) = exact::cheapest(&field, Count::Any, problem.effort)?;
    Some(placement(problem, machines, paths, &field, &found, (proof, true)))
}

/// Who is to be considered for the vacant places of the current cut: for each, those that would cost least between the
/// holders beside it.
fn takers(problem: &Problem, machines: &[Machine], paths: &Paths) -> Vec<usize> {
    let current = &problem.current;
    let holds = |name: usize| current.iter().any(|held| held.machine == Some(name));
    let vacancies = current.iter().filter(|held| held.machine.is_none()).count();
    if vacancies == 0 {
        return Vec::new();
    }
    let free = MOST_MACHINES.saturating_sub(current.len() - vacancies);
    let each = (free / vacancies).min(problem.together);
    let mut taken = BTreeSet::new();
    for (place, held) in current.iter().enumerate().filter(|(_, held)| held.machine.is_none()) {
        let beside = |step: usize| current[(place + step) % current.len()].machine;
        let (before, after) = (beside(current.len() - 1), beside(1));
        let cost = |name: usize| {
            let way = |from: Option<usize>, to: Option<usize>| match (from, to) {
                (Some(from), Some(to)) => hop_ns(problem, limited(paths.between(from, to), &machines[from])),
                _ => 0,
            };
            let blocks =
                machines[name].believed(machines[name].speed.layer_ns).saturating_mul(held.layers.len().into());
            blocks.saturating_add(way(before, Some(name))).saturating_add(way(Some(name), after))
        };
        let suits = |name: &usize| !holds(*name) && problem.suits(held.layers, &machines[*name]);
        let mut ranked: Vec<(u64, usize)> = (0..machines.len()).filter(suits).map(|name| (cost(name), name)).collect();
        ranked.sort_unstable();
        taken.extend(ranked.into_iter().take(each).map(|(_, name)| name));
    }
    taken.into_iter().collect()
}

fn placement(
    problem: &Problem,
    machines: &[Machine],
    paths: &Paths,
    field: &Field,
    found: &Found,
    (proof, kept): (Proof, bool),
) -> Placement {
    let mut start = 0;
    let mut places = Vec::with_capacity(found.runs.len());
    for &(machine, end) in &found.runs {
        // Runs are never empty.
        if let Ok(layers) = LayerRange::new(start, end as u32) {
            places.push(Placed { layers, machine: field.names[machine] });
        }
        start = end as u32;
    }
    let route: Vec<(LayerRange, usize)> = places.iter().map(|place| (place.layers, place.machine)).collect();
    Placement { prediction: predict(problem, machines, paths, &route), places, proof, kept }
}

/// Why there is no placement.
fn refusal(problem: &Problem, machines: &[Machine], able: &[usize]) -> PlanError {
    let layers = problem.model.layer_count;
    let (needed, counted) = match problem.shards {
        Shards::Exactly(shards) => (shards, true),
        Shards::AtMost(most) => (most.min(machines.len()).max(1), false),
    };
    let insists = |machine: &Machine| machine.insisted.is_some();
    // Who insists on what it cannot serve counts for nothing; who is merely small, may be short of memory.
    let present = machines.len() - (0..machines.len()).filter(|i| insists(&machines[*i]) && !able.contains(i)).count();
    if present == 0 || (counted && present < needed) {
        return PlanError::TooFew { present, needed };
    }
    if able.iter().any(|name| insists(&machines[*name])) {
        return PlanError::Insistence { needed };
    }
    // The largest of equal shares says best how much is missing.
    let shares = needed.min(layers as usize).max(1) as u32;
    let share = |i: u32| LayerRange::new(i * layers / shares, (i + 1) * layers / shares).ok();
    let largest = (0..shares).filter_map(share).max_by_key(|layers| problem.need_bytes(*layers));
    let offered = machines.iter().map(|machine| machine.memory_bytes).max().unwrap_or(0);
    match largest {
        Some(layers) => PlanError::Memory { layers, needed: problem.need_bytes(layers), offered },
        None => PlanError::TooFew { present, needed },
    }
}
