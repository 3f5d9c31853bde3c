//! Placements: proven on small worlds, sound on large ones.

use computepool_orchestrator::plan::{
    Held, Holding, Path, Paths, Placement, PlanError, Problem, Proof, Shards, place, predict,
};

use crate::brute::least_token_ns;
use crate::worlds::*;

/// A world that every ring and every cut of can be counted.
fn small(dice: &mut Dice) -> (World, Shards) {
    let (machines, layers) = (1 + dice.below(6) as usize, 1 + dice.below(8) as u32);
    let share = u64::from(layers).div_ceil(machines as u64);
    let room = (share.div_ceil(2).max(1) + 1, share + 1 + dice.below(u64::from(layers)));
    let insisting = if dice.chance(30) { 40 } else { 0 };
    let mut world = world(dice, Recipe { machines, layers, room, insisting, measured: 6 });
    for machine in &mut world.machines {
        machine.slowness = 250 + dice.below(4000) as u32;
        machine.upload_limit = dice.chance(20).then(|| dice.scale(100_000, 10 << 20));
        if dice.chance(15) {
            let start = dice.below(layers.into()) as u32;
            machine.holds = Holding::Range(range(start, start + 1 + dice.below(u64::from(layers - start)) as u32));
            machine.fetches = dice.chance(50);
        }
    }
    let shards = shards(dice, machines, layers);
    (world, shards)
}

/// The places tile the model, every machine has at most one, and each suits it.
fn sound(problem: &Problem, world: &World, placement: &Placement) {
    let mut block = 0;
    let mut machines: Vec<usize> = placement.places.iter().map(|place| place.machine).collect();
    for place in &placement.places {
        assert_eq!(place.layers.start(), block);
        assert!(problem.suits(place.layers, &world.machines[place.machine]), "{place:?}");
        block = place.layers.end();
    }
    assert_eq!(block, problem.model.layer_count);
    machines.sort_unstable();
    machines.dedup();
    assert_eq!(machines.len(), placement.places.len(), "one place for each machine");
}

#[test]
fn nothing_is_faster_than_what_is_proven() {
    let mut dice = Dice(1);
    let mut placed = 0;
    for case in 0..4000 {
        let (world, shards) = small(&mut dice);
        let paths = world.paths();
        let problem = Problem { shards, indifference: 0, ..world.problem() };
        let least = least_token_ns(&problem, &world.machines, &paths);
        match place(&problem, &world.machines, &paths) {
            Ok(placement) => {
                sound(&problem, &world, &placement);
                assert_eq!(placement.proof, Proof::Exact, "case {case}");
                if let Some(least) = least {
                    placed += 1;
                    assert_eq!(placement.prediction.token_ns, least, "case {case}: {:?}", placement.places);
                } else {
                    // Only machines that insist on ranges may tile the model in another number of shards.
                    let insists = |place: &computepool_orchestrator::plan::Placed| {
                        world.machines[place.machine].insisted.is_some()
                    };
                    assert!(placement.places.iter().all(insists), "case {case}");
                }
            }
            Err(error) => assert_eq!(least, None, "case {case}: {error}"),
        }
    }
    assert!(placed > 2000, "most worlds should have a placement: {placed}");
}

#[test]
fn a_search_that_gives_up_early_never_promises_too_much() {
    let mut dice = Dice(2);
    let mut unproven = 0;
    for case in 0..1500 {
        let (world, shards) = small(&mut dice);
        let paths = world.paths();
        let problem = Problem { shards, indifference: 0, effort: dice.below(40) as usize, ..world.problem() };
        let (Ok(placement), Some(least)) =
            (place(&problem, &world.machines, &paths), least_token_ns(&problem, &world.machines, &paths))
        else {
            continue;
        };
        sound(&problem, &world, &placement);
        let found = placement.prediction.token_ns;
        match placement.proof {
            Proof::Exact => assert_eq!(found, least, "case {case}"),
            Proof::Within(thousandths) => {
                unproven += 1;
                assert!((found - least) * 1000 <= u64::from(thousandths) * found, "case {case}: {thousandths}");
            }
            Proof::Heuristic => panic!("six machines are few"),
        }
    }
    assert!(unproven > 10, "{unproven}");
}

