use super::*;

fn row(of: u32, length: u32) -> Vec<f32> {
    (0..length).map(|id| (uniform(u64::from(of), id) * 20.0 - 10.0) as f32).collect()
}

fn sampling() -> Sampling {
    Sampling {
        temperature: 0.9,
        top_k: 50,
        top_p: 0.95,
        min_p: 0.01,
        repetition_penalty: 1.2,
        frequency_penalty: 0.3,
        presence_penalty: 0.1,
        logit_bias: vec![(3, 2.0), (4, -100.0)],
        seed: 99,
    }
}

#[test]
fn the_same_inputs_give_the_same_tokens_whoever_samples() {
    let prompt = [1, 2, 3];
    let mut whole = Sampler::new(&sampling(), None, &prompt, 500).unwrap();
    let tokens: Vec<u32> = (0..40).map(|at| whole.sample(&mut row(at, 500), None, at + 3).unwrap().id).collect();
    assert!(tokens.iter().collect::<std::collections::HashSet<_>>().len() > 5, "{tokens:?}");
    // Another sampler takes over in the middle, told only what was produced so far.
    for from in [0, 1, 17, 39] {
        let mut second = Sampler::new(&sampling(), Some(5), &prompt, 500).unwrap();
        tokens[..from].iter().for_each(|id| second.push(*id));
        for (at, expected) in (0..).zip(&tokens).skip(from) {
            let choice = second.sample(&mut row(at, 500), None, at + 3).unwrap();
            assert_eq!(choice.id, *expected, "taken over at {from}, token {at}");
        }
    }
    // The seed and the history both matter.
    let mut other = Sampler::new(&Sampling { seed: 100, ..sampling() }, None, &prompt, 500).unwrap();
    let others: Vec<u32> = (0..40).map(|at| other.sample(&mut row(at, 500), None, at + 3).unwrap().id).collect();
    assert_ne!(tokens, others);
}

#[test]
fn logprobs_are_those_of_the_raw_row() {
    let banned = Sampling { temperature: 0.0, logit_bias: vec![(1, -100.0)], ..Sampling::default() };
    let mut sampler = Sampler::new(&banned, Some(2), &[], 3).unwrap();
    let mask = TokenMask::of(&[0, 1]);
    let choice = sampler.sample(&mut [1.0, 5.0, 3.0], Some(&mask), 0).unwrap();
    let logprob = choice.logprob.unwrap();
    assert_eq!(choice.id, 0);
    // By hand: ln(e + e⁵ + e³) = 5.14293.
    assert!((logprob.logprob - (1.0 - 5.142_93)).abs() < 1e-4);
    assert_eq!(logprob.top.iter().map(|top| top.id).collect::<Vec<_>>(), [1, 2]);
    assert!((logprob.top[0].logprob - (5.0 - 5.142_93)).abs() < 1e-4);
}

#[test]
fn bias_and_mask_decide_with_and_without_a_temperature() {
    for temperature in [0.0, 1.0] {
        let uses = Sampling { temperature, logit_bias: vec![(2, 100.0)], ..Sampling::default() };
        let mut sampler = Sampler::new(&uses, None, &[], 64).unwrap();
        assert_eq!(sampler.sample(&mut row(1, 64), None, 0).unwrap().id, 2);
        let mask = TokenMask::of(&[40]);
        assert_eq!(sampler.sample(&mut row(2, 64), Some(&mask), 1).unwrap().id, 40);
        let none = TokenMask::new(Vec::new());
        let refused = sampler.sample(&mut row(2, 64), Some(&none), 2);
        assert_eq!(refused, Err(SamplingError::NothingAllowed { position: 2 }));
    }
}

#[test]
fn penalties_that_overflow_stay_finite() {
    let uses = Sampling { repetition_penalty: 0.01, logit_bias: vec![(0, 100.0)], ..Sampling::default() };
    let mut sampler = Sampler::new(&uses, None, &[0, 1], 3).unwrap();
    let id = sampler.sample(&mut [f32::MAX, f32::MIN, 0.0], None, 0).unwrap().id;
    assert_eq!(id, 0);
}

#[test]
fn bad_rows_and_bad_requests_are_named() {
    let mut sampler = Sampler::new(&Sampling::default(), None, &[], 4).unwrap();
    let expected = SamplingError::Vocabulary { expected: 4, got: 3 };
    assert_eq!(sampler.sample(&mut [0.0; 3], None, 0), Err(expected));
    let not_finite = sampler.sample(&mut [0.0, 1.0, f32::NAN, 2.0], None, 7).unwrap_err();
    assert_eq!(not_finite, SamplingError::NotFinite { position: 7, id: 2 });
    assert!(Fault::from(not_finite).message.contains("position 7"));

    let refused = |sampling: Sampling, alternatives, prompt: &[u32]| {
        Sampler::new(&sampling, alternatives, prompt, 4).unwrap_err().message
    };
    assert!(refused(Sampling { top_p: f32::NAN, ..Sampling::default() }, None, &[]).contains("top_p"));
    assert!(refused(Sampling { logit_bias: vec![(4, 1.0)], ..Sampling::default() }, None, &[]).contains("token 4"));
    assert!(refused(Sampling::default(), None, &[0, 9]).contains("token 9"));
    assert!(refused(Sampling::default(), Some(21), &[]).contains("21"));
}

#[test]
#[ignore = "a measurement, not a check: run with --ignored --nocapture"]
fn what_a_token_costs() {
    let cases = [
        ("greedy", Sampling { temperature: 0.0, ..Sampling::default() }, None),
        ("greedy, 5 logprobs", Sampling { temperature: 0.0, ..Sampling::default() }, Some(5)),
        ("everything", Sampling::default(), None),
        ("top_k 40, top_p 0.95", Sampling { top_k: 40, top_p: 0.95, ..Sampling::default() }, None),
        ("top_p 0.95", Sampling { top_p: 0.95, ..Sampling::default() }, None),
        ("min_p 0.05", Sampling { min_p: 0.05, ..Sampling::default() }, None),
    ];
    for vocabulary in [49_152, 262_144] {
        let raw = row(1, vocabulary);
        for (name, sampling, alternatives) in &cases {
            let mut sampler = Sampler::new(sampling, *alternatives, &[], vocabulary).unwrap();
            let mut spent = std::time::Duration::ZERO;
            for position in 0..20 {
                let mut logits = raw.clone();
                let began = std::time::Instant::now();
                sampler.sample(&mut logits, None, position).unwrap();
                spent += began.elapsed();
            }
            println!("{vocabulary:>7} {name:<22} {:>6} µs", (spent / 20).as_micros());
        }
    }
}
