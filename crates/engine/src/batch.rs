//! Ragged continuous batching: every step runs whatever is ready, each row attending over its own sequence.
//!
//! Single positions go first, so that a long prompt costs the others no more than the chunk it shares a step with; the
//! rest of the step is filled with prompt chunks, sequences taking turns. Which rows share a step changes speed only:
//! the kernels are batch-invariant.

mod opening;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use computepool_core::ports::{EngineCommand, EngineEvent, StepInput};
use computepool_core::{Activation, ActivationType, Fault, FaultCode, GenerationId, ShardInfo};

use crate::backend::{Backend, Segment};
use crate::child::Stepper;
use crate::compiler::Compiler;
use crate::forward::{BatchInput, Weights};
use crate::sequence::{Gathered, Piece, Sequence};
use opening::Opening;

/// At most this many single positions share a step.
const DECODE_ROWS: usize = 256;

/// At most this many prompt rows share a step: enough to use every weight well, short enough to keep others' tokens
/// coming.
const PREFILL_ROWS: usize = 64;

/// A step is cut off here while other sequences are decoding, so that they wait less.
const PREFILL_ROWS_AMONG_DECODES: usize = 32;

/// A prompt that gets a share of a step at all gets this many rows, so that frames do not become crumbs.
const SMALLEST_SHARE: usize = 16;

/// While nothing else is to be done, grammars are waited for this long before the queue is looked at again.
const GRAMMAR_PATIENCE: Duration = Duration::from_millis(2);

/// What sampling needs to know of the model.
pub(crate) struct Vocabulary {
    /// Tokens.
    pub(crate) size: u32,
    /// Tokens that end a text.
    pub(crate) ends: Vec<u32>,
    /// Compiles constraints.
    pub(crate) compiler: Compiler,
}

/// One shard with its open generations.
pub(crate) struct Batcher<B: Backend> {
    backend: B,
    weights: Weights<B>,
    info: ShardInfo,
    max_context: u32,
    /// Present on the exit shard.
    vocabulary: Option<Vocabulary>,
    /// Tokens in the vocabulary, on the entry shard: what an id must be below.
    ids_below: Option<u32>,
    sequences: HashMap<GenerationId, Sequence<B::Kv>>,
    turn: VecDeque<GenerationId>,
    reserved: u64,
}

struct Picked<Kv> {
    generation: GenerationId,
    piece: Piece,
    start: usize,
    kv: Kv,
}

impl<B: Backend> Batcher<B> {
    /// Serves `weights`.
    pub(crate) fn new(
        backend: B,
        weights: Weights<B>,
        info: ShardInfo,
        max_context: u32,
        vocabulary: Option<Vocabulary>,
        ids_below: Option<u32>,
    ) -> Self {
        Self {
            backend,
            weights,
            info,
            max_context,
            vocabulary,
            ids_below,
            sequences: HashMap::new(),
            turn: VecDeque::new(),
            reserved: 0,
        }
    }

    /// Hands compiled grammars to their generations, which are open with that.
    fn take_grammars(&mut self, patience: Duration, out: &mut Vec<EngineEvent>) {
        let mut patience = patience;
        while let Some(compiler) = self.vocabulary.as_mut().map(|vocabulary| &mut vocabulary.compiler) {
            let Some((generation, compiled)) = compiler.fetch(patience) else { return };
            patience = Duration::ZERO;
            let output = self.sequences.get_mut(&generation).and_then(|sequence| sequence.output.as_mut());
            match (output, compiled) {
                // Closed in the meantime.
                (None, _) => {}
                (Some(output), Ok(constraint)) => {
                    output.constrain(constraint);
                    out.push(EngineEvent::Opened { generation });
                }
                (Some(_), Err(fault)) => self.fail(generation, fault, out),
            }
        }
    }

    /// Forgets a generation and the steps queued for it; gives its room back.
    fn close(&mut self, generation: GenerationId) -> Option<Sequence<B::Kv>> {
        let sequence = self.sequences.remove(&generation)?;
        self.reserved -= sequence.reserved;
        self.turn.retain(|other| *other != generation);
        Some(sequence)
    }

    fn fail(&mut self, generation: GenerationId, fault: Fault, out: &mut Vec<EngineEvent>) {
        self.close(generation);
        out.push(EngineEvent::Failed { generation, fault });
    }

