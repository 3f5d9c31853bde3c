//! The threads a shard computes with. They share out output numbers, never the parts of one sum.

use std::ops::Range;

use rayon::prelude::*;

/// A fixed number of threads; one means the caller's own.
pub(crate) struct Threads {
    pool: Option<rayon::ThreadPool>,
    count: usize,
}

impl Threads {
    /// `count` threads; falls back to the caller's own when the system refuses more.
    pub(crate) fn new(count: usize) -> Self {
        let count = count.max(1);
        let build = || rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("shard-{i}")).build();
        let pool = if count > 1 { build().ok() } else { None };
        Self { count: if pool.is_some() { count } else { 1 }, pool }
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Computes the columns of a `rows × width` matrix: `fill(columns, out)` writes `rows × columns.len()` numbers.
    pub(crate) fn columns<F>(&self, rows: usize, width: usize, fill: F) -> Vec<f32>
    where
        F: Fn(Range<usize>, &mut [f32]) + Sync,
    {
        let mut out = vec![0.0; rows * width];
        let Some(pool) = &self.pool else {
            fill(0..width, &mut out);
            return out;
        };
        // A few pieces per thread even out what the owner's other programs take.
        let piece = width.div_ceil(self.count * 3).next_multiple_of(8);
        let pieces: Vec<(Range<usize>, Vec<f32>)> = pool.install(|| {
            (0..width.div_ceil(piece))
                .into_par_iter()
                .map(|i| {
                    let columns = i * piece..((i + 1) * piece).min(width);
                    let mut part = vec![0.0; rows * columns.len()];
                    fill(columns.clone(), &mut part);
                    (columns, part)
                })
                .collect()
        });
        for (columns, part) in pieces {
            for (row, part) in part.chunks_exact(columns.len()).enumerate() {
                out[row * width..][columns.clone()].copy_from_slice(part);
            }
        }
        out
    }

    /// Fills `out` in pieces of `piece` numbers: `fill(index, piece)`.
    pub(crate) fn pieces<F>(&self, out: &mut [f32], piece: usize, fill: F)
    where
        F: Fn(usize, &mut [f32]) + Sync,
    {
        match &self.pool {
            Some(pool) if out.len() > piece => {
                pool.install(|| out.par_chunks_mut(piece).enumerate().for_each(|(i, part)| fill(i, part)));
            }
            _ => out.chunks_mut(piece).enumerate().for_each(|(i, part)| fill(i, part)),
        }
    }
}
