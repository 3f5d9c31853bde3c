//! The kernels against candle's reading of the formats, against double precision, and against each other bit by bit.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor as CandleTensor};
use computepool_model::tensor::{Tensor, TensorType};

use super::matmul::{Input, Matrix};
use super::pool::Threads;
use super::{Isa, attention, rows};

/// Numbers that look like weights: deterministic, roughly normal, without structure.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next() + next() + next()).collect()
}

fn formats() -> Vec<(TensorType, GgmlDType)> {
    vec![
        (TensorType::F32, GgmlDType::F32),
        (TensorType::F16, GgmlDType::F16),
        (TensorType::Bf16, GgmlDType::BF16),
        (TensorType::Q4_0, GgmlDType::Q4_0),
        (TensorType::Q4_1, GgmlDType::Q4_1),
        (TensorType::Q5_0, GgmlDType::Q5_0),
        (TensorType::Q5_1, GgmlDType::Q5_1),
        (TensorType::Q8_0, GgmlDType::Q8_0),
        (TensorType::Q2K, GgmlDType::Q2K),
        (TensorType::Q3K, GgmlDType::Q3K),
        (TensorType::Q4K, GgmlDType::Q4K),
        (TensorType::Q5K, GgmlDType::Q5K),
        (TensorType::Q6K, GgmlDType::Q6K),
        (TensorType::Q8K, GgmlDType::Q8K),
    ]
}

/// A weight matrix in a format, and its values as candle reads them.
fn weights(kind: TensorType, stored: GgmlDType, rows: usize, cols: usize) -> (Matrix, Vec<f32>) {
    let values = CandleTensor::from_vec(noise(rows * cols, 7), (rows, cols), &Device::Cpu).unwrap();
    let quantised = QTensor::quantize(&values, stored).unwrap();
    let read = quantised.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let tensor = Tensor::from_bytes(kind, &[rows, cols], quantised.data().unwrap().to_vec()).unwrap();
    (Matrix::new(tensor).unwrap(), read)
}

#[test]
fn rows_read_as_candle_reads_them() {
    for (kind, stored) in formats() {
        let (matrix, right) = weights(kind, stored, 3, 512);
        for row in 0..3 {
            let mut read = vec![0.0; 512];
            assert!(matrix.read_row(row, &mut read));
            for (i, (ours, right)) in read.iter().zip(&right[row * 512..]).enumerate() {
                assert!((ours - right).abs() <= 1e-6 * right.abs().max(1e-3), "{kind:?} {row},{i}: {ours} {right}");
            }
        }
        assert!(!matrix.read_row(3, &mut [0.0; 512]));
    }
}

#[test]
fn products_are_near_double_precision() {
    let x = noise(5 * 768, 3);
    for (kind, stored) in formats() {
        let (matrix, w) = weights(kind, stored, 24, 768);
        let input = Input::new(Isa::best(), &x, 768, &[&matrix]);
        let y = matrix.multiply(Isa::best(), &Threads::new(1), &input);
        let (mut error, mut size) = (0.0f64, 0.0f64);
        for row in 0..5 {
            for column in 0..24 {
                let right: f64 = (0..768).map(|i| f64::from(x[row * 768 + i]) * f64::from(w[column * 768 + i])).sum();
                error += (f64::from(y[row * 24 + column]) - right).powi(2);
                size += right * right;
            }
        }
        let relative = (error / size).sqrt();
        let bound = if matches!(kind, TensorType::F32 | TensorType::F16 | TensorType::Bf16) { 1e-6 } else { 6e-3 };
        assert!(relative < bound, "{kind:?}: {relative}");
    }
}

#[test]
fn a_product_has_the_same_bits_on_every_instruction_set_in_any_company_and_on_any_number_of_threads() {
    let x = noise(9 * 512, 11);
    for (kind, stored) in formats() {
        let (matrix, _) = weights(kind, stored, 37, 512);
        let multiply = |isa, threads: usize, x: &[f32]| {
            matrix.multiply(isa, &Threads::new(threads), &Input::new(isa, x, 512, &[&matrix]))
        };
        let alone: Vec<f32> = x.chunks(512).flat_map(|row| multiply(Isa::Portable, 1, row)).collect();
        for isa in Isa::available() {
            for threads in [1, 2, 3] {
                for mates in [1, 2, 4, 5, 9] {
                    let together: Vec<f32> = x.chunks(512 * mates).flat_map(|x| multiply(isa, threads, x)).collect();
                    let same = together.iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{kind:?} {isa:?}, {threads} threads, {mates} mates");
                }
            }
        }
    }
}