#[test]
fn equal_machines_get_equal_shares() {
    let mut world = world(&mut Dice(3), Recipe { machines: 4, layers: 30, room: (30, 30), insisting: 0, measured: 0 });
    world.model = model(30, 1024, 1 << 20);
    let first = world.machines[0].clone();
    for machine in &mut world.machines {
        *machine = first.clone();
    }
    let problem = Problem { shards: Shards::Exactly(3), ..world.problem() };
    let placement = place(&problem, &world.machines, &Paths::unmeasured(4)).unwrap();
    let lengths: Vec<u32> = placement.places.iter().map(|place| place.layers.len()).collect();
    assert_eq!(lengths, [10, 10, 10], "the first token waits for the narrowest point");
    let alone = place(&world.problem(), &world.machines, &Paths::unmeasured(4)).unwrap();
    assert_eq!(alone.places.len(), 1, "more shards only add ways");
}

#[test]
fn the_first_token_may_cost_a_token_no_more_than_indifference() {
    let mut dice = Dice(4);
    for _ in 0..200 {
        let (world, shards) = small(&mut dice);
        let paths = world.paths();
        let strict = Problem { shards, indifference: 0, ..world.problem() };
        let even = Problem { indifference: 100, ..strict.clone() };
        let (Ok(strict), Ok(even)) = (place(&strict, &world.machines, &paths), place(&even, &world.machines, &paths))
        else {
            continue;
        };
        assert!(even.prediction.first_ns <= strict.prediction.first_ns);
        assert!(even.prediction.token_ns * 1000 <= strict.prediction.token_ns * 1100);
    }
}

#[test]
fn holders_stay_unless_moving_is_worth_it() {
    let mut dice = Dice(5);
    let recipe = Recipe { machines: 6, layers: 12, room: (4, 8), insisting: 0, measured: 6 };
    let (mut kept, mut moved) = (0, 0);
    for _ in 0..100 {
        let world = world(&mut dice, recipe);
        let paths = world.paths();
        let Ok(best) = place(&world.problem(), &world.machines, &paths) else { continue };
        let current: Vec<Held> =
            best.places.iter().map(|place| Held { layers: place.layers, machine: Some(place.machine) }).collect();
        // Something has become slower meanwhile.
        let mut later = World { machines: world.machines.clone(), links: world.links.clone(), ..world };
        let held = best.places[0].machine;
        later.machines[held].slowness = dice.pick(&[1020, 1100, 4000]);
        let again = Problem { current, ..later.problem() };
        let placement = place(&again, &later.machines, &paths).unwrap();
        let fresh = place(&later.problem(), &later.machines, &paths).unwrap();
        let stay: Vec<_> = best.places.iter().map(|place| (place.layers, place.machine)).collect();
        let staying = predict(&later.problem(), &later.machines, &paths, &stay).token_ns;
        if fresh.prediction.token_ns * 10 < staying * 9 {
            moved += 1;
            assert!(!placement.kept);
            assert_eq!(placement.places, fresh.places);
        } else {
            kept += 1;
            assert!(placement.kept);
            assert_eq!(placement.places, best.places);
        }
    }
    assert!(kept > 10 && moved > 10, "{kept} {moved}");
}

#[test]
fn a_vacant_place_goes_to_whoever_is_best_there_and_nobody_else_moves() {
    let mut dice = Dice(6);
    let recipe = Recipe { machines: 40, layers: 24, room: (8, 12), insisting: 0, measured: 40 };
    for _ in 0..20 {
        let world = world(&mut dice, recipe);
        let paths = world.paths();
        let problem = Problem { shards: Shards::Exactly(3), ..world.problem() };
        let Ok(best) = place(&problem, &world.machines, &paths) else { continue };
        let gone = dice.below(3) as usize;
        let held = |(at, place): (usize, &computepool_orchestrator::plan::Placed)| Held {
            layers: place.layers,
            machine: (at != gone).then_some(place.machine),
        };
        let mut machines = world.machines.clone();
        machines[best.places[gone].machine].memory_bytes = 0;
        let current = best.places.iter().enumerate().map(held).collect();
        let again = Problem { current, ..problem.clone() };
        let placement = place(&again, &machines, &paths).unwrap();
        if !placement.kept {
            continue;
        }
        let with = |taker: usize| {
            let mut route: Vec<_> = best.places.iter().map(|place| (place.layers, place.machine)).collect();
            route[gone].1 = taker;
            predict(&problem, &machines, &paths, &route).token_ns
        };
        let others = (0..machines.len()).filter(|name| {
            best.places.iter().all(|place| place.machine != *name)
                && problem.suits(best.places[gone].layers, &machines[*name])
        });
        assert_eq!(Some(placement.prediction.token_ns), others.map(with).min());
    }
}

