use super::*;

fn random(uses: Sampling) -> Sampling {
    Sampling { seed: 11, ..uses }
}

/// Token counts over `draws` positions.
fn counts(logits: &[f32], sampling: &Sampling, draws: u32) -> Vec<u32> {
    let mut counts = vec![0; logits.len()];
    for position in 0..draws {
        counts[choose(logits, sampling, position).unwrap() as usize] += 1;
    }
    counts
}

/// χ² of counts against weights; cells of weight 0 must be empty.
fn chi2(counts: &[u32], weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let draws = f64::from(counts.iter().sum::<u32>());
    let mut sum = 0.0;
    for (count, weight) in counts.iter().zip(weights) {
        if *weight == 0.0 {
            assert_eq!(*count, 0);
        } else {
            let expected = draws * weight / total;
            sum += (f64::from(*count) - expected).powi(2) / expected;
        }
    }
    sum
}

const LOGITS: [f32; 8] = [0.3, 1.7, -0.4, 2.2, 0.9, 2.2, -1.5, 1.1];

fn weights(temperature: f64) -> Vec<f64> {
    LOGITS.iter().map(|logit| (f64::from(*logit) / temperature).exp()).collect()
}

#[test]
fn draws_follow_the_distribution() {
    for temperature in [0.5f32, 1.0, 2.0] {
        let counts = counts(&LOGITS, &random(Sampling { temperature, ..Sampling::default() }), 20_000);
        // 7 degrees of freedom: 99.9 % of honest runs stay below 24.3.
        let chi2 = chi2(&counts, &weights(f64::from(temperature)));
        assert!(chi2 < 24.3, "temperature {temperature}: {chi2}");
    }
}

#[test]
fn cuts_keep_what_they_say_and_its_proportions() {
    // In order of likelihood: 3, 5 (equal), 1, 7, 4, 0, 2, 6. Shares: .277 .277 .168 .092 .076 .041 .021 .007 (rounded).
    let keep = |ids: &[usize]| -> Vec<f64> {
        weights(1.0).into_iter().enumerate().map(|(id, w)| if ids.contains(&id) { w } else { 0.0 }).collect()
    };
    let cases = [
        (Sampling { top_k: 3, ..Sampling::default() }, keep(&[3, 5, 1])),
        (Sampling { top_p: 0.5, ..Sampling::default() }, keep(&[3, 5])),
        (Sampling { top_p: 0.6, ..Sampling::default() }, keep(&[3, 5, 1])),
        // The nucleus is taken of what top_k kept: 3 and 5 are 77 % of {3, 5, 1}.
        (Sampling { top_k: 3, top_p: 0.7, ..Sampling::default() }, keep(&[3, 5])),
        // e^(1.7 - 2.2) = 0.61 stays, e^(1.1 - 2.2) = 0.33 goes.
        (Sampling { min_p: 0.5, ..Sampling::default() }, keep(&[3, 5, 1])),
        (Sampling { top_k: 4, min_p: 0.5, ..Sampling::default() }, keep(&[3, 5, 1])),
        (Sampling { min_p: 1.0, ..Sampling::default() }, keep(&[3, 5])),
    ];
    for (sampling, weights) in cases {
        let counts = counts(&LOGITS, &random(sampling.clone()), 5_000);
        // At most 2 degrees of freedom: 99.9 % below 13.8.
        let chi2 = chi2(&counts, &weights);
        assert!(chi2 < 13.8, "{sampling:?}: {counts:?}, {chi2}");
        let kept = weights.iter().filter(|weight| **weight > 0.0).count();
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), kept);
    }
}

#[test]
fn ties_go_to_the_lowest_id() {
    let flat = [1.0f32; 100];
    let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
    assert_eq!(choose(&flat, &greedy, 5), Ok(0));
    assert_eq!(choose(&LOGITS, &greedy, 5), Ok(3));
    let first = |sampling: Sampling| (0..500).map(|at| choose(&flat, &sampling, at).unwrap()).max();
    assert_eq!(first(Sampling { top_k: 7, ..Sampling::default() }), Some(6));
    assert_eq!(first(Sampling { top_p: 0.0995, ..Sampling::default() }), Some(9));
    assert_eq!(first(Sampling { top_p: 0.0, ..Sampling::default() }), Some(0));
}

#[test]
fn a_cut_that_keeps_everything_changes_nothing() {
    let open = random(Sampling::default());
    let cut = Sampling { top_k: 7, min_p: 1e-30, ..open.clone() };
    let logits: Vec<f32> = LOGITS[..7].to_vec();
    for position in 0..1_000 {
        assert_eq!(choose(&logits, &open, position), choose(&logits, &cut, position));
    }
}

#[test]
fn extremes_neither_panic_nor_leave_the_kept_set() {
    let mut logits = vec![f32::NEG_INFINITY; 1_000];
    logits[400] = f32::MIN;
    logits[401] = -1e30;
    for temperature in [0.0, 1e-38, 1.0, 100.0] {
        for (top_k, top_p, min_p) in
            [(0, 1.0, 0.0), (5, 1.0, 0.0), (0, 0.9, 0.0), (5, 0.9, 1.0), (u32::MAX, 1e-30, 0.5)]
        {
            let sampling = Sampling { temperature, top_k, top_p, min_p, ..Sampling::default() };
            assert_eq!(choose(&logits, &sampling, 3), Ok(401), "{sampling:?}");
        }
    }
    let none = vec![f32::NEG_INFINITY; 10];
    for temperature in [0.0, 1.0] {
        let sampling = Sampling { temperature, ..Sampling::default() };
        assert_eq!(choose(&none, &sampling, 3), Err(SamplingError::NothingAllowed { position: 3 }));
        assert_eq!(choose(&[], &sampling, 3), Err(SamplingError::NothingAllowed { position: 3 }));
    }
}

#[test]
fn a_nucleus_of_a_large_vocabulary_is_the_sorted_one() {
    // A long flat tail behind a few peaks: the nucleus reaches into the tail.
    let logits: Vec<f32> =
        (0..50_000u32).map(|id| (uniform(1, id) as f32) * 4.0 + if id % 9_973 == 5 { 9.0 } else { 0.0 }).collect();
    let max = maximum(&logits);
    let weight = Weight::new(max, 0.8);
    for top_p in [0.05f32, 0.5, 0.9, 0.999] {
        let mut sorted: Vec<Ranked> = logits.iter().enumerate().map(|(id, logit)| (*logit, id as u32)).collect();
        sorted.sort_by(rank);
        let expected = nucleus_of_sorted(sorted, weight, top_p);
        let mut got = nucleus(&logits, weight, top_p);
        got.sort_unstable_by(rank);
        // Sums in another order may differ in their last digit, and with it one token at the edge.
        assert!(got.len().abs_diff(expected.len()) <= 1, "{top_p}: {} and {}", got.len(), expected.len());
        let common = got.len().min(expected.len());
        assert_eq!(got[..common], expected[..common]);
    }
}
