//! How fast a device runs a model: what a planner needs to know before anything is loaded.
//!
//! Some of the last blocks are loaded together with the head, and stay as long as that is timed. A step of serving walks
//! over weights that no cache holds, so there are enough blocks for that where the model has them. What the blocks see is
//! noise: how long a product takes does not depend on its numbers.

use std::path::Path;
use std::time::{Duration, Instant};

use computepool_core::{ContentHash, Fault, LayerRange, ModelSpeed, Sampling};
use computepool_model::weights::ModelFile;

use crate::backend::{Backend, Segment};
use crate::forward::Weights;
use crate::sampling::{Sampler, uniform};

/// Bytes of weights that are timed; more than most caches hold, and read in a moment. A single block may be larger.
const WEIGHT_BYTES: u64 = 256 << 20;

/// Blocks beyond one that are timed whatever their size, up to [`LARGE_BLOCK`].
const FEWEST_BLOCKS: u32 = 2;

/// A block of more bytes is timed alone.
const LARGE_BLOCK: u64 = 1 << 30;

/// Positions before the one that is timed, in each sequence.
const CONTEXT: usize = 64;

/// Sequences that share a step.
const SEQUENCES: usize = 8;

/// Rows of a prompt chunk.
const CHUNK: usize = 64;

/// A run is repeated this often, while it takes no longer than [`PATIENCE`] in all.
const RUNS: usize = 9;

const PATIENCE: Duration = Duration::from_millis(300);

/// Between two runs: a shard waits while a token is with the others, and processors and caches do not stay as they were.
const AWAY: Duration = Duration::from_millis(2);

/// Times the model at `path`: medians of a few runs each, a second or two in all where a block takes milliseconds.
pub(crate) fn measure<B: Backend>(backend: &B, path: &Path, model: ContentHash) -> Result<ModelSpeed, Fault> {
    let file = ModelFile::open(path)?;
    let config = file.config();
    let layers = timed_blocks(&file)?;
    let weights = Weights::load(backend, &file, layers)?;
    let room = (CONTEXT + 1).max(CHUNK);
    let kv: Result<Vec<_>, _> = (0..SEQUENCES).map(|_| weights.kv(backend, room)).collect();
    let mut bench = Bench { backend, weights: &weights, width: config.hidden, kv: kv? };
    let per_block = |took: Duration, rows: usize| nanoseconds(took, u64::from(layers.len()) * rows as u64);

    let one = median(|| bench.blocks(1, CONTEXT, 1))?;
    let eight = median(|| bench.blocks(SEQUENCES, CONTEXT, 1))?;
    let chunk = median(|| bench.blocks(1, 0, CHUNK))?;
    let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
    let mut sampler = Sampler::new(&greedy, None, &[], config.vocabulary as u32)?;
    let head = median(|| bench.head(&mut sampler))?;
    Ok(ModelSpeed {
        model,
        layer_ns: per_block(one, 1),
        layer_ns_8: per_block(eight, 1),
        prefill_ns: per_block(chunk, CHUNK),
        head_ns: nanoseconds(head, 1),
    })
}

/// The last blocks of the model, as many as are worth timing.
fn timed_blocks(file: &ModelFile) -> Result<LayerRange, Fault> {
    let count = file.config().layer_count;
    let last = |blocks: u32| LayerRange::new(count - blocks, count);
    let mut layers = last(1)?;
    for blocks in 2..=count {
        let more = last(blocks)?;
        let bytes = file.shard_bytes(more);
        let block = bytes.saturating_sub(file.shard_bytes(layers));
        let wanted = bytes <= WEIGHT_BYTES || blocks <= FEWEST_BLOCKS && block <= LARGE_BLOCK;
        if !wanted {
            break;
        }
        layers = more;
    }
    Ok(layers)
}

struct Bench<'a, B: Backend> {
    backend: &'a B,
    weights: &'a Weights<B>,
    width: usize,
    kv: Vec<B::Kv>,
}

impl<B: Backend> Bench<'_, B> {
    /// Runs rows of some sequences from `position` on through the blocks.
    fn blocks(&mut self, sequences: usize, position: usize, rows: usize) -> Result<Duration, Fault> {
        let values = noise(sequences * rows * self.width);
        let segment = |(index, kv)| Segment { start: index * rows, rows, position: position as u32, kv };
        let mut segments: Vec<_> = self.kv.iter_mut().take(sequences).enumerate().map(segment).collect();
        let began = Instant::now();
        let x = self.backend.upload(values, self.width)?;
        let x = self.weights.blocks(self.backend, x, &mut segments)?;
        // A device may only have taken note of the work until its result is asked for.
        self.backend.download(x)?;
        Ok(began.elapsed())
    }

    /// Takes one row to its token.
    fn head(&mut self, sampler: &mut Sampler) -> Result<Duration, Fault> {
        let values = noise(self.width);
        let began = Instant::now();
        let x = self.backend.upload(values, self.width)?;
        let mut logits = self.weights.logits(self.backend, &x, &[0])?;
        sampler.sample(&mut logits, None, CONTEXT as u32)?;
        Ok(began.elapsed())
    }
}

/// Numbers between -1 and 1, always the same.
fn noise(count: usize) -> Vec<f32> {
    (0..count as u32).map(|at| (uniform(7, at) * 2.0 - 1.0) as f32).collect()
}

/// The median of some runs, after one that warms up.
fn median(mut run: impl FnMut() -> Result<Duration, Fault>) -> Result<Duration, Fault> {
    let mut spent = run()?;
    let mut times = Vec::new();
    while times.is_empty() || times.len() < RUNS && spent < PATIENCE {
        std::thread::sleep(AWAY);
        let took = run()?;
        spent += took;
        times.push(took);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// A share of a duration; never 0, which would read as "not measured".
fn nanoseconds(took: Duration, shares: u64) -> u64 {
    (took.as_nanos() as u64 / shares).max(1)
}

#[cfg(test)]
mod tests;
