//! The processor as a device: our own kernels over plain memory.

use computepool_core::{Fault, FaultCode};
use computepool_model::config::FfnActivation;
use computepool_model::tensor::Tensor;

use crate::backend::{Attention, Backend, Segment};
use crate::kernels::Isa;
use crate::kernels::attention::{PAGE, Scope, attend};
use crate::kernels::matmul::{Input, Matrix};
use crate::kernels::pool::Threads;
use crate::kernels::rows::{self, RopeTable};

/// A processor with a number of threads.
pub(crate) struct Cpu {
    isa: Isa,
    threads: Threads,
}

/// Row-major activations.
pub(crate) struct CpuRows {
    values: Vec<f32>,
    width: usize,
}

/// Keys and values of one sequence: pages by layer, taken as the sequence grows.
pub(crate) struct CpuKv {
    layers: Vec<Vec<Page>>,
    kv_heads: usize,
    head_dim: usize,
}

/// [`PAGE`] tokens of one layer, zeroed when taken. Keys are `kv_heads × head_dim × PAGE`, values `kv_heads × PAGE × head_dim`.
struct Page {
    keys: Box<[f32]>,
    values: Box<[f32]>,
}

impl Cpu {
    /// `threads` threads of this processor.
    pub(crate) fn new(threads: usize) -> Self {
        Self { isa: Isa::best(), threads: Threads::new(threads) }
    }

    /// The same with another instruction set, to compare them.
    #[cfg(test)]
    pub(crate) fn with_isa(isa: Isa, threads: usize) -> Self {
        Self { isa, threads: Threads::new(threads) }
    }
}

impl CpuKv {
    /// Writes one token's keys and values into `layer` at `position`, growing by a page where needed.
    fn store(&mut self, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let pages = &mut self.layers[layer];
        let size = self.kv_heads * self.head_dim * PAGE;
        while pages.len() * PAGE <= position {
            let zeros = || vec![0.0; size].into_boxed_slice();
            pages.push(Page { keys: zeros(), values: zeros() });
        }
        let (page, slot) = (&mut pages[position / PAGE], position % PAGE);
        for (column, key) in page.keys.chunks_exact_mut(PAGE).zip(key) {
            column[slot] = *key;
        }
        for (head, value) in page.values.chunks_exact_mut(PAGE * self.head_dim).zip(value.chunks_exact(self.head_dim)) {
            head[slot * self.head_dim..][..self.head_dim].copy_from_slice(value);
        }
    }
}

impl CpuRows {
    fn rows(&self) -> usize {
        self.values.len() / self.width
    }
}

impl Backend for Cpu {
    type Rows = CpuRows;
    type Matrix = Matrix;
    type Vector = Vec<f32>;
    type Kv = CpuKv;

    fn names(&self) -> (String, String) {
        let count = self.threads.count();
        (format!("CPU, {count} thread{}", if count == 1 { "" } else { "s" }), self.isa.name().to_owned())
    }

    fn matrix(&self, tensor: Tensor) -> Result<Matrix, Fault> {
        let matrix = Matrix::new(tensor)?;
        std::hint::black_box(matrix.touch());
        Ok(matrix)
    }

    fn vector(&self, tensor: Tensor, offset: f32) -> Result<Vec<f32>, Fault> {
        let mut values = tensor.to_f32()?;
        values.iter_mut().for_each(|x| *x += offset);
        Ok(values)
    }

    fn kv(&self, layers: usize, _tokens: usize, attention: Attention) -> Result<CpuKv, Fault> {
        Ok(CpuKv {
            layers: (0..layers).map(|_| Vec::new()).collect(),
            kv_heads: attention.kv_heads,
            head_dim: attention.head_dim,
        })
    }

    fn retain(&self, mut kv: CpuKv, positions: usize, _tokens: usize) -> Result<CpuKv, Fault> {
        // What is left of the last page is written anew before it is looked at.
        for pages in &mut kv.layers {
            pages.truncate(positions.div_ceil(PAGE));
        }
        Ok(kv)
    }

    fn embed(&self, table: &Matrix, ids: &[u32], scale: f32) -> Result<CpuRows, Fault> {
        let width = table.cols();
        let mut values = vec![0.0; ids.len() * width];
        for (id, row) in ids.iter().zip(values.chunks_exact_mut(width)) {
            if !table.read_row(*id as usize, row) {
                return Err(Fault::new(
                    FaultCode::InvalidRequest,
                    format!("token id {id} is not in the vocabulary of {}", table.rows()),
                ));
            }
        }
        if scale != 1.0 {
            values.iter_mut().for_each(|x| *x *= scale);
        }
        Ok(CpuRows { values, width })
    }

