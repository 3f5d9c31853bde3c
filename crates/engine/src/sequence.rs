//! One generation inside a shard: its keys and values, the steps waiting, and, on the exit shard, how it samples.

use std::collections::VecDeque;

use computepool_core::ports::StepInput;
use computepool_core::{Activation, ActivationType, Fault, FaultCode, FinishReason, Generate, TokenEvent};

use crate::constraint::{ConstraintState, Progress};
use crate::sampling::Sampler;

/// A generation that was admitted.
pub(crate) struct Sequence<Kv> {
    /// Keys and values; away while a step uses them.
    pub(crate) kv: Option<Kv>,
    /// Positions it may grow to.
    pub(crate) max_len: u32,
    /// Positions that are fed before anything is sampled.
    pub(crate) prompt_len: u32,
    /// Tokens of KV reserved for it.
    pub(crate) reserved: u64,
    /// On the exit shard.
    pub(crate) output: Option<Output>,
    next: u32,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    position: u32,
    sample: bool,
    taken: usize,
    input: StepInput,
}

/// A piece of a sequence's work, taken for one step.
pub(crate) struct Piece {
    /// The position of the first row.
    pub(crate) position: u32,
    /// How many rows.
    pub(crate) rows: usize,
    /// Whether the exit shard samples after the last row.
    pub(crate) sample: bool,
}

/// Where a step's input rows are gathered.
#[derive(Default)]
pub(crate) struct Gathered {
    /// On the entry shard.
    pub(crate) ids: Vec<u32>,
    /// On the others.
    pub(crate) hidden: Vec<f32>,
}

impl<Kv> Sequence<Kv> {
    /// A fresh sequence.
    pub(crate) fn new(kv: Kv, max_len: u32, prompt_len: u32, reserved: u64, output: Option<Output>) -> Self {
        Self { kv: Some(kv), max_len, prompt_len, reserved, output, next: 0, waiting: VecDeque::new() }
    }

    /// With the positions before `first` in its KV already.
    pub(crate) fn starting_at(mut self, first: u32) -> Self {
        self.next = first;
        self
    }

    /// Positions whose keys and values are there.
    pub(crate) fn processed(&self) -> u32 {
        self.waiting.front().map_or(self.next, |front| front.position + front.taken as u32)
    }

    /// Queues a step, checking that it carries on exactly where the last one ended.
    pub(crate) fn queue(&mut self, position: u32, sample: bool, input: StepInput) -> Result<(), Fault> {
        let rows = input.rows();
        if position < self.next {
            return Err(Fault::new(
                FaultCode::Replay,
                format!("position {position} was already processed; {} is next", self.next),
            ));
        }
        let end = position.checked_add(rows).filter(|end| *end <= self.max_len);
        let Some(end) = end.filter(|_| position == self.next && rows > 0) else {
            return Err(Fault::new(
                FaultCode::WrongShape,
                format!(
                    "{rows} rows at position {position} do not continue a sequence at {} of at most {}",
                    self.next, self.max_len
                ),
            ));
        };
        self.next = end;
        self.waiting.push_back(Waiting { position, sample, taken: 0, input });
        Ok(())
    }

    /// Rows of the step at the front, 0 when none waits.
    pub(crate) fn ready(&self) -> usize {
        self.waiting.front().map_or(0, |front| front.input.rows() as usize - front.taken)
    }

    /// Whether the step at the front is a single position after the prompt.
    pub(crate) fn decodes(&self) -> bool {
        self.waiting.front().is_some_and(|front| front.input.rows() == 1 && front.position >= self.prompt_len)
    }

    /// Takes up to `most` rows of the step at the front.
    pub(crate) fn take(&mut self, most: usize, into: &mut Gathered) -> Option<Piece> {
        let front = self.waiting.front_mut()?;
        let whole = front.input.rows() as usize;
        let rows = most.min(whole - front.taken);
        match &front.input {
            StepInput::Tokens(ids) => into.ids.extend(&ids[front.taken..front.taken + rows]),
            StepInput::Hidden(hidden) => gather(hidden, front.taken, rows, &mut into.hidden),
        }
        let position = front.position + front.taken as u32;
        front.taken += rows;
        let done = front.taken == whole;
        let piece = Piece { position, rows, sample: front.sample && done };
        if done {
            self.waiting.pop_front();
        }
        Some(piece)
    }
}

fn gather(hidden: &Activation, first: usize, rows: usize, into: &mut Vec<f32>) {
    let row_bytes = hidden.hidden() as usize * hidden.kind().width();
    let bytes = &hidden.data()[first * row_bytes..(first + rows) * row_bytes];
    match hidden.kind() {
        ActivationType::F32 => into.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b))),
        ActivationType::F16 => {
            into.extend(bytes.as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()));
        }
        ActivationType::Bf16 => {
            into.extend(bytes.as_chunks::<2>().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32()));
        }
    }
}

/// The sampling end of a generation, on the exit shard.
pub(crate) struct Output {
    sampler: Sampler,
    constraint: Option<ConstraintState>,
    produced: u32,
    max_tokens: u32,
    ignore_eos: bool,
}

impl Output {
    /// For a request, without a constraint. What it produced before counts.
    pub(crate) fn new(request: &Generate, sampler: Sampler) -> Self {
        let produced = request.produced.len() as u32;
        Self { sampler, constraint: None, produced, max_tokens: request.max_tokens, ignore_eos: request.ignore_eos }
    }

    /// From now on only what this allows.
    pub(crate) fn constrain(&mut self, constraint: ConstraintState) {
        self.constraint = Some(constraint);
    }

    /// Chooses the token for `position` and says whether it is the last.
    pub(crate) fn choose(
        &mut self,
        logits: &mut [f32],
        position: u32,
        ends: impl Fn(u32) -> bool,
    ) -> Result<TokenEvent, Fault> {
        if self.produced >= self.max_tokens {
            return Err(Fault::new(
                FaultCode::ProtocolViolation,
                format!("another token was asked for after all {} were produced", self.max_tokens),
            ));
        }
        let mask = self.constraint.as_mut().map(ConstraintState::mask).transpose()?;
        let choice = self.sampler.sample(logits, mask.as_ref(), position)?;
        let complete = match &mut self.constraint {
            Some(constraint) => constraint.accept(choice.id)? == Progress::Complete,
            None => false,
        };
        let index = self.produced;
        self.produced += 1;
        let finish = if complete || (ends(choice.id) && !self.ignore_eos) {
            Some(FinishReason::Stop)
        } else {
            (self.produced == self.max_tokens).then_some(FinishReason::Length)
        };
        Ok(TokenEvent { index, id: choice.id, logprob: choice.logprob, finish })
    }
}