    fn queue(&mut self, generation: GenerationId, position: u32, sample: bool, input: StepInput) -> Result<(), Fault> {
        let Some(sequence) = self.sequences.get_mut(&generation) else { return Ok(()) };
        match (&input, self.ids_below) {
            (StepInput::Tokens(ids), Some(below)) => {
                if let Some(id) = ids.iter().find(|id| **id >= below) {
                    return Err(Fault::new(
                        FaultCode::InvalidRequest,
                        format!("token id {id} is not in the vocabulary of {below}"),
                    ));
                }
            }
            (StepInput::Hidden(hidden), None) if hidden.hidden() == self.info.hidden => {}
            (StepInput::Hidden(hidden), None) => {
                return Err(Fault::new(
                    FaultCode::WrongShape,
                    format!("hidden states are {} wide, this model's are {}", hidden.hidden(), self.info.hidden),
                ));
            }
            _ => return Err(Fault::new(FaultCode::WrongShape, "this place in the route takes another kind of input")),
        }
        sequence.queue(position, sample, input)
    }

    /// Chooses what shares the next step: single positions first, then prompt chunks, each from whoever has waited
    /// longest. Sequences that wait with a prompt share its rows evenly, so that a short one gets past a long one.
    fn pick(&mut self) -> (Vec<Picked<B::Kv>>, Gathered) {
        let mut picked = Vec::new();
        let mut gathered = Gathered::default();
        let waits = |decodes: bool| {
            let ready = |generation: &GenerationId| {
                self.sequences.get(generation).is_some_and(|s| s.ready() > 0 && s.decodes() == decodes)
            };
            self.turn.iter().copied().filter(ready).collect::<Vec<_>>()
        };
        let (decoding, prompts) = (waits(true), waits(false));
        for generation in decoding.iter().take(DECODE_ROWS) {
            self.pick_from(*generation, 1, &mut picked, &mut gathered);
        }
        let mut room = if decoding.is_empty() { PREFILL_ROWS } else { PREFILL_ROWS_AMONG_DECODES };
        for (index, generation) in prompts.iter().enumerate() {
            let share = room.div_ceil(prompts.len() - index).max(SMALLEST_SHARE).min(room);
            room -= self.pick_from(*generation, share, &mut picked, &mut gathered);
            if room == 0 {
                break;
            }
        }
        let served: HashSet<GenerationId> = picked.iter().map(|pick| pick.generation).collect();
        self.turn.retain(|generation| !served.contains(generation));
        self.turn.extend(picked.iter().map(|pick| pick.generation));
        (picked, gathered)
    }

    /// Takes up to `most` rows of one sequence; how many were taken.
    fn pick_from(
        &mut self,
        generation: GenerationId,
        most: usize,
        picked: &mut Vec<Picked<B::Kv>>,
        gathered: &mut Gathered,
    ) -> usize {
        let Some(sequence) = self.sequences.get_mut(&generation) else { return 0 };
        let (Some(kv), Some(piece)) = (sequence.kv.take(), sequence.take(most, gathered)) else { return 0 };
        let start = picked.last().map_or(0, |last| last.start + last.piece.rows);
        let rows = piece.rows;
        picked.push(Picked { generation, piece, start, kv });
        rows
    }

