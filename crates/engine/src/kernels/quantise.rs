//! Activations as 8-bit integers, one scale per 32 numbers of a row: the other factor of a quantised weight.
//!
//! The same idea as ggml's Q8_1 (a scale and sums beside the numbers), with two differences: the scale stays a 32-bit
//! float, and the sums are kept per lane of four numbers, already scaled, where the kernels need them.

use super::math::LANES;
use super::{Isa, dispatch};

/// Numbers per scale.
pub(crate) const GROUP: usize = 32;

/// `rows × cols` activations, quantised row by row; a row's bits depend on that row alone.
pub(crate) struct QuantisedRows {
    rows: usize,
    groups: usize,
    quants: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<f32>,
}

/// One row, ready for a dot product.
#[derive(Clone, Copy)]
pub(crate) struct QuantisedRow<'a> {
    /// 32 integers per group.
    pub(crate) quants: &'a [i8],
    /// One scale per group.
    pub(crate) scales: &'a [f32],
    /// Eight scaled sums of four integers each per group.
    pub(crate) sums: &'a [f32],
}

impl QuantisedRows {
    /// Quantises `values`, row-major with `cols` columns, a multiple of 32.
    pub(crate) fn new(isa: Isa, values: &[f32], cols: usize) -> Self {
        let rows = values.len() / cols;
        let groups = cols / GROUP;
        let mut this = Self {
            rows,
            groups,
            quants: vec![0; rows * groups * GROUP],
            scales: vec![0.0; rows * groups],
            sums: vec![0.0; rows * groups * LANES],
        };
        let (quants, scales, sums) = (&mut this.quants[..], &mut this.scales[..], &mut this.sums[..]);
        dispatch!(
            isa,
            fn quantise(values: &[f32], quants: &mut [i8], scales: &mut [f32], sums: &mut [f32]) {
                let groups = values.as_chunks::<GROUP>().0.iter();
                let quants = quants.as_chunks_mut::<GROUP>().0.iter_mut();
                let sums = sums.as_chunks_mut::<LANES>().0.iter_mut();
                for (((group, quants), scale), sums) in groups.zip(quants).zip(scales).zip(sums) {
                    quantise_group(group, quants, scale, sums);
                }
            }
        );
        this
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// One of them.
    pub(crate) fn row(&self, index: usize) -> QuantisedRow<'_> {
        let range = |width: usize| index * self.groups * width..(index + 1) * self.groups * width;
        QuantisedRow {
            quants: &self.quants[range(GROUP)],
            scales: &self.scales[range(1)],
            sums: &self.sums[range(LANES)],
        }
    }
}

#[inline(always)]
fn quantise_group(values: &[f32; GROUP], quants: &mut [i8; GROUP], scale: &mut f32, sums: &mut [f32; LANES]) {
    let mut largest = [0.0f32; LANES];
    for chunk in values.as_chunks::<LANES>().0 {
        for (largest, value) in largest.iter_mut().zip(chunk) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    let largest = largest.iter().fold(0.0f32, |a, &b| if b > a { b } else { a });
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    *scale = largest / 127.0;
    // Adding 1.5 · 2^23 rounds to the nearest even integer and leaves it, in two's complement, in the lowest byte: exact,
    // and the same in every vector unit. A NaN becomes some integer; what it was multiplied with stays finite.
    const ROUNDER: f32 = 12_582_912.0;
    for (quant, value) in quants.iter_mut().zip(values) {
        *quant = (value * inverse + ROUNDER).to_bits() as i8;
    }
    for (sum, four) in sums.iter_mut().zip(quants.as_chunks::<4>().0) {
        let whole = i32::from(four[0]) + i32::from(four[1]) + i32::from(four[2]) + i32::from(four[3]);
        *sum = whole as f32 * *scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_same_bits_and_the_error_is_half_a_step() {
        let values: Vec<f32> = (0..4 * 96).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.173).collect();
        let reference = QuantisedRows::new(Isa::Portable, &values, 96);
        for isa in Isa::available() {
            let rows = QuantisedRows::new(isa, &values, 96);
            assert_eq!(rows.quants, reference.quants, "{isa:?}");
            assert_eq!(rows.scales, reference.scales, "{isa:?}");
            assert_eq!(rows.sums, reference.sums, "{isa:?}");
        }
        for (i, value) in values.iter().enumerate() {
            let scale = reference.scales[i / GROUP];
            assert!((f32::from(reference.quants[i]) * scale - value).abs() <= scale * 0.5001);
        }
    }

    #[test]
    fn odd_values_do_not_panic() {
        let mut values = vec![0.0f32; 64];
        values[3] = f32::NAN;
        values[40] = f32::INFINITY;
        let rows = QuantisedRows::new(Isa::best(), &values, 64);
        assert_eq!(rows.row(0).quants[0], 0);
    }
}
