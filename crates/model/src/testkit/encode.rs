//! How a test model's weights are stored.

use half::{bf16, f16};

use crate::tensor::TensorType;
use crate::weights::TensorName;

/// A tensor's type and bytes.
pub type Encoded = (TensorType, Vec<u8>);

/// Decides how a tensor is stored: its name, shape and values as the file will have them.
pub type Encode<'a> = dyn Fn(TensorName, &[usize], &[f32]) -> Encoded + 'a;

/// Everything in `F32`.
pub fn as_f32(_: TensorName, _: &[usize], values: &[f32]) -> Encoded {
    (TensorType::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Matrices in `F16`, vectors in `F32`, as llama.cpp converts.
pub fn as_f16(name: TensorName, shape: &[usize], values: &[f32]) -> Encoded {
    match shape {
        [_, _] => (TensorType::F16, values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()),
        _ => as_f32(name, shape, values),
    }
}

/// Matrices in `BF16`, vectors in `F32`.
pub fn as_bf16(name: TensorName, shape: &[usize], values: &[f32]) -> Encoded {
    match shape {
        [_, _] => (TensorType::Bf16, values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect()),
        _ => as_f32(name, shape, values),
    }
}

/// Matrices in `Q8_0` (rows must be multiples of 32), vectors in `F32`.
pub fn as_q8_0(name: TensorName, shape: &[usize], values: &[f32]) -> Encoded {
    let [_, _] = shape else { return as_f32(name, shape, values) };
    let mut bytes = Vec::new();
    for block in values.chunks(TensorType::Q8_0.block_len()) {
        let scale = block.iter().fold(0.0f32, |most, value| most.max(value.abs())) / 127.0;
        bytes.extend(f16::from_f32(scale).to_le_bytes());
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        bytes.extend(block.iter().map(|value| (value * inverse).round() as i8 as u8));
    }
    (TensorType::Q8_0, bytes)
}
