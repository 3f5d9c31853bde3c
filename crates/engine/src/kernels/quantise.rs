//! Activations as 8-bit integers, one scale per 32 numbers of a row: the other factor of a quantised weight.
//!
//! Numbers, scale and sum are rounded just as in ggml's Q8_1 (scale and sum to 16-bit floats), so that a model answers as
//! it does elsewhere: 8-bit activations are rounded so often that another rule would change one best token in twenty-five.
//! Only where a 16-bit float would overflow the 32-bit one stays.

use half::f16;

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
    /// Eight scaled sums of integers per group: the lanes of the lower 16 add up to their share of the group's sum, and
    /// those of the upper 16 to theirs.
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
    let exact = largest / 127.0;
    *scale = rounded(exact);
    // Adding 1.5 · 2^23 rounds to the nearest even integer and leaves it, in two's complement, in the lowest byte: exact,
    // and the same in every vector unit. A NaN becomes some integer; what it was multiplied with stays finite.
    const ROUNDER: f32 = 12_582_912.0;
    for (quant, value) in quants.iter_mut().zip(values) {
        *quant = (value * inverse + ROUNDER).to_bits() as i8;
    }
    let half = |quants: &[i8]| quants.iter().map(|&q| i32::from(q)).sum::<i32>();
    let (lower, upper) = (half(&quants[..GROUP / 2]), half(&quants[GROUP / 2..]));
    let sum = rounded(exact * (lower + upper) as f32);
    let upper = exact * upper as f32;
    *sums = [sum - upper, 0.0, 0.0, 0.0, upper, 0.0, 0.0, 0.0];
}

/// To a 16-bit float and back.
#[inline(always)]
fn rounded(value: f32) -> f32 {
    let half = f16::from_f32(value).to_f32();
    if half.is_finite() { half } else { value }
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
            // Half a step, and what rounding the scale to 16 bits adds at the far end.
            assert!((f32::from(reference.quants[i]) * scale - value).abs() <= scale * 0.57);
        }
    }

    #[test]
    fn sums_are_those_of_the_rounded_group() {
        let values: Vec<f32> = (0..32).map(|i| (i as f32 - 9.0) * 0.37).collect();
        let rows = QuantisedRows::new(Isa::best(), &values, 32);
        let (row, exact) = (rows.row(0), 22.0 * 0.37 / 127.0);
        let whole: i32 = row.quants.iter().map(|&q| i32::from(q)).sum();
        let right = f16::from_f32(exact * whole as f32).to_f32();
        assert!((row.sums.iter().sum::<f32>() - right).abs() < 1e-5);
        let upper: i32 = row.quants[16..].iter().map(|&q| i32::from(q)).sum();
        assert!((row.sums[4..].iter().sum::<f32>() - exact * upper as f32).abs() < 1e-5);
        let huge = QuantisedRows::new(Isa::best(), &[1e9; 32], 32);
        assert!(huge.row(0).sums.iter().chain(huge.row(0).scales).all(|x| x.is_finite()));
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
