//! Shards in one process, joined the way nodes join them: hidden states forward, tokens back to the entry.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use computepool_core::ports::{EngineCommand, EngineEvent, StepInput};
use computepool_core::{ContentHash, FaultCode, Generate, GenerationId, LayerRange, Sampling, ShardSpec};
use computepool_engine::ShardLoader;
use computepool_engine::child::{Loader, Stepper};
use computepool_engine::pipe::{DeviceChoice, EngineOptions};

/// One generation as it came out.
#[derive(Clone, Default)]
pub(crate) struct Run {
    /// Its tokens.
    pub(crate) ids: Vec<u32>,
    /// A hash of the bytes of the hidden state after (layers, position).
    pub(crate) hidden: HashMap<(u32, u32), u64>,
}

/// The shards of one route.
pub(crate) struct Ring {
    shards: Vec<Box<dyn Stepper>>,
    ends: Vec<u32>,
}

fn spec(layers: LayerRange, kv_bytes: u64) -> ShardSpec {
    ShardSpec { model: ContentHash([0; 32]), layers, kv_bytes, max_context: 2048 }
}

fn load(path: &Path, layers: LayerRange, kv_bytes: u64) -> Box<dyn Stepper> {
    let options = EngineOptions { threads: 1, device: DeviceChoice::Cpu };
    ShardLoader.load(path, &spec(layers, kv_bytes), &options).unwrap()
}

fn id(index: usize) -> GenerationId {
    GenerationId([index as u8; 16])
}

impl Ring {
    /// Loads one shard for each range.
    pub(crate) fn load(path: &Path, layers: &[LayerRange]) -> Self {
        let shards = layers.iter().map(|&layers| load(path, layers, 1 << 30)).collect();
        Self { shards, ends: layers.iter().map(|layers| layers.end()).collect() }
    }

    /// KV that is still reserved, over all shards.
    pub(crate) fn kv_tokens_used(&self) -> u64 {
        self.shards.iter().map(|shard| shard.kv_tokens_used()).sum()
    }

    fn tell(&mut self, shard: usize, command: EngineCommand) -> Vec<EngineEvent> {
        let mut events = Vec::new();
        self.shards[shard].command(command, &mut events);
        events
    }

    /// Runs all prompts at the same time to `tokens` tokens each, prompts cut into chunks of at most `chunk`.
    pub(crate) fn generate(
        &mut self,
        prompts: &[Vec<u32>],
        tokens: u32,
        chunk: usize,
        sampling: &Sampling,
    ) -> Vec<Run> {
        let exit = self.shards.len() - 1;
        for (index, prompt) in prompts.iter().enumerate() {
            for shard in 0..self.shards.len() {
                let request = Generate {
                    prompt: Vec::new(),
                    produced: Vec::new(),
                    max_tokens: tokens,
                    sampling: sampling.clone(),
                    constraint: None,
                    logprobs: None,
                    ignore_eos: true,
                };
                let command = EngineCommand::Open {
                    generation: id(index),
                    max_len: prompt.len() as u32 + tokens,
                    prompt_len: prompt.len() as u32,
                    adopt: None,
                    request: (shard == exit).then_some(request),
                };
                assert_eq!(self.tell(shard, command), [EngineEvent::Opened { generation: id(index) }]);
            }
            let mut position = 0;
            for piece in prompt.chunks(chunk.min(prompt.len())) {
                let command = EngineCommand::Step {
                    generation: id(index),
                    position,
                    sample: position as usize + piece.len() == prompt.len(),
                    input: StepInput::Tokens(piece.to_vec()),
                };
                assert_eq!(self.tell(0, command), []);
                position += piece.len() as u32;
            }
        }
        let mut runs = vec![Run::default(); prompts.len()];
        while self.shards.iter().any(|shard| shard.has_work()) {
            for shard in 0..self.shards.len() {
                let mut events = Vec::new();
                self.shards[shard].step(&mut events).unwrap();
                for event in events {
                    self.pass_on(shard, event, &mut runs);
                }
            }
        }
        for (index, run) in runs.iter().enumerate() {
            assert_eq!(run.ids.len() as u32, tokens);
            for shard in 0..self.shards.len() {
                let closed = self.tell(shard, EngineCommand::Close { generation: id(index) });
                assert_eq!(closed, [EngineEvent::Closed { generation: id(index) }]);
            }
        }
        runs
    }

    fn pass_on(&mut self, shard: usize, event: EngineEvent, runs: &mut [Run]) {
        match event {
            EngineEvent::Hidden { generation, position, sample, hidden, .. } => {
                let run = &mut runs[usize::from(generation.0[0])];
                for (row, bytes) in hidden.data().chunks(hidden.hidden() as usize * 4).enumerate() {
                    let mut hasher = DefaultHasher::new();
                    bytes.hash(&mut hasher);
                    run.hidden.insert((self.ends[shard], position + row as u32), hasher.finish());
                }
                let input = StepInput::Hidden(hidden);
                assert_eq!(self.tell(shard + 1, EngineCommand::Step { generation, position, sample, input }), []);
            }
            EngineEvent::Token { generation, position, event, .. } => {
                let run = &mut runs[usize::from(generation.0[0])];
                assert_eq!(event.index as usize, run.ids.len());
                run.ids.push(event.id);
                if event.finish.is_none() {
                    let input = StepInput::Tokens(vec![event.id]);
                    let next = EngineCommand::Step { generation, position, sample: true, input };
                    assert_eq!(self.tell(0, next), []);
                }
            }
            EngineEvent::Absorbed { .. } => {}
            other => panic!("shard {shard} said {other:?}"),
        }
    }
}

