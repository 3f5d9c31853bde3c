//! Dot products of quantised weight rows with quantised activation rows.
//!
//! Per group of 32: eight exact integer sums of four products each, turned into floats and added to eight lanes with one
//! fused multiply-add; offsets of the weights meet the activations' scaled sums in eight lanes of their own. At the end
//! of the row both sets are added and summed in the order of [`lane_sum`]. All three implementations do exactly this.

use super::Isa;
use super::format::Format;
use super::math::{LANES, lane_sum};
use super::quantise::{GROUP, QuantisedRow};

/// The most activation rows that share a pass over the weights.
pub(crate) const MAX_TILE: usize = 4;

/// `out[x * stride + i] = weights[i] · xs[x]` for consecutive weight rows of `row_bytes` each, and up to [`MAX_TILE`]
/// activation rows.
///
/// Rows are taken in small tiles, so that several sums are under way at once and what was loaded is used again; how
/// they are tiled changes no sum.
#[inline(always)]
pub(crate) fn dot_rows<F: VectorFormat>(
    isa: Isa,
    weights: &[u8],
    row_bytes: usize,
    xs: &[QuantisedRow<'_>],
    out: &mut [f32],
    stride: usize,
) {
    #[cfg(target_arch = "x86_64")]
    if isa != Isa::Portable {
        // SAFETY: these instruction sets were detected on this processor (`Isa::best`), and the rows fit (`check`).
        unsafe {
            check::<F>(row_bytes, xs);
            match isa {
                Isa::Avx512Vnni => x86::vnni_rows::<F>(weights, row_bytes, xs, out, stride),
                _ => x86::avx2_rows::<F>(weights, row_bytes, xs, out, stride),
            }
        }
        return;
    }
    let _ = isa;
    for (at, weights) in weights.chunks_exact(row_bytes).enumerate() {
        for (i, x) in xs.iter().enumerate() {
            out[i * stride + at] = portable::<F>(weights, x);
        }
    }
}

/// Every activation row must be as long as a weight row; the vector code reads by pointer.
#[cfg(target_arch = "x86_64")]
fn check<F: Format>(row_bytes: usize, xs: &[QuantisedRow<'_>]) {
    let groups = row_bytes / F::BYTES * F::GROUPS;
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
        ($tile:ident, $rows:ident, $features:literal, $wide:literal, $fours:expr) => {
            /// `R` weight rows against `N` activation rows.
            ///
            /// # Safety
            /// The processor must have these features, every weight row must have `row_bytes` readable bytes, and every
            /// activation row as many groups.
            #[target_feature(enable = $features)]
            unsafe fn $tile<F: VectorFormat, const R: usize, const N: usize>(
                weights: [*const u8; R],
                row_bytes: usize,
                xs: [&QuantisedRow<'_>; N],
            ) -> [[f32; N]; R] {
                let mut sums = [[_mm256_setzero_ps(); N]; R];
                let mut offsets = [[_mm256_setzero_ps(); N]; R];
                let mut at = 0;
                for block in 0..row_bytes / F::BYTES {
                    for group in 0..F::GROUPS {
                        for r in 0..R {
                            // SAFETY: `block` lies within the row; `at` stays below the number of groups of each row.
                            unsafe {
                                let w = F::load(weights[r].add(block * F::BYTES), group);
                                let magnitude = if F::SIGNED { _mm256_abs_epi8(w.quants) } else { w.quants };
                                for i in 0..N {
                                    let x = _mm256_loadu_si256(xs[i].quants.as_ptr().add(at * GROUP).cast());
                                    let signed = if F::SIGNED { _mm256_sign_epi8(x, w.quants) } else { x };
                                    let whole = _mm256_cvtepi32_ps($fours(magnitude, signed));
                                    let scale = _mm256_mul_ps(w.scale, _mm256_set1_ps(*xs[i].scales.as_ptr().add(at)));
                                    sums[r][i] = _mm256_fmadd_ps(whole, scale, sums[r][i]);
                                    if F::OFFSET {
                                        let x = _mm256_loadu_ps(xs[i].sums.as_ptr().add(at * LANES));
                                        offsets[r][i] = _mm256_fmadd_ps(w.offset, x, offsets[r][i]);
                                    }
                                }
                            }
                        }
                        at += 1;
                    }
                }
                std::array::from_fn(|r| {
                    std::array::from_fn(|i| {
                        let (sums, offsets) = (sums[r][i], offsets[r][i]);
                        let total = if F::OFFSET { _mm256_add_ps(sums, offsets) } else { sums };
                        let mut lanes = [0.0; LANES];
                        // SAFETY: the array has room for eight floats.
                        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), total) };
                        lane_sum(lanes)
                    })
                })
            }

            /// All weight rows against up to four activation rows.
            ///
            /// # Safety
            /// The processor must have these features, and every activation row as many groups as a weight row.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $rows<F: VectorFormat>(
                weights: &[u8],
                row_bytes: usize,
                xs: &[QuantisedRow<'_>],
                out: &mut [f32],
                stride: usize,
            ) {
                let count = weights.len() / row_bytes;
                let mut at = 0;
                macro_rules! tiles {
                    ($r:literal, $n:literal, $first:literal) => {
                        while count - at >= $r {
                            // SAFETY: rows `at` to `at + R` lie within `weights`; the rest is the caller's promise.
                            let tile = unsafe {
                                let rows =
                                    std::array::from_fn::<_, $r, _>(|r| weights.as_ptr().add((at + r) * row_bytes));
                                $tile::<F, $r, $n>(rows, row_bytes, std::array::from_fn(|i| &xs[$first + i]))
                            };
                            for (r, row) in tile.iter().enumerate() {
                                for (i, value) in row.iter().enumerate() {
                                    out[($first + i) * stride + at + r] = *value;
                                }
                            }
                            at += $r;
                        }
                    };
                }
                match xs.len() {
                    0 => {}
                    1 => {
                        tiles!(4, 1, 0);
                        tiles!(1, 1, 0);
                    }
                    2 => {
                        tiles!(2, 2, 0);
                        tiles!(1, 2, 0);
                    }
                    3 => {
                        tiles!(2, 2, 0);
                        tiles!(1, 2, 0);
                        at = 0;
                        tiles!(4, 1, 2);
                        tiles!(1, 1, 2);
                    }
                    _ => {
                        tiles!($wide, 4, 0);
                        tiles!(1, 4, 0);
                    }
                }
            }
        };
    }

    dot_product!(avx2_tile, avx2_rows, "avx2,fma,f16c", 1, fours_avx2);
    dot_product!(vnni_tile, vnni_rows, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni", 2, |unsigned, signed| {
        _mm256_dpbusd_epi32(_mm256_setzero_si256(), unsigned, signed)
    });
}