    /// Sends every picked piece's rows on to the next shard.
    fn emit_hidden(
        &self,
        picked: &[Picked<B::Kv>],
        rows: B::Rows,
        share: impl Fn(usize) -> u64,
        out: &mut Vec<EngineEvent>,
    ) -> Result<(), Fault> {
        let width = self.info.hidden as usize * size_of::<f32>();
        let values = self.backend.download(rows)?;
        let bytes = Bytes::from(values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        for Picked { generation, piece, start, .. } in picked {
            let data = bytes.slice(start * width..(start + piece.rows) * width);
            out.push(EngineEvent::Hidden {
                generation: *generation,
                position: piece.position,
                sample: piece.sample,
                hidden: Activation::new(piece.rows as u32, self.info.hidden, ActivationType::F32, data)?,
                compute_us: share(piece.rows),
            });
        }
        Ok(())
    }

    /// Samples for the pieces that ask for it.
    fn emit_tokens(
        &mut self,
        picked: &[Picked<B::Kv>],
        mut logits: Vec<f32>,
        share: impl Fn(usize) -> u64,
        out: &mut Vec<EngineEvent>,
    ) {
        let Some(vocabulary) = &self.vocabulary else { return };
        let mut logits = logits.chunks_exact_mut(vocabulary.size as usize);
        let mut failed = Vec::new();
        for Picked { generation, piece, .. } in picked {
            let (generation, compute_us) = (*generation, share(piece.rows));
            if !piece.sample {
                out.push(EngineEvent::Absorbed {
                    generation,
                    position: piece.position,
                    rows: piece.rows as u32,
                    compute_us,
                });
                continue;
            }
            let position = piece.position + piece.rows as u32;
            let output = self.sequences.get_mut(&generation).and_then(|sequence| sequence.output.as_mut());
            let (Some(output), Some(logits)) = (output, logits.next()) else { continue };
            match output.choose(logits, position, |id| vocabulary.ends.contains(&id)) {
                Ok(event) => {
                    out.push(EngineEvent::Token { generation, position, rows: piece.rows as u32, event, compute_us });
                }
                Err(fault) => failed.push((generation, fault)),
            }
        }
        for (generation, fault) in failed {
            self.fail(generation, fault, out);
        }
    }

    fn run(&mut self, picked: &mut [Picked<B::Kv>], input: Gathered, out: &mut Vec<EngineEvent>) -> Result<(), Fault> {
        let started = Instant::now();
        let total: usize = picked.iter().map(|pick| pick.piece.rows).sum();
        let input =
            if self.ids_below.is_some() { BatchInput::Tokens(input.ids) } else { BatchInput::Hidden(input.hidden) };
        let mut segments: Vec<_> = picked
            .iter_mut()
            .map(|pick| Segment {
                start: pick.start,
                rows: pick.piece.rows,
                position: pick.piece.position,
                kv: &mut pick.kv,
            })
            .collect();
        let rows = self.weights.run(&self.backend, input, &mut segments)?;
        if self.vocabulary.is_none() {
            // Waiting for the device belongs to the step, so the clock is read after the download.
            let first = out.len();
            self.emit_hidden(picked, rows, |_| 0, out)?;
            let took = started.elapsed().as_micros() as u64;
            for event in &mut out[first..] {
                if let EngineEvent::Hidden { hidden, compute_us, .. } = event {
                    *compute_us = took * u64::from(hidden.rows()) / total as u64;
                }
            }
            return Ok(());
        }
        let last_rows: Vec<usize> =
            picked.iter().filter(|p| p.piece.sample).map(|p| p.start + p.piece.rows - 1).collect();
        let logits =
            if last_rows.is_empty() { Vec::new() } else { self.weights.logits(&self.backend, &rows, &last_rows)? };
        let took = started.elapsed().as_micros() as u64;
        self.emit_tokens(picked, logits, |rows| took * rows as u64 / total as u64, out);
        Ok(())
    }
}

impl<B: Backend> Stepper for Batcher<B> {
    fn command(&mut self, command: EngineCommand, out: &mut Vec<EngineEvent>) {
        match command {
            EngineCommand::Open { generation, max_len, prompt_len, adopt, request } => {
                self.open(Opening { generation, max_len, prompt_len, adopt, request }, out);
            }
            EngineCommand::Step { generation, position, sample, input } => {
                if let Err(fault) = self.queue(generation, position, sample, input) {
                    self.fail(generation, fault, out);
                }
            }
            EngineCommand::Close { generation } => {
                self.close(generation);
                out.push(EngineEvent::Closed { generation });
            }
        }
    }

    fn has_work(&self) -> bool {
        let compiling = self.vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.compiler.is_busy());
        compiling || self.sequences.values().any(|sequence| sequence.ready() > 0)
    }

    fn step(&mut self, out: &mut Vec<EngineEvent>) -> Result<(), Fault> {
        let (mut picked, gathered) = self.pick();
        self.take_grammars(if picked.is_empty() { GRAMMAR_PATIENCE } else { Duration::ZERO }, out);
        if picked.is_empty() {
            return Ok(());
        }
        let result = self.run(&mut picked, gathered, out);
        for pick in picked {
            if let Some(sequence) = self.sequences.get_mut(&pick.generation) {
                sequence.kv = Some(pick.kv);
            }
        }
        result
    }

    fn info(&self) -> ShardInfo {
        self.info.clone()
    }

    fn kv_tokens_used(&self) -> u64 {
        self.reserved
    }
}

#[cfg(test)]
mod tests;
