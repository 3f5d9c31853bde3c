//! The split is invisible: the same tokens, and the same hidden states to the last bit, whatever the number of shards,
//! the company in the batch, or the cutting of the prompt.
//!
//! Runs a telling slice of the matrix; `COMPUTEPOOL_MATRIX=full` runs all of it (20 prompts of 128 tokens, 1 to 30
//! shards).
#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

mod ring;

use std::time::Instant;

use computepool_core::ports::{ChatPrompt, Text};
use computepool_core::{ContentHash, LayerRange, Sampling};
use computepool_engine::ShardLoader;
use computepool_engine::child::Loader;
use computepool_engine::pipe::{DeviceChoice, EngineOptions};
use computepool_model::catalogue::sample_model_path;
use computepool_model::text::ModelText;
use computepool_model::weights::ModelFile;
use ring::{Ring, Run};
use serde_json::Value;

const LAYERS: u32 = 30;

fn full() -> bool {
    std::env::var("COMPUTEPOOL_MATRIX").is_ok_and(|matrix| matrix == "full")
}

/// Long, short, in several scripts, multi-turn, code: as token ids.
fn prompts() -> Vec<Vec<u32>> {
    let chats: Vec<Vec<Value>> = serde_json::from_str(include_str!("../fixtures/chats.json")).unwrap();
    let text = ModelText::open(&ModelFile::open(&sample_model_path().unwrap()).unwrap()).unwrap();
    let encode = |messages: &Vec<Value>| {
        let chat = ChatPrompt { messages, tools: &[], add_generation_prompt: true, variables: &Default::default() };
        text.encode(&text.render(&chat).unwrap(), true).unwrap()
    };
    chats.iter().map(encode).collect()
}

fn cut(shards: u32) -> Vec<LayerRange> {
    (0..shards).map(|i| LayerRange::new(i * LAYERS / shards, (i + 1) * LAYERS / shards).unwrap()).collect()
}

fn greedy() -> Sampling {
    Sampling { temperature: 0.0, ..Sampling::default() }
}

/// Every prompt by itself, in one piece, on one shard: what all else is held against.
fn alone(prompts: &[Vec<u32>], tokens: u32, layers: &[LayerRange]) -> Vec<Run> {
    let mut ring = Ring::load(&sample_model_path().unwrap(), layers);
    prompts
        .iter()
        .flat_map(|prompt| ring.generate(std::slice::from_ref(prompt), tokens, usize::MAX, &greedy()))
        .collect()
}

fn compare(name: &str, runs: &[Run], reference: &[Run], states: &[Run]) {
    for (i, (run, reference)) in runs.iter().zip(reference).enumerate() {
        assert_eq!(run.ids, reference.ids, "{name}: prompt {i} gave other tokens");
        let mut compared = 0;
        for (at, hash) in &run.hidden {
            if let Some(right) = states[i].hidden.get(at) {
                assert_eq!(hash, right, "{name}: prompt {i}, hidden state at {at:?}");
                compared += 1;
            }
        }
        assert!(run.hidden.is_empty() || compared > 0, "{name}: nothing was compared");
    }
}

#[test]
fn tokens_and_hidden_states_are_the_same_whatever_the_split_the_mates_and_the_chunks() {
    let prompts = prompts();
    assert_eq!(prompts.len(), 20);
    let (prompts, tokens) = if full() { (prompts, 128) } else { (prompts.into_iter().step_by(5).collect(), 8) };
    let reference = alone(&prompts, tokens, &cut(1));
    // With a shard for every layer each boundary is seen, so that every other split finds its own among them.
    let states = alone(&prompts, tokens, &cut(LAYERS));
    compare("30 shards", &states, &reference, &states);
    let path = sample_model_path().unwrap();
    for shards in [1, 2, 3, 5, 30] {
        if full() && ![1, LAYERS].contains(&shards) {
            compare(&format!("{shards} shards, alone"), &alone(&prompts, tokens, &cut(shards)), &reference, &states);
        }
        let mut ring = Ring::load(&path, &cut(shards));
        let chunks: &[usize] = match shards {
            _ if full() => &[usize::MAX, 7],
            1 | 5 => &[usize::MAX],
            _ => &[7],
        };
        for &chunk in chunks {
            // 16 mates and the one that is looked at: all start together and stay together.
            for group in 0..prompts.len().div_ceil(17) {
                let mates: Vec<_> = (0..17).map(|i| (group * 17 + i) % prompts.len()).collect();
                let batch: Vec<_> = mates.iter().map(|&i| prompts[i].clone()).collect();
                let runs = ring.generate(&batch, tokens, chunk, &greedy());
                let of = |runs: &[Run]| mates.iter().map(|&i| runs[i].clone()).collect::<Vec<_>>();
                compare(&format!("{shards} shards, 16 mates, chunks of {chunk}"), &runs, &of(&reference), &of(&states));
            }
        }
        assert_eq!(ring.kv_tokens_used(), 0, "every generation was closed");
    }
}

