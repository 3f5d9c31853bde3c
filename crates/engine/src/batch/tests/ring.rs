//! Shards of a tiny model, joined in a ring, and what is asked of them.

use computepool_core::ports::{Adopt, EngineCommand, EngineEvent, StepInput};
use computepool_core::{
    Constraint, ContentHash, Fault, Generate, GenerationId, LayerRange, Sampling, ShardSpec, TokenEvent,
};
use computepool_model::config::Architecture;
use computepool_model::testkit::{TinyModel, TinySpec, as_f32};

use crate::backend::Backend;
use crate::batch::Batcher;
use crate::child::Stepper;
use crate::shard::load;

/// Positions of every prompt.
pub(super) const PROMPT: u32 = 40;
/// Tokens of every answer, unless its grammar ends it sooner.
pub(super) const TOKENS: u32 = 20;
/// KV that one position takes in all four blocks together, in bytes.
pub(super) const POSITION: u64 = 4 * 2 * 2 * 16 * 4;

pub(super) struct Ring<B: Backend> {
    pub(super) shards: Vec<Batcher<B>>,
    _folder: tempfile::TempDir,
}

pub(super) fn id(number: u8) -> GenerationId {
    GenerationId([number; 16])
}

pub(super) fn ids(events: &[TokenEvent]) -> Vec<u32> {
    events.iter().map(|event| event.id).collect()
}

/// The ids of a text: a tiny model has one for each byte.
pub(super) fn spelled(text: &str) -> Vec<u32> {
    text.bytes().map(|byte| u32::from(byte) + 1).collect()
}

pub(super) fn greedy() -> Generate {
    Generate {
        prompt: (0..PROMPT).map(|at| 3 + at * 37 % 90).collect(),
        produced: Vec::new(),
        max_tokens: TOKENS,
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        constraint: None,
        logprobs: Some(3),
        ignore_eos: true,
    }
}

