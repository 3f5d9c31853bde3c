//! The advisor: what it predicts is what would be placed, and it says when not to split.

use computepool_core::ports::Pace;
use computepool_orchestrator::advisor::{advise, compare};
use computepool_orchestrator::plan::{Problem, Shards, place};

use crate::worlds::*;

fn three(room: u64) -> World {
    world(&mut Dice(41), Recipe { machines: 3, layers: 12, room: (room, room), insisting: 0, measured: 3 })
}

#[test]
fn solo_is_advised_where_it_fits() {
    let world = three(13);
    let advice = advise(&world.problem(), &world.machines, &world.paths());
    assert_eq!(advice.best, Some(0));
    assert!(advice.sentence.starts_with("Do not split: one machine alone gives "), "{}", advice.sentence);
    assert!(advice.choices.iter().all(|choice| choice.fits()));
    let rates: Vec<f64> = advice.choices.iter().map(|choice| choice.tokens_per_second()).collect();
    assert!(rates[0] > rates[1] && rates[1] > rates[2], "{rates:?}");
}

#[test]
fn a_split_is_advised_where_one_machine_is_too_small() {
    let world = three(7);
    let advice = advise(&world.problem(), &world.machines, &world.paths());
    assert_eq!(advice.best, Some(1));
    assert!(advice.sentence.starts_with("Split it over 2 machines: "), "{}", advice.sentence);
    assert!(advice.sentence.contains("one machine would need"), "{}", advice.sentence);
    let (solo, two) = (&advice.choices[0], &advice.choices[1]);
    assert!(!solo.fits() && solo.memory_bytes.len() == 1 && solo.tokens_per_second() == 0.0);
    let problem = Problem { shards: Shards::Exactly(2), ..world.problem() };
    let placed = place(&problem, &world.machines, &world.paths()).unwrap();
    assert_eq!(two.pace(), Some(placed.prediction.pace()));
    assert!(two.memory_bytes.iter().all(|bytes| *bytes <= world.machines[0].memory_bytes));
}

#[test]
fn what_fits_nowhere_is_said() {
    let world = three(1);
    let advice = advise(&world.problem(), &world.machines, &world.paths());
    assert_eq!(advice.best, None);
    assert!(advice.sentence.starts_with("It cannot be served over up to 3"), "{}", advice.sentence);
}

#[test]
fn predicted_stands_beside_measured() {
    let seen = compare(Pace { token_us: 80, first_us: 900 }, Pace { token_us: 100, first_us: 600 });
    assert!((seen.token_error + 0.2).abs() < 1e-9 && (seen.first_error - 0.5).abs() < 1e-9);
}
