//! Weight matrices, and rows of activations multiplied with them.

use computepool_core::{Fault, FaultCode};
use computepool_model::tensor::{Tensor, TensorType};

use super::Isa;
use super::dot::{MAX_TILE, VectorFormat, dot_rows};
use super::float::{self, Brain, FloatFormat, Half, Single};
use super::format::{self, Format};
use super::pool::Threads;
use super::quantise::{GROUP, QuantisedRows};

/// A weight matrix of `rows × cols`, left as it lies in the file.
pub(crate) struct Matrix {
    tensor: Tensor,
    kind: TensorType,
    rows: usize,
    cols: usize,
    row_bytes: usize,
}

/// Rows of activations in the form that a matrix wants them in; made once for all matrices with the same input.
pub(crate) struct Input<'a> {
    values: &'a [f32],
    cols: usize,
    quantised: Option<QuantisedRows>,
}

impl<'a> Input<'a> {
    /// Prepares `values`, row-major with `cols` columns, for the given matrices.
    pub(crate) fn new(isa: Isa, values: &'a [f32], cols: usize, matrices: &[&Matrix]) -> Self {
        let quantised = matrices.iter().any(|m| m.is_quantised()).then(|| QuantisedRows::new(isa, values, cols));
        Self { values, cols, quantised }
    }
}

macro_rules! for_format {
    ($kind:expr, quantised $f:ident => $quantised:expr, float $g:ident => $float:expr) => {
        match $kind {
            TensorType::F32 => {
                type $g = Single;
                $float
            }
            TensorType::F16 => {
                type $g = Half;
                $float
            }
            TensorType::Bf16 => {
                type $g = Brain;
                $float
            }
            TensorType::Q4_0 => {
                type $f = format::Q4_0;
                $quantised
            }
            TensorType::Q4_1 => {
                type $f = format::Q4_1;
                $quantised
            }
            TensorType::Q5_0 => {
                type $f = format::Q5_0;
                $quantised
            }
            TensorType::Q5_1 => {
                type $f = format::Q5_1;
                $quantised
            }
            TensorType::Q8_0 => {
                type $f = format::Q8_0;
                $quantised
            }
            TensorType::Q8_1 => {
                type $f = format::Q8_1;
                $quantised
            }
            TensorType::Q2K => {
                type $f = format::Q2K;
                $quantised
            }
            TensorType::Q3K => {
                type $f = format::Q3K;
                $quantised
            }
            TensorType::Q4K => {
                type $f = format::Q4K;
                $quantised
            }
            TensorType::Q5K => {
                type $f = format::Q5K;
                $quantised
            }
            TensorType::Q6K => {
                type $f = format::Q6K;
                $quantised
            }
            TensorType::Q8K => {
                type $f = format::Q8K;
                $quantised
            }
        }
    };
}

impl Matrix {
    /// Takes a two-dimensional tensor as a matrix.
    pub(crate) fn new(tensor: Tensor) -> Result<Self, Fault> {
        let bad = |what: String| Fault::new(FaultCode::BadModelFile, what);
        let &[rows, cols] = tensor.shape() else {
            return Err(bad(format!("a weight matrix has shape {:?}", tensor.shape())));
        };
        let kind = tensor.kind();
        let row_bytes =
            kind.row_bytes(cols).ok_or_else(|| bad(format!("rows of {cols} do not fit {kind:?} blocks")))?;
        if tensor.bytes().len() != rows * row_bytes {
            return Err(bad(format!("{rows} × {cols} {kind:?} has {} bytes", tensor.bytes().len())));
        }
        // The kernels' idea of a block and the reader's must be one; a quantised row is whole groups of 32.
        let fits = for_format!(kind,
            quantised F => cols.is_multiple_of(GROUP) && row_bytes == cols / (GROUP * F::GROUPS) * F::BYTES,
            float G => row_bytes == cols * G::BYTES);
        if !fits {
            return Err(bad(format!("a row of {cols} {kind:?} has {row_bytes} bytes")));
        }
        Ok(Self { tensor, kind, rows, cols, row_bytes })
    }

    fn is_quantised(&self) -> bool {
        !matches!(self.kind, TensorType::F32 | TensorType::F16 | TensorType::Bf16)
    }

    /// Output numbers per row.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Input numbers per row.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Reads every page once, so that the first token does not wait for the disk.
    pub(crate) fn touch(&self) -> u8 {
        self.tensor.bytes().iter().step_by(4096).fold(0, |a, b| a ^ b)
    }

    fn row(&self, index: usize) -> &[u8] {
        &self.tensor.bytes()[index * self.row_bytes..][..self.row_bytes]
    }

    /// One row as floats; `out` has [`Self::cols`] numbers. `false` if there is no such row.
    pub(crate) fn read_row(&self, index: usize, out: &mut [f32]) -> bool {
        if index >= self.rows {
            return false;
        }
        let row = self.row(index);
        for_format!(self.kind,
        quantised F => {
            let groups = row.chunks_exact(F::BYTES).flat_map(|block| (0..F::GROUPS).map(|g| F::unpack(block, g)));
            for (out, group) in out.chunks_exact_mut(GROUP).zip(groups) {
                out.copy_from_slice(&group.values());
            }
        },
        float G => {
            for (out, bytes) in out.iter_mut().zip(row.chunks_exact(G::BYTES)) {
                *out = G::read(bytes);
            }
        });
        true
    }

    /// `input · selfᵀ`: one row of [`Self::rows`] numbers for each input row.
    pub(crate) fn multiply(&self, isa: Isa, threads: &Threads, input: &Input<'_>) -> Vec<f32> {
        let rows = input.values.len() / input.cols;
        threads.columns(rows, self.rows, |columns, out| {
            for_format!(self.kind,
                quantised F => if let Some(quantised) = &input.quantised {
                    self.quantised_columns::<F>(isa, quantised, columns, out);
                },
                float G => self.float_columns::<G>(isa, input, columns, out));
        })
    }

    fn quantised_columns<F: VectorFormat>(
        &self,
        isa: Isa,
        input: &QuantisedRows,
        columns: std::ops::Range<usize>,
        out: &mut [f32],
    ) {
        let width = columns.len();
        let weights = &self.tensor.bytes()[columns.start * self.row_bytes..columns.end * self.row_bytes];
        for first in (0..input.rows()).step_by(MAX_TILE) {
            let count = MAX_TILE.min(input.rows() - first);
            let tile: [_; MAX_TILE] = std::array::from_fn(|i| input.row(first + i.min(count - 1)));
            dot_rows::<F>(isa, weights, self.row_bytes, &tile[..count], &mut out[first * width..], width);
        }
    }

    fn float_columns<G: FloatFormat>(
        &self,
        isa: Isa,
        input: &Input<'_>,
        columns: std::ops::Range<usize>,
        out: &mut [f32],
    ) {
        let width = columns.len();
        for (at, column) in columns.enumerate() {
            let weights = self.row(column);
            for (row, x) in input.values.chunks_exact(input.cols).enumerate() {
                out[row * width + at] = float::dot::<G>(isa, weights, x);
            }
        }
    }
}