    fn upload(&self, values: Vec<f32>, width: usize) -> Result<CpuRows, Fault> {
        Ok(CpuRows { values, width })
    }

    fn download(&self, rows: CpuRows) -> Result<Vec<f32>, Fault> {
        Ok(rows.values)
    }

    fn select(&self, rows: &CpuRows, indices: &[usize]) -> Result<CpuRows, Fault> {
        let values = indices.iter().flat_map(|&i| &rows.values[i * rows.width..][..rows.width]).copied().collect();
        Ok(CpuRows { values, width: rows.width })
    }

    fn norm(&self, rows: &CpuRows, weight: &Vec<f32>, epsilon: f32) -> Result<CpuRows, Fault> {
        let mut values = rows.values.clone();
        rows::rms_norm(self.isa, &mut values, weight, epsilon);
        Ok(CpuRows { values, width: rows.width })
    }

    fn project<const N: usize>(&self, rows: &CpuRows, matrices: [&Matrix; N]) -> Result<[CpuRows; N], Fault> {
        let input = Input::new(self.isa, &rows.values, rows.width, &matrices);
        Ok(matrices
            .map(|matrix| CpuRows { values: matrix.multiply(self.isa, &self.threads, &input), width: matrix.rows() }))
    }

    fn bias(&self, mut rows: CpuRows, bias: &Vec<f32>) -> Result<CpuRows, Fault> {
        rows::add_bias(&mut rows.values, bias);
        Ok(rows)
    }

    fn rotate(
        &self,
        mut rows: CpuRows,
        table: &RopeTable,
        head_dim: usize,
        positions: &[u32],
    ) -> Result<CpuRows, Fault> {
        for (row, position) in rows.values.chunks_exact_mut(rows.width).zip(positions) {
            table.rotate(row, head_dim, &table.angles(*position));
        }
        Ok(rows)
    }

    fn attend(
        &self,
        layer: usize,
        attention: Attention,
        [q, k, v]: [CpuRows; 3],
        segments: &mut [Segment<'_, CpuKv>],
    ) -> Result<CpuRows, Fault> {
        let mut owner = vec![(0, 0); q.rows()];
        for (index, segment) in segments.iter_mut().enumerate() {
            for i in 0..segment.rows {
                let (row, position) = (segment.start + i, segment.position as usize + i);
                let at = |rows: &CpuRows| row * rows.width..(row + 1) * rows.width;
                segment.kv.store(layer, position, &k.values[at(&k)], &v.values[at(&v)]);
                owner[row] = (index, position);
            }
        }
        let Attention { heads, kv_heads, head_dim, scale, window } = attention;
        let segments = &*segments;
        let mut values = vec![0.0; q.rows() * heads * head_dim];
        let (query, isa) = (&q.values, self.isa);
        self.threads.pieces(&mut values, head_dim, |index, out| {
            let (row, head) = (index / heads, index % heads);
            let (segment, position) = owner[row];
            let pages = &segments[segment].kv.layers[layer];
            let kv_head = head / (heads / kv_heads);
            let size = head_dim * PAGE;
            let to = position + 1;
            let scope = Scope { from: window.map_or(0, |n| to.saturating_sub(n)), to, scale, softcap: None };
            let mut scores = Vec::new();
            attend(
                isa,
                &query[index * head_dim..][..head_dim],
                |page| &pages[page].keys[kv_head * size..][..size],
                |page| &pages[page].values[kv_head * size..][..size],
                scope,
                &mut scores,
                out,
            );
        });
        Ok(CpuRows { values, width: heads * head_dim })
    }

    fn gate(&self, mut gate: CpuRows, up: &CpuRows, activation: FfnActivation) -> Result<CpuRows, Fault> {
        match activation {
            FfnActivation::Silu => rows::silu_gate(self.isa, &mut gate.values, &up.values),
            FfnActivation::GeluTanh => rows::gelu_gate(self.isa, &mut gate.values, &up.values),
        }
        Ok(gate)
    }

    fn add(&self, mut a: CpuRows, b: &CpuRows) -> Result<CpuRows, Fault> {
        rows::add(self.isa, &mut a.values, &b.values);
        Ok(a)
    }
}
