//! The tensor table of a GGUF header.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::error::GgufError;
use super::header::{LIMITS, TensorInfo};
use crate::error::shown;
use crate::tensor::TensorType;

/// A tensor as the table declares it, before its place is checked.
pub(super) struct Declared {
    name: String,
    kind: TensorType,
    shape: Vec<usize>,
    bytes: u64,
    offset: u64,
}

impl Declared {
    /// Reads one row of the table.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, GgufError> {
        let name = cursor.string("a tensor name", LIMITS.name)?;
        let name = std::str::from_utf8(name).map_err(|_| GgufError::NotUtf8 { what: "a tensor name".into() })?;
        let rank = cursor.u32("a tensor's rank")?;
        if !(1..=4).contains(&rank) {
            return Err(GgufError::BadRank { tensor: shown(name), got: rank });
        }
        let mut shape = Vec::with_capacity(rank as usize);
        for _ in 0..rank {
            let dim = cursor.u64("a tensor's dimension")?;
            if dim == 0 {
                return Err(GgufError::EmptyTensor { tensor: shown(name) });
            }
            shape.push(usize::try_from(dim).map_err(|_| GgufError::TensorTooLarge { tensor: shown(name) })?);
        }
        // The file counts from the innermost dimension.
        shape.reverse();
        let id = cursor.u32("a tensor's type")?;
        let kind = match (TensorType::from_gguf_id(id), unsupported(id)) {
            (Some(kind), _) => kind,
            (None, Some(kind)) => return Err(GgufError::UnsupportedTensorType { tensor: shown(name), kind }),
            (None, None) => return Err(GgufError::UnknownTensorType { tensor: shown(name), got: id }),
        };
        let offset = cursor.u64("a tensor's offset")?;

        let cols = shape.last().copied().unwrap_or(1);
        if !cols.is_multiple_of(kind.block_len()) {
            return Err(GgufError::PartialBlock {
                tensor: shown(name),
                cols: cols as u64,
                block: kind.block_len() as u64,
                kind: kind.as_str(),
            });
        }
        let bytes = kind.tensor_bytes(&shape).ok_or_else(|| GgufError::TensorTooLarge { tensor: shown(name) })? as u64;
        Ok(Self { name: name.to_owned(), kind, shape, bytes, offset })
    }
}

/// Checks that names are unique, and that every tensor has its own bytes inside the file.
pub(super) fn place(
    mut declared: Vec<Declared>,
    data_start: u64,
    alignment: u64,
    file: u64,
) -> Result<Vec<TensorInfo>, GgufError> {
    let have = file.saturating_sub(data_start);
    let mut names = HashSet::with_capacity(declared.len());
    for tensor in &declared {
        if !names.insert(tensor.name.as_str()) {
            return Err(GgufError::DuplicateTensor { tensor: shown(&tensor.name) });
        }
        if !tensor.offset.is_multiple_of(alignment) {
            let (tensor, offset) = (shown(&tensor.name), tensor.offset);
            return Err(GgufError::MisalignedTensor { tensor, offset, alignment });
        }
        if tensor.offset.checked_add(tensor.bytes).is_none_or(|end| end > have) {
            let (offset, bytes) = (tensor.offset, tensor.bytes);
            return Err(GgufError::OutOfFile { tensor: shown(&tensor.name), offset, bytes, have });
        }
    }
    drop(names);
    declared.sort_by_key(|tensor| tensor.offset);
    for pair in declared.windows(2) {
        if let [first, second] = pair
            && first.offset + first.bytes > second.offset
        {
            return Err(GgufError::Overlap { first: shown(&first.name), second: shown(&second.name) });
        }
    }
    // No overflow: every end was checked to lie in the file.
    let placed = |tensor: Declared| {
        let start = data_start + tensor.offset;
        TensorInfo { name: tensor.name, kind: tensor.kind, shape: tensor.shape, range: start..start + tensor.bytes }
    };
    Ok(declared.into_iter().map(placed).collect())
}

/// Names of the types in ggml's `ggml.h` that a shard cannot hold.
fn unsupported(id: u32) -> Option<&'static str> {
    Some(match id {
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        4 | 5 | 31..=33 | 36..=38 => "a type that ggml has removed",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        _ => return None,
    })
}