/// One of every kind that remembers something from token to token.
pub(super) fn requests() -> Vec<Generate> {
    let sampled = Sampling { temperature: 0.9, top_p: 0.95, top_k: 50, seed: 17, ..Sampling::default() };
    let schema = |text: &str| Some(Constraint::JsonSchema(text.to_owned()));
    let person = r#"{"type":"object","properties":{"a":{"enum":["x","yy"]},"b":{"type":"integer","maximum":99999}},
                     "required":["a","b"],"additionalProperties":false}"#;
    let penalised =
        Sampling { frequency_penalty: 1.5, presence_penalty: 1.0, logit_bias: vec![(9, 4.0)], ..sampled.clone() };
    let repeating = Sampling { repetition_penalty: 1.7, temperature: 0.0, ..Sampling::default() };
    vec![
        greedy(),
        Generate { sampling: sampled.clone(), ..greedy() },
        Generate { sampling: penalised, ..greedy() },
        Generate { sampling: repeating, ..greedy() },
        Generate { sampling: sampled.clone(), constraint: schema(person), ignore_eos: false, ..greedy() },
        Generate { sampling: sampled, constraint: schema(r#"{"type":"string"}"#), ignore_eos: false, ..greedy() },
    ]
}

/// The same request with its first tokens there already.
pub(super) fn after(request: &Generate, produced: &[u32]) -> Generate {
    Generate { produced: produced.to_vec(), ..request.clone() }
}

impl<B: Backend> Ring<B> {
    /// One shard for each range, each with room for `kv` positions.
    pub(super) fn load(backend: impl Fn() -> B, cut: &[&str], kv: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        TinyModel::random(TinySpec::new(Architecture::Qwen3)).write_hf(folder.path(), 1, &as_f32).unwrap();
        let shard = |layers: &&str| {
            let layers: LayerRange = layers.parse().unwrap();
            let kv_bytes = kv * POSITION / 4 * u64::from(layers.len());
            load(
                backend(),
                folder.path(),
                &ShardSpec { model: ContentHash([0; 32]), layers, kv_bytes, max_context: 512 },
            )
        };
        Self { shards: cut.iter().map(|layers| shard(layers).unwrap()).collect(), _folder: folder }
    }

    pub(super) fn tell(&mut self, shard: usize, command: EngineCommand) -> Vec<EngineEvent> {
        let mut said = Vec::new();
        self.shards[shard].command(command, &mut said);
        said
    }

    /// Opens a generation on every shard; what they said, one after the other, until it was open or refused.
    pub(super) fn open(&mut self, number: u8, request: &Generate, adopt: Option<Adopt>) -> Vec<EngineEvent> {
        let prompt_len = (request.prompt.len() + request.produced.len()) as u32;
        let max_len = request.prompt.len() as u32 + request.max_tokens;
        let (mut all, last) = (Vec::new(), self.shards.len() - 1);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            let request = (index == last).then(|| request.clone());
            let mut said = Vec::new();
            shard.command(
                EngineCommand::Open { generation: id(number), max_len, prompt_len, adopt, request },
                &mut said,
            );
            while !said.iter().any(|said| matches!(said, EngineEvent::Opened { .. } | EngineEvent::Failed { .. })) {
                shard.step(&mut said).unwrap();
            }
            all.append(&mut said);
        }
        all
    }

    /// Why a generation was refused, by the exit.
    pub(super) fn refused(&mut self, number: u8, request: &Generate, adopt: Option<Adopt>) -> Fault {
        match self.open(number, request, adopt).pop() {
            Some(EngineEvent::Failed { fault, .. }) => fault,
            other => panic!("{other:?} instead of a refusal"),
        }
    }

    /// Feeds an open generation from `first` on, until it has `most` tokens or the last one.
    pub(super) fn tokens(&mut self, number: u8, request: &Generate, first: u32, most: usize) -> Vec<TokenEvent> {
        let fed = [request.prompt.clone(), request.produced.clone()].concat();
        self.feed(number, first, fed[first as usize..].to_vec());
        let mut tokens = Vec::new();
        while let Some((position, event)) = self.run_dry() {
            let (token, over) = (event.id, event.finish.is_some());
            tokens.push(event);
            if over || tokens.len() == most {
                break;
            }
            self.feed(number, position, vec![token]);
        }
        tokens
    }

    fn feed(&mut self, number: u8, position: u32, tokens: Vec<u32>) {
        let input = StepInput::Tokens(tokens);
        let step = EngineCommand::Step { generation: id(number), position, sample: true, input };
        assert_eq!(self.tell(0, step), []);
    }

    /// Runs the shards until none has anything to do; the last token that came of it.
    fn run_dry(&mut self) -> Option<(u32, TokenEvent)> {
        let mut token = None;
        for index in 0..self.shards.len() {
            while self.shards[index].has_work() {
                let mut said = Vec::new();
                self.shards[index].step(&mut said).unwrap();
                for event in said {
                    match event {
                        EngineEvent::Hidden { generation, position, sample, hidden, .. } => {
                            let input = StepInput::Hidden(hidden);
                            let step = EngineCommand::Step { generation, position, sample, input };
                            assert_eq!(self.tell(index + 1, step), []);
                        }
                        EngineEvent::Token { position, event, .. } => token = Some((position, event)),
                        EngineEvent::Absorbed { .. } => {}
                        other => panic!("shard {index} said {other:?}"),
                    }
                }
            }
        }
        token
    }

    pub(super) fn close(&mut self, number: u8) {
        for shard in 0..self.shards.len() {
            let closed = self.tell(shard, EngineCommand::Close { generation: id(number) });
            assert_eq!(closed, [EngineEvent::Closed { generation: id(number) }]);
        }
        assert!(self.shards.iter().all(|shard| shard.kv_tokens_used() == 0));
    }

    /// A whole answer by itself: what all else is held against.
    pub(super) fn whole(&mut self, request: &Generate) -> Vec<TokenEvent> {
        self.open(1, request, None);
        let tokens = self.tokens(1, request, 0, usize::MAX);
        self.close(1);
        assert!(tokens.len() > 2 && tokens.last().unwrap().finish.is_some(), "{tokens:?}");
        tokens
    }
}
