//! Work on single rows of activations: norms, rotary positions, gates, sums.

use super::math::{LANES, gelu_tanh, lane_sum, silu};
use super::{Isa, dispatch};

/// RMS norm of each row of `width` numbers, in place: `x · weight / √(mean(x²) + epsilon)`.
pub(crate) fn rms_norm(isa: Isa, values: &mut [f32], weight: &[f32], epsilon: f32) {
    dispatch!(
        isa,
        fn norm(values: &mut [f32], weight: &[f32], epsilon: f32) {
            for row in values.chunks_exact_mut(weight.len()) {
                let mut sums = [0.0f32; LANES];
                let (chunks, rest) = row.as_chunks::<LANES>();
                for chunk in chunks {
                    for (sum, x) in sums.iter_mut().zip(chunk) {
                        *sum = x.mul_add(*x, *sum);
                    }
                }
                for (sum, x) in sums.iter_mut().zip(rest) {
                    *sum = x.mul_add(*x, *sum);
                }
                let mean = lane_sum(sums) / weight.len() as f32;
                let scale = 1.0 / (mean + epsilon).sqrt();
                for (x, w) in row.iter_mut().zip(weight) {
                    *x = *x * scale * w;
                }
            }
        }
    );
}

/// `a += b`.
pub(crate) fn add(isa: Isa, a: &mut [f32], b: &[f32]) {
    dispatch!(
        isa,
        fn add(a: &mut [f32], b: &[f32]) {
            for (a, b) in a.iter_mut().zip(b) {
                *a += b;
            }
        }
    );
}

/// Adds `bias` to each row.
pub(crate) fn add_bias(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_exact_mut(bias.len()) {
        for (x, b) in row.iter_mut().zip(bias) {
            *x += b;
        }
    }
}

/// `gate = silu(gate) · up`.
pub(crate) fn silu_gate(isa: Isa, gate: &mut [f32], up: &[f32]) {
    dispatch!(
        isa,
        fn gate(gate: &mut [f32], up: &[f32]) {
            for (gate, up) in gate.iter_mut().zip(up) {
                *gate = silu(*gate) * up;
            }
        }
    );
}

/// `gate = gelu(gate) · up`, with the tanh form of GELU.
pub(crate) fn gelu_gate(isa: Isa, gate: &mut [f32], up: &[f32]) {
    dispatch!(
        isa,
        fn gate(gate: &mut [f32], up: &[f32]) {
            for (gate, up) in gate.iter_mut().zip(up) {
                *gate = gelu_tanh(*gate) * up;
            }
        }
    );
}

/// Rotary positions (RoFormer, arXiv 2104.09864) for one layer kind: the angle of every pair at a position.
#[derive(Clone, Debug)]
pub(crate) struct RopeTable {
    /// Radians per position, one for each pair.
    pub(crate) inverse_frequencies: Vec<f32>,
    /// Scales sine and cosine (YaRN); else 1.
    pub(crate) magnitude: f32,
    /// Whether pairs are neighbours (`2i`, `2i+1`) or halves (`i`, `i + n/2`).
    pub(crate) interleaved: bool,
}

impl RopeTable {
    /// Cosine and sine of every pair at `position`. In double precision until the end, so that the last bit of the
    /// single-precision result does not depend on the system's math library.
    pub(crate) fn angles(&self, position: u32) -> Vec<(f32, f32)> {
        let angle = |f: &f32| {
            let (sin, cos) = (f64::from(*f) * f64::from(position)).sin_cos();
            ((cos * f64::from(self.magnitude)) as f32, (sin * f64::from(self.magnitude)) as f32)
        };
        self.inverse_frequencies.iter().map(angle).collect()
    }

    /// Rotates every head of one row.
    pub(crate) fn rotate(&self, row: &mut [f32], head_dim: usize, angles: &[(f32, f32)]) {
        for head in row.chunks_exact_mut(head_dim) {
            for (i, &(cos, sin)) in angles.iter().enumerate() {
                let (a, b) = if self.interleaved { (2 * i, 2 * i + 1) } else { (i, i + angles.len()) };
                let (x, y) = (head[a], head[b]);
                head[a] = x.mul_add(cos, -(y * sin));
                head[b] = x.mul_add(sin, y * cos);
            }
        }
    }
}
