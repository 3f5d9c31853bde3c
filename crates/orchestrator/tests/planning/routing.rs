//! Routes: the shortest ring through the places, held against all of them.

use computepool_orchestrator::plan::{Holder, Problem, predict, route};

use crate::worlds::*;

/// Places of a world of `holders` machines each, with some load.
fn places(
    dice: &mut Dice,
    layers: u32,
    most: u64,
    machines: usize,
) -> Vec<(computepool_core::LayerRange, Vec<Holder>)> {
    let mut names: Vec<usize> = (0..machines).collect();
    let mut places = Vec::new();
    let cut = layers / 4;
    for place in 0..4 {
        let mut holders = Vec::new();
        for _ in 0..1 + dice.below(most) {
            let machine = names.swap_remove(dice.below(names.len() as u64) as usize);
            holders.push(Holder { machine, active: dice.below(3) as u32, avoid: dice.chance(15) });
        }
        places.push((range(place * cut, (place + 1) * cut), holders));
    }
    places
}

/// What a ring costs by the documented formula: avoided machines, then time.
fn length(
    problem: &Problem,
    world: &World,
    places: &[(computepool_core::LayerRange, Vec<Holder>)],
    ring: &[usize],
) -> (usize, u64) {
    let chosen: Vec<_> = places.iter().zip(ring).map(|((layers, holders), at)| (*layers, holders[*at])).collect();
    let route: Vec<_> = chosen.iter().map(|(layers, holder)| (*layers, holder.machine)).collect();
    let prediction = predict(problem, &world.machines, &world.paths(), &route);
    let waiting = |((_, holder), claimed): (&(_, Holder), &u64)| u64::from(holder.active) * claimed;
    let queues: u64 = chosen.iter().zip(&prediction.claimed_ns).map(waiting).sum();
    (chosen.iter().filter(|(_, holder)| holder.avoid).count(), prediction.token_ns + queues)
}

#[test]
fn no_ring_is_shorter() {
    let mut dice = Dice(11);
    for case in 0..300 {
        let world = world(&mut dice, Recipe { machines: 20, layers: 16, room: (4, 4), insisting: 0, measured: 20 });
        let (paths, problem) = (world.paths(), world.problem());
        let places = places(&mut dice, 16, 4, 20);
        let found = route(&problem, &world.machines, &paths, &places).unwrap();
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        for (_, holders) in &places {
            let longer = |ring: &Vec<usize>| {
                let ring = ring.clone();
                (0..holders.len()).map(move |at| ring.iter().copied().chain([at]).collect::<Vec<usize>>())
            };
            all = all.iter().flat_map(longer).collect();
        }
        let least = all.iter().map(|ring| length(&problem, &world, &places, ring)).min();
        assert_eq!(Some(length(&problem, &world, &places, &found.holders)), least, "case {case}");
        assert_eq!(Some(found.avoided), least.map(|(avoided, _)| avoided));
    }
}

#[test]
fn load_is_spread_and_the_avoided_is_the_last_resort() {
    let mut world = world(&mut Dice(12), Recipe { machines: 2, layers: 4, room: (4, 4), insisting: 0, measured: 2 });
    world.machines[1].speed = world.machines[0].speed;
    let problem = world.problem();
    let whole = range(0, 4);
    let choose = |a: (u32, bool), b: (u32, bool)| {
        let holder = |machine, (active, avoid)| Holder { machine, active, avoid };
        let places = [(whole, vec![holder(0, a), holder(1, b)])];
        let found = route(&problem, &world.machines, &world.paths(), &places).unwrap();
        (found.holders[0], found.avoided)
    };
    assert_eq!(choose((0, false), (0, false)), (0, 0), "of equals, the first");
    assert_eq!(choose((1, false), (0, false)), (1, 0));
    assert_eq!(choose((9, false), (0, true)), (0, 0));
    assert_eq!(choose((9, true), (0, true)), (1, 1), "nobody else is left");
    assert_eq!(route(&problem, &world.machines, &world.paths(), &[]), None);
    assert_eq!(route(&problem, &world.machines, &world.paths(), &[(whole, Vec::new())]), None);
}