#[test]
fn norms_gates_and_attention_have_the_same_bits_on_every_instruction_set() {
    let (heads, length) = (80, 75);
    let query = noise(heads, 1);
    let pages: Vec<(Vec<f32>, Vec<f32>)> = (0..length / attention::PAGE + 1)
        .map(|i| (noise(heads * attention::PAGE, 2 + i as u64), noise(heads * attention::PAGE, 90 + i as u64)))
        .collect();
    let run = |isa: Isa| {
        let mut out = vec![0.0; heads];
        let scope = attention::Scope { from: 5, to: length, scale: 0.3, softcap: Some(20.0) };
        attention::attend(isa, &query, |p| &pages[p].0, |p| &pages[p].1, scope, &mut Vec::new(), &mut out);
        let mut normed = noise(3 * 83, 5);
        rows::rms_norm(isa, &mut normed, &noise(83, 6), 1e-5);
        let mut gate = noise(101, 8);
        rows::silu_gate(isa, &mut gate, &noise(101, 9));
        rows::gelu_gate(isa, &mut gate, &noise(101, 10));
        rows::add(isa, &mut gate, &noise(101, 12));
        [out, normed, gate].concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    for isa in Isa::available() {
        assert_eq!(run(isa), run(Isa::Portable), "{isa:?}");
    }
}

#[test]
fn attention_matches_double_precision() {
    let (dim, length) = (24, 50);
    let query = noise(dim, 1);
    let (keys, values) = (noise(dim * length, 2), noise(dim * length, 3));
    let mut pages = vec![(vec![0.0; dim * attention::PAGE], vec![0.0; dim * attention::PAGE]); 2];
    for t in 0..length {
        let (page, slot) = (t / attention::PAGE, t % attention::PAGE);
        for d in 0..dim {
            pages[page].0[d * attention::PAGE + slot] = keys[t * dim + d];
            pages[page].1[slot * dim + d] = values[t * dim + d];
        }
    }
    for from in [0, 17, 33] {
        let scope = attention::Scope { from, to: length, scale: 0.7, softcap: None };
        let mut out = vec![0.0; dim];
        attention::attend(Isa::best(), &query, |p| &pages[p].0, |p| &pages[p].1, scope, &mut Vec::new(), &mut out);
        let score = |t: usize| -> f64 {
            0.7 * (0..dim).map(|d| f64::from(query[d]) * f64::from(keys[t * dim + d])).sum::<f64>()
        };
        let total: f64 = (from..length).map(|t| score(t).exp()).sum();
        for d in 0..dim {
            let right: f64 = (from..length).map(|t| score(t).exp() / total * f64::from(values[t * dim + d])).sum();
            assert!((f64::from(out[d]) - right).abs() < 1e-5, "{from} {d}: {} {right}", out[d]);
        }
    }
}

#[test]
fn both_kinds_of_rotation_turn_pairs_by_their_angle() {
    for interleaved in [true, false] {
        let table = rows::RopeTable { inverse_frequencies: vec![1.0, 0.1], magnitude: 1.0, interleaved };
        let mut row: Vec<f32> = vec![1.0, 2.0, 3.0, 4.0, 5.0];
        table.rotate(&mut row, 5, &table.angles(3));
        let turn = |x: f64, y: f64, angle: f64| [x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()];
        let right = if interleaved {
            [turn(1.0, 2.0, 3.0), turn(3.0, 4.0, 0.3)].concat()
        } else {
            let (a, b) = (turn(1.0, 3.0, 3.0), turn(2.0, 4.0, 0.3));
            vec![a[0], b[0], a[1], b[1]]
        };
        for (ours, right) in row.iter().zip(&right) {
            assert!((f64::from(*ours) - right).abs() < 1e-5, "{interleaved}");
        }
        assert_eq!(row[4], 5.0, "numbers beyond the rotated part stay");
    }
}