#[test]
fn sampling_with_a_seed_gives_the_same_tokens_on_one_shard_and_on_three_alone_and_in_company() {
    let path = sample_model_path().unwrap();
    let prompts: Vec<_> = prompts().into_iter().take(3).collect();
    let sampling = Sampling { temperature: 0.9, top_p: 0.95, top_k: 50, seed: 17, frequency_penalty: 0.3, ..greedy() };
    let one = Ring::load(&path, &cut(1)).generate(&prompts[..1], 24, usize::MAX, &sampling);
    let three = Ring::load(&path, &cut(3)).generate(&prompts, 24, 16, &sampling);
    assert_eq!(one[0].ids, three[0].ids);
    let other = Ring::load(&path, &cut(1)).generate(&prompts[..1], 24, usize::MAX, &Sampling { seed: 18, ..sampling });
    assert_ne!(one[0].ids, other[0].ids, "another seed, another answer");
}

#[test]
fn what_does_not_fit_is_refused_and_what_is_closed_makes_room() {
    let path = sample_model_path().unwrap();
    ring::admission(&path, LayerRange::new(0, 3).unwrap());
}

#[test]
fn a_long_prompt_costs_the_others_no_more_than_the_step_they_share() {
    ring::a_long_prompt_among_decodes(&sample_model_path().unwrap(), LayerRange::new(0, 3).unwrap());
}

#[test]
fn prompts_share_a_step_so_that_a_short_one_gets_past_a_long_one() {
    ring::a_short_prompt_behind_a_long_one(&sample_model_path().unwrap(), LayerRange::new(0, 3).unwrap());
}

#[test]
#[ignore = "a measurement, not a check: run with --ignored --nocapture"]
fn what_a_token_takes_as_measured_and_as_served() {
    let path = sample_model_path().unwrap();
    let options = EngineOptions { threads: 1, device: DeviceChoice::Cpu };
    let began = Instant::now();
    let speed = ShardLoader.measure(&path, ContentHash([0; 32]), &options).unwrap();
    println!("{speed:?} in {:?}", began.elapsed());
    let prompts: Vec<_> = prompts().into_iter().map(|prompt| prompt.into_iter().cycle().take(64).collect()).collect();
    for shards in [1, 3] {
        let mut ring = Ring::load(&path, &cut(shards));
        for (mates, layer_ns) in [(1, speed.layer_ns), (8, speed.layer_ns_8)] {
            let mut timed = |tokens| {
                let began = Instant::now();
                ring.generate(&prompts[..mates], tokens, usize::MAX, &greedy());
                began.elapsed().as_secs_f64() * 1e3
            };
            let (first, all) = (timed(1), timed(33));
            let measured = (LAYERS as u64 * layer_ns + mates as u64 * speed.head_ns) as f64 / 1e6;
            let prefill = mates as f64 * (64 * LAYERS as u64 * speed.prefill_ns + speed.head_ns) as f64 / 1e6;
            println!(
                "{shards} shards, {mates} at once: a step is measured as {measured:.1} ms and takes {:.1} ms; 64 rows of \
                 prompt each as {prefill:.0} ms and take {first:.0} ms",
                (all - first) / 32.0
            );
        }
    }
}
