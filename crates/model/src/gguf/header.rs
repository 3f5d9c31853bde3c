//! The header of a GGUF file: where its metadata values and its tensors lie.

use std::collections::HashMap;
use std::ops::Range;

use super::cursor::Cursor;
use super::error::GgufError;
use super::metadata::ValueType;
use super::tensors::{self, Declared};
use crate::error::shown;
use crate::tensor::TensorType;

/// The most that is read of a header. Real models stay far below each; a file beyond them is refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole header.
    pub header: u64,
    /// Metadata entries.
    pub entries: u64,
    /// Bytes of a metadata key (the format's own limit).
    pub key: u64,
    /// Values of one array.
    pub array: u64,
    /// How deep arrays nest.
    pub depth: u32,
    /// Tensors.
    pub tensors: u64,
    /// Bytes of a tensor's name.
    pub name: u64,
}

/// The limits in force.
pub const LIMITS: Limits =
    Limits { header: 256 << 20, entries: 1 << 14, key: 65_535, array: 1 << 24, depth: 4, tensors: 1 << 16, name: 128 };

/// A tensor that a GGUF file declares; its bytes were checked to lie in the file and to be its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// As the file names it.
    pub name: String,
    /// How the values are stored.
    pub kind: TensorType,
    /// Outermost dimension first (the file itself counts from the innermost).
    pub shape: Vec<usize>,
    /// Its bytes, counted from the start of the file.
    pub range: Range<u64>,
}

/// Where a metadata value lies in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: ValueType,
    /// Of an array: the type of its values and how many there are.
    pub(super) array: Option<(ValueType, usize)>,
    /// Where the value starts; an array's first element, a string's length prefix.
    pub(super) at: usize,
}

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) entries: HashMap<String, Entry>,
    pub(super) tensors: Vec<TensorInfo>,
}

const MAGIC: [u8; 4] = *b"GGUF";
const DEFAULT_ALIGNMENT: u32 = 32;
/// Smallest entry: an empty key's length, a type and one byte.
const SMALLEST_ENTRY: u64 = 8 + 4 + 1;
/// Smallest tensor: an empty name's length, rank, one dimension, type and offset.
const SMALLEST_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;

pub(super) fn read(bytes: &[u8]) -> Result<Header, GgufError> {
    let mut cursor = Cursor::new(bytes, 0, LIMITS.header);
    let magic = cursor.u32("the magic number")?.to_le_bytes();
    if magic != MAGIC {
        return Err(GgufError::BadMagic { got: magic });
    }
    let version = cursor.u32("the version")?;
    match version {
        2 | 3 => {}
        // A small number in the upper bytes only is a small number written the other way round.
        _ if version & 0xffff == 0 && version != 0 => return Err(GgufError::BigEndian),
        got => return Err(GgufError::UnsupportedVersion { got }),
    }
    let tensor_count = cursor.u64("the tensor count")?;
    let entry_count = cursor.count("metadata entries", SMALLEST_ENTRY, LIMITS.entries)?;
    cursor.check_count("tensors", tensor_count, SMALLEST_TENSOR, LIMITS.tensors)?;

    let mut entries = HashMap::with_capacity(entry_count);
    for _ in 0..entry_count {
        let (key, entry) = read_entry(&mut cursor)?;
        if let Some(_earlier) = entries.insert(key.to_owned(), entry) {
            return Err(GgufError::DuplicateKey { key: shown(key) });
        }
    }
    let alignment = alignment(bytes, &entries)?;

    let tensor_count = cursor.check_count("tensors", tensor_count, SMALLEST_TENSOR, LIMITS.tensors)?;
    let mut declared = Vec::with_capacity(tensor_count);
    for _ in 0..tensor_count {
        declared.push(Declared::read(&mut cursor)?);
    }
    let data_start = (cursor.position() as u64).next_multiple_of(alignment);
    let tensors = tensors::place(declared, data_start, alignment, bytes.len() as u64)?;
    Ok(Header { version, entries, tensors })
}

fn read_entry<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, Entry), GgufError> {
    let key = cursor.string("a metadata key", LIMITS.key)?;
    let key = std::str::from_utf8(key).map_err(|_| GgufError::NotUtf8 { what: "a metadata key".into() })?;
    let kind = value_type(cursor, key)?;
    let (array, at) = if kind == ValueType::Array {
        let element = value_type(cursor, key)?;
        let count = cursor.count("values of a metadata array", element.smallest(), LIMITS.array)?;
        (Some((element, count)), cursor.position())
    } else {
        (None, cursor.position())
    };
    match array {
        Some((element, count)) => skip_array(cursor, key, element, count, 1)?,
        None => skip_scalar(cursor, key, kind)?,
    }
    Ok((key, Entry { kind, array, at }))
}

fn value_type(cursor: &mut Cursor<'_>, key: &str) -> Result<ValueType, GgufError> {
    let got = cursor.u32("a metadata type")?;
    ValueType::from_id(got).ok_or_else(|| GgufError::UnknownValueType { key: shown(key), got })
}

fn skip_scalar(cursor: &mut Cursor<'_>, key: &str, kind: ValueType) -> Result<(), GgufError> {
    match kind {
        ValueType::String => {
            cursor.string("a metadata string", LIMITS.header)?;
        }
        ValueType::Bool => match cursor.take("a metadata truth value", 1)? {
            [0 | 1] => {}
            other => return Err(GgufError::BadBool { key: shown(key), got: other.first().copied().unwrap_or(0) }),
        },
        other => {
            cursor.take("a metadata value", other.smallest())?;
        }
    }
    Ok(())
}

fn skip_array(
    cursor: &mut Cursor<'_>,
    key: &str,
    element: ValueType,
    count: usize,
    depth: u32,
) -> Result<(), GgufError> {
    match element {
        ValueType::String => {
            for _ in 0..count {
                cursor.string("a string of a metadata array", LIMITS.header)?;
            }
        }
        ValueType::Array => {
            if depth == LIMITS.depth {
                return Err(GgufError::NestedTooDeep { key: shown(key), limit: LIMITS.depth });
            }
            for _ in 0..count {
                let element = value_type(cursor, key)?;
                let count = cursor.count("values of a metadata array", element.smallest(), LIMITS.array)?;
                skip_array(cursor, key, element, count, depth + 1)?;
            }
        }
        // No overflow: the count was checked against what is left of the file.
        other => {
            cursor.take("a metadata array", count as u64 * other.smallest())?;
        }
    }
    Ok(())
}

fn alignment(bytes: &[u8], entries: &HashMap<String, Entry>) -> Result<u64, GgufError> {
    const KEY: &str = "general.alignment";
    let got = match entries.get(KEY) {
        None => DEFAULT_ALIGNMENT,
        Some(entry) if entry.kind == ValueType::U32 => Cursor::new(bytes, entry.at, LIMITS.header).u32(KEY)?,
        Some(entry) => {
            return Err(GgufError::WrongType { key: KEY.into(), expected: "u32", got: entry.kind.as_str() });
        }
    };
    if got.is_power_of_two() && (8..=65_536).contains(&got) {
        Ok(u64::from(got))
    } else {
        Err(GgufError::BadAlignment { got })
    }
}
