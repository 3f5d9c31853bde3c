//! Writes the logits of every position of a sequence to standard output as little-endian 32-bit floats:
//! `logits MODEL IDS.json [THREADS]`, or with `--time N` the speed of prefill and of N greedy steps as JSON.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use computepool_core::ports::{EngineCommand, EngineEvent, StepInput};
use computepool_core::{ContentHash, Fault, FaultCode, Generate, GenerationId, LayerRange, Sampling, ShardSpec};
use computepool_engine::ShardLoader;
use computepool_engine::child::{Loader, Stepper};
use computepool_engine::pipe::{DeviceChoice, EngineOptions};
use computepool_model::weights::ModelFile;

fn main() -> Result<(), Fault> {
    let wrong = |what: String| Fault::new(FaultCode::InvalidRequest, what);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, ids) = match arguments.as_slice() {
        [path, ids, ..] => (PathBuf::from(path), ids),
        _ => return Err(wrong("logits MODEL IDS.json [--time N]".to_owned())),
    };
    let text = std::fs::read_to_string(ids).map_err(|error| wrong(format!("{ids}: {error}")))?;
    let ids: Vec<u32> = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let options = EngineOptions { threads: 1, device: DeviceChoice::Cpu };
    if let Some(steps) = arguments.iter().position(|a| a == "--time").and_then(|i| arguments.get(i + 1)) {
        let steps = steps.parse().map_err(|_| wrong(format!("{steps} is not a number of steps")))?;
        return time(&path, ids, steps, &options);
    }
    let logits = ShardLoader.logits(&path, &ids, 64, &options)?;
    let bytes: Vec<u8> = logits.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::io::stdout().write_all(&bytes).map_err(|error| wrong(error.to_string()))
}

/// Prefill of the ids and greedy steps after them, through the same batcher that serves.
fn time(path: &std::path::Path, ids: Vec<u32>, steps: u32, options: &EngineOptions) -> Result<(), Fault> {
    let layers = LayerRange::new(0, ModelFile::open(path)?.config().layer_count)?;
    let spec = ShardSpec { model: ContentHash([0; 32]), layers, kv_bytes: 1 << 30, max_context: 4096 };
    let mut shard = ShardLoader.load(path, &spec, options)?;
    let generation = GenerationId([1; 16]);
    let (rows, mut events) = (ids.len() as u32, Vec::new());
    let request = Generate {
        prompt: Vec::new(),
        produced: Vec::new(),
        max_tokens: steps + 1,
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        constraint: None,
        logprobs: None,
        ignore_eos: true,
    };
    let max_len = rows + steps + 1;
    let open = EngineCommand::Open { generation, max_len, prompt_len: rows, adopt: None, request: Some(request) };
    shard.command(open, &mut events);
    let (mut input, mut position, mut took) = (StepInput::Tokens(ids), 0, Vec::new());
    loop {
        let began = Instant::now();
        shard.command(EngineCommand::Step { generation, position, sample: true, input }, &mut events);
        while shard.has_work() {
            shard.step(&mut events)?;
        }
        took.push(began.elapsed().as_secs_f64());
        match events.drain(..).last() {
            Some(EngineEvent::Token { event, .. }) if event.finish.is_some() => break,
            Some(EngineEvent::Token { event, position: next, .. }) => {
                (input, position) = (StepInput::Tokens(vec![event.id]), next);
            }
            other => return Err(Fault::new(FaultCode::Internal, format!("{other:?}"))),
        }
    }
    let decode: f64 = took[1..].iter().sum();
    println!(r#"{{"prefill": {:.2}, "decode": {:.2}}}"#, f64::from(rows) / took[0], f64::from(steps) / decode);
    Ok(())
}