#[test]
fn machines_without_the_weights_serve_only_what_they_hold_or_may_fetch() {
    let mut world = world(&mut Dice(7), Recipe { machines: 2, layers: 8, room: (8, 8), insisting: 0, measured: 2 });
    for machine in &mut world.machines {
        (machine.fetches, machine.holds) = (false, Holding::Nothing);
    }
    let place = |world: &World| place(&world.problem(), &world.machines, &Paths::unmeasured(2));
    assert!(place(&world).is_err());
    world.machines[0].holds = Holding::Range(range(0, 5));
    assert!(place(&world).is_err(), "nobody has the rest");
    world.machines[1].fetches = true;
    let placed = place(&world).unwrap();
    assert!(placed.places.iter().all(|place| place.machine == 1 || place.layers.end() <= 5), "{placed:?}");
}

#[test]
fn what_cannot_be_placed_is_said() {
    let mut world = world(&mut Dice(8), Recipe { machines: 2, layers: 8, room: (8, 8), insisting: 0, measured: 2 });
    let paths = Paths::unmeasured(2);
    let exactly = |shards| Problem { shards: Shards::Exactly(shards), ..world.problem() };
    assert_eq!(place(&exactly(3), &world.machines, &paths), Err(PlanError::TooFew { present: 2, needed: 3 }));
    assert_eq!(place(&world.problem(), &[], &paths), Err(PlanError::TooFew { present: 0, needed: 1 }));
    world.machines[0].insisted = Some(range(0, 4));
    world.machines[1].insisted = Some(range(5, 8));
    let exactly = Problem { shards: Shards::Exactly(2), ..world.problem() };
    assert_eq!(place(&exactly, &world.machines, &paths), Err(PlanError::Insistence { needed: 2 }));
    for machine in &mut world.machines {
        (machine.insisted, machine.memory_bytes) = (None, 1000);
    }
    let error = place(&world.problem(), &world.machines, &paths).unwrap_err();
    assert!(matches!(error, PlanError::Memory { offered: 1000, .. }), "{error}");
}

#[test]
fn large_worlds_get_sound_placements() {
    let mut dice = Dice(9);
    for (machines, shards) in [(17, Shards::AtMost(64)), (200, Shards::Exactly(4)), (200, Shards::Exactly(20))] {
        let recipe = Recipe { machines, layers: 40, room: (3, 20), insisting: 5, measured: 16 };
        let world = world(&mut dice, recipe);
        let problem = Problem { shards, ..world.problem() };
        let placement = place(&problem, &world.machines, &world.paths()).unwrap();
        sound(&problem, &world, &placement);
        assert_eq!(placement.proof, Proof::Heuristic);
    }
}

#[test]
fn a_slow_way_is_not_taken_for_a_little_speed() {
    // Two machines in a room, and a third that is a little faster, an ocean away.
    let mut world = world(&mut Dice(10), Recipe { machines: 3, layers: 8, room: (6, 6), insisting: 0, measured: 0 });
    for machine in &mut world.machines {
        machine.speed.layer_ns = 500_000;
    }
    world.machines[2].speed.layer_ns = 400_000;
    let link = computepool_core::LinkMeasure {
        peer: world.machines[1].node.clone(),
        kind: computepool_core::PathKind::Lan,
        rtt_us: 300,
        up: None,
        down: None,
    };
    world.links[0].push(link);
    let paths = world.paths();
    assert_eq!(paths.between(0, 2), Path::UNMEASURED);
    let placement = place(&world.problem(), &world.machines, &paths).unwrap();
    assert!(placement.places.iter().all(|place| place.machine != 2), "{placement:?}");
}
