//! Slowness: liars are found out, and those beside them are cleared.

use computepool_orchestrator::plan::{LEAST_SLOWNESS, MOST_SLOWNESS, Prediction, observe};

use crate::worlds::Dice;

fn prediction(claimed_ns: &[u64], wire_ns: u64) -> Prediction {
    let token_ns = claimed_ns.iter().sum::<u64>() + wire_ns;
    Prediction { token_ns, first_ns: 0, claimed_ns: claimed_ns.to_vec(), wire_ns, surveyed: true }
}

#[test]
fn a_liar_on_several_routes_is_found_out_and_its_neighbours_are_cleared() {
    let mut dice = Dice(31);
    let claimed: Vec<u64> = (0..12).map(|_| 2_000_000 + dice.below(8_000_000)).collect();
    let truth: Vec<f64> = (0..12).map(|n| if n % 6 == 0 { 4.0 } else { 1.0 }).collect();
    let mut believed = [1000_u32; 12];
    for _ in 0..600 {
        let mut route = [0_usize; 3];
        route[0] = dice.below(12) as usize;
        route[1] = (route[0] + 1 + dice.below(5) as usize) % 12;
        route[2] = (route[1] + 1 + dice.below(5) as usize) % 12;
        let here = prediction(&route.map(|n| claimed[n]), 1_000_000);
        let exactly: f64 = route.iter().map(|n| claimed[*n] as f64 * truth[*n]).sum();
        // Measurements are a few percent off.
        let measured = 1_000_000.0 + exactly * (0.97 + 0.06 * dice.unit());
        let now = observe(&here, &route.map(|n| believed[n]), measured as u64);
        route.iter().zip(now).for_each(|(n, factor)| believed[*n] = factor);
    }
    for (n, factor) in believed.iter().enumerate() {
        let off = f64::from(*factor) / 1000.0 / truth[n];
        assert!((0.85..1.15).contains(&off), "machine {n}: {factor} for {}", truth[n]);
    }
}

#[test]
fn one_machine_alone_is_known_after_a_few_observations() {
    let here = prediction(&[10_000_000], 500_000);
    let mut believed = vec![1000];
    for _ in 0..6 {
        believed = observe(&here, &believed, 30_500_000);
    }
    assert!((2900..=3000).contains(&believed[0]), "{believed:?}");
}

#[test]
fn belief_is_bounded_whatever_is_measured() {
    let here = prediction(&[1_000_000, 5_000_000], 100_000);
    for measured in [0, 1, 100_000, u64::MAX] {
        let mut believed = vec![1000, 1000];
        for _ in 0..200 {
            believed = observe(&here, &believed, measured);
            assert!(believed.iter().all(|factor| (LEAST_SLOWNESS..=MOST_SLOWNESS).contains(factor)));
        }
    }
    assert_eq!(observe(&prediction(&[], 5), &[1000], 7), [1000], "who was not on the route keeps what it has");
    assert_eq!(observe(&prediction(&[0], 5), &[1000], 7), [1000], "no arithmetic, no blame");
}

#[test]
fn nothing_is_learnt_where_ways_were_guessed() {
    let here = Prediction { surveyed: false, ..prediction(&[10_000_000], 500_000) };
    assert_eq!(observe(&here, &[1700], 90_000_000), [1700]);
}
