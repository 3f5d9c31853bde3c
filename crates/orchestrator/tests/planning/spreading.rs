//! Replicas: no other way to give spares away leaves less loss to be expected.

use computepool_orchestrator::plan::{Filled, Holding, Problem, spread};

use crate::worlds::*;

/// `Σ pʰ` for a `p` so small that one place with fewer holders outweighs any number with more.
fn loss(counts: &[usize]) -> u64 {
    counts.iter().map(|count| 1_u64 << (6 * 8_usize.saturating_sub(*count))).sum()
}

/// The least loss over all ways to give `spares` away.
fn least(
    problem: &Problem,
    world: &World,
    places: &[Filled],
    spares: &[usize],
    counts: &mut Vec<usize>,
    most: usize,
) -> u64 {
    let Some((spare, rest)) = spares.split_first() else { return loss(counts) };
    let mut best = least(problem, world, places, rest, counts, most);
    for place in 0..places.len() {
        if counts[place] < most && problem.suits(places[place].layers, &world.machines[*spare]) {
            counts[place] += 1;
            best = best.min(least(problem, world, places, rest, counts, most));
            counts[place] -= 1;
        }
    }
    best
}

#[test]
fn the_loss_to_be_expected_is_least() {
    let mut dice = Dice(21);
    for case in 0..300 {
        let mut world = world(&mut dice, Recipe { machines: 9, layers: 12, room: (2, 9), insisting: 30, measured: 9 });
        let cuts = [0, 2 + dice.below(3) as u32, 6 + dice.below(4) as u32, 12];
        let places: Vec<Filled> =
            (0..3).map(|at| Filled { layers: range(cuts[at], cuts[at + 1]), holders: vec![at] }).collect();
        for at in 3..9 {
            if dice.chance(40) {
                world.machines[at].insisted = Some(places[dice.below(3) as usize].layers);
            }
        }
        let problem = Problem { context: 16, ..world.problem() };
        let spares: Vec<usize> = (3..9).collect();
        let most = 2 + dice.below(4) as usize;
        let given = spread(&problem, &world.machines, &world.paths(), &places, &spares, most);
        let mut counts = vec![1; 3];
        let mut used: Vec<usize> = given.iter().map(|(spare, _)| *spare).collect();
        for (spare, place) in &given {
            assert!(problem.suits(places[*place].layers, &world.machines[*spare]));
            counts[*place] += 1;
        }
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), given.len(), "each spare once");
        assert!(counts.iter().all(|count| *count <= most));
        let best = least(&problem, &world, &places, &spares, &mut vec![1; 3], most);
        assert_eq!(loss(&counts), best, "case {case}: {counts:?}");
    }
}

#[test]
fn the_weakest_place_comes_first_and_who_has_the_weights_takes_it() {
    let mut world = world(&mut Dice(22), Recipe { machines: 5, layers: 8, room: (8, 8), insisting: 0, measured: 0 });
    for machine in &mut world.machines {
        machine.holds = Holding::Nothing;
    }
    world.machines[4].holds = Holding::Range(range(4, 8));
    let places =
        [Filled { layers: range(0, 4), holders: vec![0, 1] }, Filled { layers: range(4, 8), holders: vec![2] }];
    let given = spread(&world.problem(), &world.machines, &world.paths(), &places, &[3, 4], 8);
    assert_eq!(given[0], (4, 1));
    assert_eq!(given.len(), 2);
    assert!(spread(&world.problem(), &world.machines, &world.paths(), &places, &[3, 4], 1).is_empty());
}