/// A shard with room for 128 tokens takes two generations of 64, refuses a third by name, and takes it once one left.
pub(crate) fn admission(path: &Path, layers: LayerRange) {
    let per_token = load(path, layers, 1 << 20).info().kv_bytes_per_token;
    let mut ring = Ring { shards: vec![load(path, layers, 128 * per_token)], ends: vec![layers.end()] };
    let open = |index, max_len| EngineCommand::Open {
        generation: id(index),
        max_len,
        prompt_len: 8,
        adopt: None,
        request: None,
    };
    for index in 0..2 {
        assert_eq!(ring.tell(0, open(index, 64)), [EngineEvent::Opened { generation: id(index) }]);
    }
    let refused = |events: Vec<EngineEvent>| match events.as_slice() {
        [EngineEvent::Failed { fault, .. }] => fault.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(ring.tell(0, open(2, 64))), FaultCode::NoCapacity);
    ring.tell(0, EngineCommand::Close { generation: id(0) });
    assert_eq!(ring.tell(0, open(2, 64)), [EngineEvent::Opened { generation: id(2) }]);
    assert_eq!(refused(ring.tell(0, open(3, 5000))), FaultCode::ContextLength);
    // Whatever is wrong with a step costs the generation it is for, and nobody else.
    let step = |index, position, ids: &[u32]| EngineCommand::Step {
        generation: id(index),
        position,
        sample: false,
        input: StepInput::Tokens(ids.to_vec()),
    };
    assert_eq!(ring.tell(0, step(1, 0, &[5, 6, 7])), []);
    assert_eq!(refused(ring.tell(0, step(2, 0, &[4_000_000]))), FaultCode::InvalidRequest);
    assert_eq!(ring.kv_tokens_used(), 64, "the generation with the bad step gave its room back");
    assert_eq!(refused(ring.tell(0, step(1, 1, &[5]))), FaultCode::Replay);
    assert_eq!(ring.tell(0, open(4, 64)), [EngineEvent::Opened { generation: id(4) }]);
    assert_eq!(refused(ring.tell(0, step(4, 3, &[5]))), FaultCode::WrongShape);
    assert_eq!(ring.kv_tokens_used(), 0);
    assert!(!ring.shards[0].has_work());
}

/// While a prompt of 600 is worked on, whoever is decoding gets a row through in every single step.
pub(crate) fn a_long_prompt_among_decodes(path: &Path, layers: LayerRange) {
    let mut ring = Ring { shards: vec![load(path, layers, 1 << 30)], ends: vec![layers.end()] };
    let (short, long) = (id(0), id(1));
    for (generation, prompt_len) in [(short, 4), (long, 600)] {
        let open = EngineCommand::Open { generation, max_len: 700, prompt_len, adopt: None, request: None };
        assert_eq!(ring.tell(0, open), [EngineEvent::Opened { generation }]);
    }
    let rows = |generation, position, count: u32| EngineCommand::Step {
        generation,
        position,
        sample: true,
        input: StepInput::Tokens((0..count).map(|i| 100 + i).collect()),
    };
    ring.tell(0, rows(short, 0, 4));
    ring.shards[0].step(&mut Vec::new()).unwrap();
    ring.tell(0, rows(long, 0, 600));
    let (mut position, mut through, mut steps) = (4, 0, 0);
    while through < 600 {
        ring.tell(0, rows(short, position, 1));
        let mut events = Vec::new();
        ring.shards[0].step(&mut events).unwrap();
        steps += 1;
        let mut served = false;
        for event in events {
            match event {
                EngineEvent::Hidden { generation, position: at, hidden, .. } if generation == short => {
                    assert_eq!((at, hidden.rows()), (position, 1));
                    served = true;
                }
                EngineEvent::Hidden { generation, position: at, hidden, sample, .. } if generation == long => {
                    assert_eq!(at, through, "chunks come in order and without gaps");
                    through += hidden.rows();
                    assert_eq!(sample, through == 600, "only the last chunk is sampled after");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(served, "step {steps} left the decoding sequence out");
        position += 1;
    }
    assert!(steps > 5, "the prompt was cut into chunks");
}

/// A short prompt that arrives behind a long one is through after a few steps, not after the long one.
pub(crate) fn a_short_prompt_behind_a_long_one(path: &Path, layers: LayerRange) {
    let mut ring = Ring { shards: vec![load(path, layers, 1 << 30)], ends: vec![layers.end()] };
    let (long, short) = (id(0), id(1));
    for (generation, prompt_len) in [(long, 640), (short, 40)] {
        let open = EngineCommand::Open { generation, max_len: 700, prompt_len, adopt: None, request: None };
        ring.tell(0, open);
        let input = StepInput::Tokens((0..prompt_len).map(|i| 100 + i).collect());
        ring.tell(0, EngineCommand::Step { generation, position: 0, sample: true, input });
    }
    let mut through = 0;
    for step in 1.. {
        let mut events = Vec::new();
        ring.shards[0].step(&mut events).unwrap();
        for event in events {
            match event {
                EngineEvent::Hidden { generation, hidden, .. } if generation == short => through += hidden.rows(),
                EngineEvent::Hidden { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        if through == 40 {
            return;
        }
        assert!(step < 4, "after {step} steps the short prompt has {through} of its 40 rows through");
    }
}
