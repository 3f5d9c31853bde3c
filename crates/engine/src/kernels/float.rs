//! Dot products with unquantised weights: f32, f16 and bf16.
//!
//! Four sets of eight lanes take the row in turn, 32 numbers a round; what is left over is padded with zeros.

use super::Isa;
use super::format::half_to_float;
use super::math::{LANES, lane_sum};

const ROUND: usize = 4 * LANES;

/// How one number of a weight row is stored.
pub(crate) trait FloatFormat {
    /// Bytes per number.
    const BYTES: usize;
    /// Reads one.
    fn read(bytes: &[u8]) -> f32;
}

/// 32-bit floats.
pub(crate) struct Single;
impl FloatFormat for Single {
    const BYTES: usize = 4;
    #[inline(always)]
    fn read(bytes: &[u8]) -> f32 {
        f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

/// 16-bit floats.
pub(crate) struct Half;
impl FloatFormat for Half {
    const BYTES: usize = 2;
    #[inline(always)]
    fn read(bytes: &[u8]) -> f32 {
        half_to_float(u16::from_le_bytes([bytes[0], bytes[1]]))
    }
}

/// bfloat16.
pub(crate) struct Brain;
impl FloatFormat for Brain {
    const BYTES: usize = 2;
    #[inline(always)]
    fn read(bytes: &[u8]) -> f32 {
        f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16)
    }
}

/// `weights · x`, where `weights` holds as many numbers as `x`.
#[inline(always)]
pub(crate) fn dot<F: FloatFormat>(isa: Isa, weights: &[u8], x: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if isa >= Isa::Avx2 {
        // SAFETY: `Isa::best` found these features on this processor.
        return unsafe { avx2::<F>(weights, x) };
    }
    let _ = isa;
    body::<F>(weights, x)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<F: FloatFormat>(weights: &[u8], x: &[f32]) -> f32 {
    body::<F>(weights, x)
}

#[inline(always)]
fn body<F: FloatFormat>(weights: &[u8], x: &[f32]) -> f32 {
    let mut sums = [[0.0f32; LANES]; 4];
    let (rounds, rest) = x.as_chunks::<ROUND>();
    let mut rows = weights.chunks_exact(ROUND * F::BYTES);
    for (x, w) in rounds.iter().zip(&mut rows) {
        for (set, sums) in sums.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let i = set * LANES + lane;
                *sum = F::read(&w[i * F::BYTES..(i + 1) * F::BYTES]).mul_add(x[i], *sum);
            }
        }
    }
    for (i, (x, w)) in rest.iter().zip(rows.remainder().chunks_exact(F::BYTES)).enumerate() {
        let sum = &mut sums[i / LANES][i % LANES];
        *sum = F::read(w).mul_add(*x, *sum);
    }
    lane_sum(std::array::from_fn(|i| (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i])))
}
