//! Tensors as they lie in a model file: type, shape and bytes.

use std::fmt;
use std::ops::Range;

use half::{bf16, f16};

use crate::error::ModelError;
use crate::extent::Extent;

macro_rules! tensor_types {
    ($($(#[$meta:meta])* $name:ident = $text:literal, $id:literal, $len:literal, $bytes:literal);+ $(;)?) => {
        /// How a tensor's values are stored: the GGUF types that a shard can hold. Quantised types store blocks of
        /// consecutive values of one row; the layouts are those of ggml.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TensorType { $($(#[$meta])* $name),+ }

        impl TensorType {
            /// Every type, in order of declaration.
            pub const ALL: &[TensorType] = &[$(TensorType::$name),+];

            /// Values per block; 1 for the float types.
            pub fn block_len(self) -> usize {
                match self { $(Self::$name => $len),+ }
            }

            /// Bytes per block.
            pub fn block_bytes(self) -> usize {
                match self { $(Self::$name => $bytes),+ }
            }

            /// The number that stands for this type in a GGUF file.
            pub fn gguf_id(self) -> u32 {
                match self { $(Self::$name => $id),+ }
            }

            /// The name that llama.cpp prints.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

tensor_types! {
    /// 32-bit floats.
    F32 = "F32", 0, 1, 4;
    /// IEEE half floats.
    F16 = "F16", 1, 1, 2;
    /// Brain floats: the upper half of an `F32`.
    Bf16 = "BF16", 30, 1, 2;
    /// 4 bits, one scale.
    Q4_0 = "Q4_0", 2, 32, 18;
    /// 4 bits, scale and minimum.
    Q4_1 = "Q4_1", 3, 32, 20;
    /// 5 bits, one scale.
    Q5_0 = "Q5_0", 6, 32, 22;
    /// 5 bits, scale and minimum.
    Q5_1 = "Q5_1", 7, 32, 24;
    /// 8 bits, one scale.
    Q8_0 = "Q8_0", 8, 32, 34;
    /// 8 bits, scale and sum.
    Q8_1 = "Q8_1", 9, 32, 36;
    /// 2 bits in super-blocks.
    Q2K = "Q2_K", 10, 256, 84;
    /// 3 bits in super-blocks.
    Q3K = "Q3_K", 11, 256, 110;
    /// 4 bits in super-blocks.
    Q4K = "Q4_K", 12, 256, 144;
    /// 5 bits in super-blocks.
    Q5K = "Q5_K", 13, 256, 176;
    /// 6 bits in super-blocks.
    Q6K = "Q6_K", 14, 256, 210;
    /// 8 bits in super-blocks.
    Q8K = "Q8_K", 15, 256, 292;
}

impl TensorType {
    /// The type that a GGUF file means by `id`.
    pub fn from_gguf_id(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.gguf_id() == id)
    }

    /// Whether [`Tensor::to_f32`] can read it.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Bytes of a row of `cols` values; nothing where the row does not end with a block, or is beyond counting.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.block_len()) {
            return None;
        }
        (cols / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Bytes of a tensor of this shape (outermost first); nothing where its rows do not end with a block, or it is
    /// beyond counting. A shape without dimensions is one value.
    pub fn tensor_bytes(self, shape: &[usize]) -> Option<usize> {
        let (cols, outer) = shape.split_last().map_or((1, shape), |(cols, outer)| (*cols, outer));
        outer.iter().try_fold(self.row_bytes(cols)?, |bytes, dim| bytes.checked_mul(*dim))
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tensor: type, shape (row-major, outermost dimension first: a matrix is `[rows, cols]` with `cols` contracted)
/// and its bytes, little-endian, in a shared memory map or in memory.
///
/// The map lasts as long as the tensor and its clones. Bytes start at the alignment of the file (GGUF: 8 at least;
/// safetensors promise none), so do not assume that they can be read as wider words in place.
#[derive(Clone, Debug)]
pub struct Tensor {
    kind: TensorType,
    shape: Vec<usize>,
    extent: Extent,
}

impl Tensor {
    /// A tensor over an extent of exactly its size.
    pub(crate) fn new(kind: TensorType, shape: Vec<usize>, extent: Extent) -> Result<Self, ModelError> {
        let got = extent.as_bytes().len();
        match kind.tensor_bytes(&shape) {
            Some(expected) if expected == got => Ok(Self { kind, shape, extent }),
            expected => Err(ModelError::WrongSize { kind, shape, expected, got }),
        }
    }

    /// An owned `F32` tensor.
    pub fn from_f32(shape: &[usize], values: Vec<f32>) -> Result<Self, ModelError> {
        Self::from_bytes(TensorType::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// An owned tensor of any type, from its bytes as a file would hold them.
    pub fn from_bytes(kind: TensorType, shape: &[usize], bytes: Vec<u8>) -> Result<Self, ModelError> {
        Self::new(kind, shape.to_vec(), Extent::from_vec(bytes))
    }

    /// How the values are stored.
    pub fn kind(&self) -> TensorType {
        self.kind
    }

    /// Row-major, outermost dimension first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The stored bytes, row after row.
    pub fn bytes(&self) -> &[u8] {
        self.extent.as_bytes()
    }

    /// The values of an `F32`, `F16` or `BF16` tensor, exactly; quantised types are refused.
    pub fn to_f32(&self) -> Result<Vec<f32>, ModelError> {
        let bytes = self.bytes();
        match self.kind {
            TensorType::F32 => Ok(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
            TensorType::F16 => Ok(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()),
            TensorType::Bf16 => Ok(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()),
            kind => Err(ModelError::NotFloat { tensor: "this tensor".into(), kind }),
        }
    }

    /// The part `range` of the outermost dimension, sharing the bytes: rows of a matrix, values of a float vector.
    pub fn rows(&self, range: Range<usize>) -> Result<Self, ModelError> {
        let refused = || ModelError::NoSuchRows { start: range.start, end: range.end, shape: self.shape.clone() };
        let (have, inner) = self.shape.split_first().ok_or_else(refused)?;
        if range.start > range.end || range.end > *have {
            return Err(refused());
        }
        let stride = self.kind.tensor_bytes(inner).ok_or_else(refused)?;
        // No overflow: both products are at most the size of the bytes we hold.
        let extent = self.extent.slice(range.start * stride..range.end * stride).ok_or_else(refused)?;
        let shape = std::iter::once(range.len()).chain(inner.iter().copied()).collect();
        Self::new(self.kind, shape, extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_refuse_what_does_not_end_with_a_block() {
        assert_eq!(TensorType::Q4_1.row_bytes(576), Some(360));
        assert_eq!(TensorType::Q4K.row_bytes(576), None);
        assert_eq!(TensorType::F16.row_bytes(3), Some(6));
        assert_eq!(TensorType::Q6K.tensor_bytes(&[3, 512]), Some(3 * 2 * 210));
        assert_eq!(TensorType::F32.tensor_bytes(&[usize::MAX, 2]), None);
        assert_eq!(TensorType::F32.row_bytes(usize::MAX), None);
        for kind in TensorType::ALL {
            assert_eq!(TensorType::from_gguf_id(kind.gguf_id()), Some(*kind));
        }
        assert_eq!(TensorType::from_gguf_id(16), None);
    }

    #[test]
    fn float_types_read_exactly_and_rows_share_the_bytes() {
        let values = [1.0f32, -2.5, 0.125, 65504.0, 0.0, -0.0];
        let tensor = Tensor::from_f32(&[3, 2], values.to_vec()).unwrap();
        assert_eq!(tensor.to_f32().unwrap(), values);
        let lower = tensor.rows(1..3).unwrap();
        assert_eq!((lower.shape(), lower.to_f32().unwrap()), (&[2, 2][..], values[2..].to_vec()));
        assert_eq!(lower.bytes().as_ptr(), tensor.bytes()[8..].as_ptr());
        for (start, end) in [(0, 4), (2, 1), (usize::MAX, usize::MAX)] {
            assert!(tensor.rows(start..end).is_err(), "{start}..{end}");
        }

        let halves = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        assert_eq!(Tensor::from_bytes(TensorType::F16, &[6], halves).unwrap().to_f32().unwrap(), values);
        let brains = [1.0f32, -2.5].iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        assert_eq!(Tensor::from_bytes(TensorType::Bf16, &[2], brains).unwrap().to_f32().unwrap(), [1.0, -2.5]);
    }

    #[test]
    fn bytes_must_be_exactly_the_shape() {
        assert!(matches!(Tensor::from_f32(&[2, 2], vec![0.0; 3]), Err(ModelError::WrongSize { got: 12, .. })));
        let quantised = Tensor::from_bytes(TensorType::Q8_0, &[2, 32], vec![0; 68]).unwrap();
        assert_eq!(quantised.rows(1..2).unwrap().bytes().len(), 34);
        assert!(matches!(quantised.to_f32(), Err(ModelError::NotFloat { kind: TensorType::Q8_0, .. })));
        assert!(Tensor::from_bytes(TensorType::Q8_0, &[64], vec![0; 68]).unwrap().rows(0..32).is_err());
    }
}
