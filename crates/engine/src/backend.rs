//! What a shard needs from the device it computes on. The forward pass in [`crate::forward`] is written once against
//! this; [`crate::cpu`] is our own kernels, [`crate::accelerator`] is candle (CUDA).

use computepool_core::Fault;
use computepool_model::config::FfnActivation;
use computepool_model::tensor::Tensor;

use crate::kernels::rows::RopeTable;

/// Consecutive positions of one sequence inside a batch of rows.
pub(crate) struct Segment<'a, Kv> {
    /// The first row in the batch.
    pub(crate) start: usize,
    /// How many rows.
    pub(crate) rows: usize,
    /// The sequence position of the first row.
    pub(crate) position: u32,
    /// The sequence's keys and values.
    pub(crate) kv: &'a mut Kv,
}

/// The shape of an attention layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    /// Query heads.
    pub(crate) heads: usize,
    /// Key/value heads; divides `heads`.
    pub(crate) kv_heads: usize,
    /// Numbers per head.
    pub(crate) head_dim: usize,
    /// Multiplied with every score.
    pub(crate) scale: f32,
    /// `Some(n)`: a position sees itself and the `n - 1` before it.
    pub(crate) window: Option<usize>,
}

/// A device with its own kinds of memory.
pub(crate) trait Backend {
    /// Rows of activations.
    type Rows;
    /// A weight matrix, quantised or not.
    type Matrix;
    /// A weight vector: of a norm, or a bias.
    type Vector;
    /// Keys and values of one sequence, for every layer of the shard.
    type Kv;

    /// For people: device and kernels.
    fn names(&self) -> (String, String);
    /// Takes a weight matrix.
    fn matrix(&self, tensor: Tensor) -> Result<Self::Matrix, Fault>;
    /// Takes a weight vector, adding `offset` to each number.
    fn vector(&self, tensor: Tensor, offset: f32) -> Result<Self::Vector, Fault>;
    /// Room for a sequence of at most `tokens`.
    fn kv(&self, layers: usize, tokens: usize, attention: Attention) -> Result<Self::Kv, Fault>;
    /// The first `positions` of a sequence's keys and values, with room for `tokens` in all.
    fn retain(&self, kv: Self::Kv, positions: usize, tokens: usize) -> Result<Self::Kv, Fault>;

    /// Rows of the embedding table, times `scale`.
    fn embed(&self, table: &Self::Matrix, ids: &[u32], scale: f32) -> Result<Self::Rows, Fault>;
    /// Rows from the host, `width` numbers each.
    fn upload(&self, values: Vec<f32>, width: usize) -> Result<Self::Rows, Fault>;
    /// Rows to the host.
    fn download(&self, rows: Self::Rows) -> Result<Vec<f32>, Fault>;
    /// Some rows, in the order given.
    fn select(&self, rows: &Self::Rows, indices: &[usize]) -> Result<Self::Rows, Fault>;

    /// RMS norm of every stretch of numbers as long as `weight`.
    fn norm(&self, rows: &Self::Rows, weight: &Self::Vector, epsilon: f32) -> Result<Self::Rows, Fault>;
    /// `rows · matrixᵀ` for matrices that share their input.
    fn project<const N: usize>(
        &self,
        rows: &Self::Rows,
        matrices: [&Self::Matrix; N],
    ) -> Result<[Self::Rows; N], Fault>;
    /// Adds a bias to every row.
    fn bias(&self, rows: Self::Rows, bias: &Self::Vector) -> Result<Self::Rows, Fault>;
    /// Rotates the heads of every row to its position.
    fn rotate(
        &self,
        rows: Self::Rows,
        table: &RopeTable,
        head_dim: usize,
        positions: &[u32],
    ) -> Result<Self::Rows, Fault>;
    /// Stores keys and values of `layer` and attends, every segment over its own sequence.
    fn attend(
        &self,
        layer: usize,
        attention: Attention,
        qkv: [Self::Rows; 3],
        segments: &mut [Segment<'_, Self::Kv>],
    ) -> Result<Self::Rows, Fault>;
    /// `activation(gate) · up`.
    fn gate(&self, gate: Self::Rows, up: &Self::Rows, activation: FfnActivation) -> Result<Self::Rows, Fault>;
    /// `a + b`.
    fn add(&self, a: Self::Rows, b: &Self::Rows) -> Result<Self::Rows, Fault>;
}
