//! The dot product of one quantised weight row with one or more quantised activation rows.
//!
//! Per group of 32: eight exact integer sums of four products each, turned into floats and added to eight lanes with one
//! fused multiply-add; offsets of the weights meet the activations' scaled sums in eight lanes of their own. At the end
//! of the row both sets are added and summed in the order of [`lane_sum`]. All three implementations do exactly this.

use super::Isa;
use super::format::Format;
use super::math::{LANES, lane_sum};
use super::quantise::{GROUP, QuantisedRow};

/// The most activation rows that one call takes.
pub(crate) const MAX_TILE: usize = 4;

/// `out[i] = weights · xs[i]` for up to [`MAX_TILE`] activation rows.
#[inline(always)]
pub(crate) fn dot<F: VectorFormat>(isa: Isa, weights: &[u8], xs: &[QuantisedRow<'_>], out: &mut [f32; MAX_TILE]) {
    // SAFETY: the instruction set was detected on this processor (`Isa::best`); `check` bounds every row first.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        check::<F>(weights, xs);
        match (isa, xs) {
            (Isa::Avx2, [a, b, c, d]) => *out = x86::avx2::<F, 4>(weights, [a, b, c, d]),
            (Isa::Avx2, _) => {
                for (x, out) in xs.iter().zip(out) {
                    [*out] = x86::avx2::<F, 1>(weights, [x]);
                }
            }
            (Isa::Avx512Vnni, [a, b, c, d]) => *out = x86::vnni::<F, 4>(weights, [a, b, c, d]),
            (Isa::Avx512Vnni, _) => {
                for (x, out) in xs.iter().zip(out) {
                    [*out] = x86::vnni::<F, 1>(weights, [x]);
                }
            }
            (Isa::Portable, _) => {
                for (x, out) in xs.iter().zip(out) {
                    *out = portable::<F>(weights, x);
                }
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        for (x, out) in xs.iter().zip(out) {
            *out = portable::<F>(weights, x);
        }
    }
}

/// Every activation row must be as long as the weight row; the vector code reads by pointer.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn check<F: Format>(weights: &[u8], xs: &[QuantisedRow<'_>]) {
    let groups = weights.len() / F::BYTES * F::GROUPS;
    for x in xs {
        assert!(x.quants.len() == groups * GROUP && x.scales.len() == groups && x.sums.len() == groups * LANES);
    }
}

#[inline(always)]
fn portable<F: Format>(weights: &[u8], x: &QuantisedRow<'_>) -> f32 {
    let mut sums = [0.0f32; LANES];
    let mut offsets = [0.0f32; LANES];
    let mut at = 0;
    for block in weights.chunks_exact(F::BYTES) {
        for group in 0..F::GROUPS {
            let w = F::unpack(block, group);
            let quants = &x.quants[at * GROUP..][..GROUP];
            for lane in 0..LANES {
                let product = |i: usize| i32::from(w.quants[4 * lane + i]) * i32::from(quants[4 * lane + i]);
                let whole = (product(0) + product(1)) + (product(2) + product(3));
                sums[lane] = (whole as f32).mul_add(w.scale[lane / 4] * x.scales[at], sums[lane]);
                if F::OFFSET {
                    offsets[lane] = w.offset[lane / 4].mul_add(x.sums[at * LANES + lane], offsets[lane]);
                }
            }
            at += 1;
        }
    }
    lane_sum(if F::OFFSET { std::array::from_fn(|lane| sums[lane] + offsets[lane]) } else { sums })
}

/// A format that says how its groups get into vector registers; through memory, unless it knows better.
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::VectorFormat;

/// A format that says how its groups get into vector registers.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) trait VectorFormat: Format {}
#[cfg(not(target_arch = "x86_64"))]
impl<F: Format> VectorFormat for F {}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::format::{Format, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8_1, Q8K};
    use super::{GROUP, LANES, QuantisedRow, lane_sum};

    /// One group in registers: integers, scales by lane, offsets by lane.
    pub(crate) struct Loaded {
        quants: __m256i,
        scale: __m256,
        offset: __m256,
    }

    /// A format that says how its groups get into vector registers; through memory, unless it knows better.
    pub(crate) trait VectorFormat: Format {
        /// Loads one group.
        ///
        /// # Safety
        /// AVX2, FMA and F16C must be there; `block` must point at `BYTES` readable bytes.
        #[inline(always)]
        unsafe fn load(block: *const u8, group: usize) -> Loaded {
            // SAFETY: as the function asks.
            unsafe {
                let group = Self::unpack(std::slice::from_raw_parts(block, Self::BYTES), group);
                let halves = |pair: [f32; 2]| _mm256_set_m128(_mm_set1_ps(pair[1]), _mm_set1_ps(pair[0]));
                Loaded {
                    quants: _mm256_load_si256(group.quants.as_ptr().cast()),
                    scale: halves(group.scale),
                    offset: halves(group.offset),
                }
            }
        }
    }

    /// 16 bytes of nibbles as 32 bytes: low nibbles first.
    #[inline(always)]
    unsafe fn spread(bytes: *const u8) -> __m256i {
        // SAFETY: the callers' own promise: AVX2, 16 readable bytes.
        unsafe {
            let packed = _mm_loadu_si128(bytes.cast());
            let both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
            _mm256_and_si256(both, _mm256_set1_epi8(15))
        }
    }

    /// A 16-bit float in every lane.
    #[inline(always)]
    unsafe fn broadcast_half(bytes: *const u8) -> __m256 {
        // SAFETY: the callers' own promise: F16C, 2 readable bytes.
        unsafe { _mm256_cvtph_ps(_mm_set1_epi16(bytes.cast::<i16>().read_unaligned())) }
    }

    impl VectorFormat for Q4_0 {
        #[inline(always)]
        unsafe fn load(block: *const u8, _group: usize) -> Loaded {
            // SAFETY: as the trait asks.
            unsafe {
                Loaded {
                    quants: _mm256_sub_epi8(spread(block.add(2)), _mm256_set1_epi8(8)),
                    scale: broadcast_half(block),
                    offset: _mm256_setzero_ps(),
                }
            }
        }
    }

    impl VectorFormat for Q4_1 {
        #[inline(always)]
        unsafe fn load(block: *const u8, _group: usize) -> Loaded {
            // SAFETY: as the trait asks.
            unsafe {
                Loaded {
                    quants: spread(block.add(4)),
                    scale: broadcast_half(block),
                    offset: broadcast_half(block.add(2)),
                }
            }
        }
    }

    impl VectorFormat for Q8_0 {
        #[inline(always)]
        unsafe fn load(block: *const u8, _group: usize) -> Loaded {
            // SAFETY: as the trait asks.
            unsafe {
                Loaded {
                    quants: _mm256_loadu_si256(block.add(2).cast()),
                    scale: broadcast_half(block),
                    offset: _mm256_setzero_ps(),
                }
            }
        }
    }

    impl VectorFormat for Q5_0 {}
    impl VectorFormat for Q5_1 {}
    impl VectorFormat for Q8_1 {}
    impl VectorFormat for Q2K {}
    impl VectorFormat for Q3K {}
    impl VectorFormat for Q4K {}
    impl VectorFormat for Q5K {}
    impl VectorFormat for Q6K {}
    impl VectorFormat for Q8K {}

    /// Eight sums of four products of unsigned by signed bytes, without VNNI. No pair can overflow 16 bits: the unsigned
    /// side is at most 128 and the signed side at most 127 in size.
    #[inline(always)]
    unsafe fn fours_avx2(unsigned: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: the callers' own promise: AVX2.
        unsafe { _mm256_madd_epi16(_mm256_maddubs_epi16(unsigned, signed), _mm256_set1_epi16(1)) }
    }

    macro_rules! dot_product {
        ($name:ident, $features:literal, $fours:expr) => {
            /// One weight row against `N` activation rows.
            ///
            /// # Safety
            /// The processor must have these features, and every row must have as many groups as the weights.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name<F: VectorFormat, const N: usize>(
                weights: &[u8],
                xs: [&QuantisedRow<'_>; N],
            ) -> [f32; N] {
                let mut sums = [_mm256_setzero_ps(); N];
                let mut offsets = [_mm256_setzero_ps(); N];
                let mut at = 0;
                for block in weights.chunks_exact(F::BYTES) {
                    for group in 0..F::GROUPS {
                        // SAFETY: `block` has `BYTES` bytes; `at` stays below the number of groups that each row has.
                        unsafe {
                            let w = F::load(block.as_ptr(), group);
                            let magnitude = if F::SIGNED { _mm256_abs_epi8(w.quants) } else { w.quants };
                            for i in 0..N {
                                let x = _mm256_loadu_si256(xs[i].quants.as_ptr().add(at * GROUP).cast());
                                let signed = if F::SIGNED { _mm256_sign_epi8(x, w.quants) } else { x };
                                let whole = _mm256_cvtepi32_ps($fours(magnitude, signed));
                                let scale = _mm256_mul_ps(w.scale, _mm256_set1_ps(*xs[i].scales.as_ptr().add(at)));
                                sums[i] = _mm256_fmadd_ps(whole, scale, sums[i]);
                                if F::OFFSET {
                                    let x = _mm256_loadu_ps(xs[i].sums.as_ptr().add(at * LANES));
                                    offsets[i] = _mm256_fmadd_ps(w.offset, x, offsets[i]);
                                }
                            }
                        }
                        at += 1;
                    }
                }
                std::array::from_fn(|i| {
                    let total = if F::OFFSET { _mm256_add_ps(sums[i], offsets[i]) } else { sums[i] };
                    let mut lanes = [0.0; LANES];
                    // SAFETY: the array has room for eight floats.
                    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), total) };
                    lane_sum(lanes)
                })
            }
        };
    }

    dot_product!(avx2, "avx2,fma,f16c", fours_avx2);
    dot_product!(vnni, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni", |unsigned, signed| {
        _mm256_dpbusd_epi32(_mm256_setzero_si256(), unsigned, signed)
    });
}
