//! How good placements are, and how long they take.

use std::time::{Duration, Instant};

use computepool_orchestrator::plan::{Problem, Proof, Shards, place};

use crate::brute::least_token_ns;
use crate::figures::{Figures, percentile};
use crate::worlds::{Dice, Recipe, World, shards, world};

/// Small worlds that every ring and every cut of is counted.
const COUNTED: usize = 4_000;
/// Worlds of sixteen machines.
const SIXTEEN: usize = 60;
/// No placement may take longer.
const MOST_MS: f64 = 100.0;

pub(crate) fn run(figures: &mut Figures) {
    against_every_ring(figures);
    sixteen(figures);
    println!();
    println!("machines   placed   p50 ms   max ms");
    for (machines, worlds) in [(10, 40), (100, 20), (1_000, 10), (10_000, 5)] {
        many(figures, machines, worlds);
    }
}

/// The planner's answer and the least of all rings and cuts.
fn against_every_ring(figures: &mut Figures) {
    let mut dice = Dice(2_024);
    let (mut compared, mut worst) = (0_u64, 0.0_f64);
    for _ in 0..COUNTED {
        let (machines, layers) = (1 + dice.below(6) as usize, 1 + dice.below(8) as u32);
        let share = u64::from(layers).div_ceil(machines as u64);
        let room = (share.div_ceil(2) + 1, share + 1 + dice.below(u64::from(layers)));
        let insisting = if dice.chance(30) { 40 } else { 0 };
        let world = world(&mut dice, Recipe { machines, layers, room, insisting, measured: machines });
        let paths = world.paths();
        let shards = shards(&mut dice, machines, layers);
        let problem = Problem { shards, indifference: 0, ..world.problem() };
        let Some(least) = least_token_ns(&problem, &world.machines, &paths) else { continue };
        let found = place(&problem, &world.machines, &paths);
        let gap = found.map_or(f64::INFINITY, |found| found.prediction.token_ns as f64 / least as f64 - 1.0);
        (compared, worst) = (compared + 1, worst.max(gap));
    }
    println!("every ring and cut of {compared} worlds of up to 6 machines and 8 blocks: gap at most {worst:.6}");
    figures.add("brute_worlds", compared);
    figures.bound("brute_gap", worst, 0.0);
}

/// Kinds of worlds: a name, and blocks that the smallest and largest machine have room for.
const KINDS: [(&str, (u64, u64)); 3] = [("roomy", (8, 60)), ("usual", (6, 30)), ("tight", (3, 12))];

/// Proofs for sixteen machines; and how far the rule of thumb, which is shown eight of them at a time, is from the best.
fn sixteen(figures: &mut Figures) {
    println!();
    println!(
        "16 machines, 48 blocks   shards   proven   unproven gap   p50 ms   max ms   heuristic gap: mean      max"
    );
    let mut dice = Dice(16);
    let (mut gaps, mut proven, mut slowest) = (Vec::new(), 0, 0.0_f64);
    for (name, room) in KINDS {
        for shards in [Shards::AtMost(64), Shards::Exactly(3)] {
            let (mut exact, mut open, mut times, mut here, mut lengths) = (0, 0, Vec::new(), Vec::new(), 0);
            let mut placed = 0;
            for _ in 0..SIXTEEN / KINDS.len() / 2 {
                let world = world(&mut dice, Recipe { machines: 16, layers: 48, room, insisting: 0, measured: 16 });
                let paths = world.paths();
                let problem = Problem { shards, indifference: 0, ..world.problem() };
                let started = Instant::now();
                let best = place(&problem, &world.machines, &paths);
                times.push(started.elapsed());
                let Ok(best) = best else { continue };
                placed += 1;
                lengths += best.places.len();
                match best.proof {
                    Proof::Exact => exact += 1,
                    Proof::Within(thousandths) => open = open.max(thousandths),
                    Proof::Heuristic => {}
                }
                let eight = Problem { together: 8, ..problem };
                let guess = place(&eight, &world.machines, &paths);
                let token_ns = guess.map_or(f64::INFINITY, |guess| guess.prediction.token_ns as f64);
                here.push(token_ns / best.prediction.token_ns as f64 - 1.0);
            }
            if placed == 0 {
                continue;
            }
            let mean = here.iter().sum::<f64>() / here.len() as f64;
            let most = here.iter().copied().fold(0.0, f64::max);
            let (p50, max) = (percentile(&mut times, 50), percentile(&mut times, 100));
            let wanted = if shards == Shards::Exactly(3) { "3" } else { "any" };
            println!(
                "{name:<14} {wanted:>8} {:>8.1} {exact:>4}/{placed:<3} {:>14} {p50:>8.1} {max:>8.1} {mean:>20.4} {most:>8.4}",
                lengths as f64 / placed as f64,
                f64::from(open) / 1000.0,
            );
            proven += exact;
            slowest = slowest.max(max);
            gaps.extend(here);
        }
    }
    let mean = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
    figures.add("sixteen_worlds", gaps.len());
    figures.add("sixteen_proven", proven);
    figures.add("heuristic_mean_gap", format!("{mean:.4}"));
    figures.bound("heuristic_gap", gaps.into_iter().fold(0.0, f64::max), 0.5);
    figures.bound("sixteen_ms", slowest, MOST_MS);
}

fn many(figures: &mut Figures, machines: usize, worlds: usize) {
    let mut dice = Dice(machines as u64);
    let (mut times, mut placed) = (Vec::<Duration>::new(), 0);
    for _ in 0..worlds {
        let recipe = Recipe { machines, layers: 80, room: (8, 40), insisting: 1, measured: 16 };
        let World { model, machines, links } = world(&mut dice, recipe);
        let world = World { model, machines, links };
        let problem = world.problem();
        let started = Instant::now();
        // Reading the adverts is a part of it.
        let paths = world.paths();
        placed += usize::from(place(&problem, &world.machines, &paths).is_ok());
        times.push(started.elapsed());
    }
    let (p50, max) = (percentile(&mut times, 50), percentile(&mut times, 100));
    println!("{machines:>8} {placed:>5}/{worlds:<3} {p50:>7.1} {max:>8.1}");
    let name: &'static str = match machines {
        10 => "place_10_ms",
        100 => "place_100_ms",
        1_000 => "place_1000_ms",
        _ => "place_10000_ms",
    };
    if machines > 1_000 {
        figures.add(name, format!("{max:.1}"));
    } else {
        figures.bound(name, max, MOST_MS);
    }
}
