//! Typed access to the metadata of a GGUF file.

use std::fmt;
use std::sync::Arc;

use super::cursor::Cursor;
use super::error::GgufError;
use super::header::{self, Entry, Header, LIMITS, TensorInfo};
use crate::error::shown;
use crate::extent::Extent;

/// The types of metadata values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// The type that a file means by `id`.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(id as usize).copied()
    }

    /// The number that stands for it in a file.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// Its name in error messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "a truth value",
            Self::String => "a string",
            Self::Array => "an array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// Bytes of a value; of an empty one for strings and arrays.
    pub(super) fn smallest(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::String => 8,
            Self::Array => 12,
        }
    }
}

/// A metadata value; integers and floats are widened, arrays are only counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Any integer type.
    Int(i128),
    /// `f32` or `f64`.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Bytes that should be UTF-8.
    String(&'a [u8]),
    /// How many values an array has; read them with the typed getters.
    Array(ValueType, usize),
}

/// The header of a GGUF file: metadata and tensor table. Clones share it; arrays stay where they are until asked for.
///
/// A getter returns nothing where the key is missing, and an error where the value is of another type.
#[derive(Clone)]
pub struct Metadata {
    bytes: Extent,
    header: Arc<Header>,
}

impl Metadata {
    /// Reads the header of a whole file.
    pub(crate) fn read(bytes: Extent) -> Result<Self, GgufError> {
        let header = Arc::new(header::read(bytes.as_bytes())?);
        Ok(Self { bytes, header })
    }

    /// The version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.header.version
    }

    /// The tensors, in the order of their bytes.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.tensors
    }

    /// The keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.header.entries.keys().map(String::as_str)
    }

    /// Whether there is such a key, of whatever type.
    pub fn contains(&self, key: &str) -> bool {
        self.header.entries.contains_key(key)
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Result<Option<Value<'_>>, GgufError> {
        let Some(entry) = self.header.entries.get(key) else { return Ok(None) };
        match entry.array {
            Some((element, count)) => Ok(Some(Value::Array(element, count))),
            None => read_scalar(&mut self.cursor(entry), entry.kind).map(Some),
        }
    }

    /// Any integer that fits a `u32`.
    pub fn get_u32(&self, key: &str) -> Result<Option<u32>, GgufError> {
        self.integer(key, "u32")
    }

    /// Any integer that fits a `u64`.
    pub fn get_u64(&self, key: &str) -> Result<Option<u64>, GgufError> {
        self.integer(key, "u64")
    }

    /// Any integer that fits an `i64`.
    pub fn get_i64(&self, key: &str) -> Result<Option<i64>, GgufError> {
        self.integer(key, "i64")
    }

    /// An `f32`, or an `f64` rounded to one.
    pub fn get_f32(&self, key: &str) -> Result<Option<f32>, GgufError> {
        match self.get(key)? {
            None => Ok(None),
            Some(Value::Float(value)) => Ok(Some(value as f32)),
            Some(_) => Err(self.wrong_type(key, "f32")),
        }
    }

    /// A truth value.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>, GgufError> {
        match self.get(key)? {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong_type(key, "a truth value")),
        }
    }

    /// A UTF-8 string.
    pub fn get_str(&self, key: &str) -> Result<Option<&str>, GgufError> {
        match self.get(key)? {
            None => Ok(None),
            Some(Value::String(bytes)) => utf8(bytes, key).map(Some),
            Some(_) => Err(self.wrong_type(key, "a string")),
        }
    }

    /// An array of UTF-8 strings, borrowed from the header: 16 bytes each.
    pub fn get_strings(&self, key: &str) -> Result<Option<Vec<&str>>, GgufError> {
        self.array(key, "an array of strings", |cursor, element| match read_scalar(cursor, element)? {
            Value::String(bytes) => utf8(bytes, key).map(Some),
            _ => Ok(None),
        })
    }

    /// An array of integers that fit an `i64`, of whatever width.
    pub fn get_i64s(&self, key: &str) -> Result<Option<Vec<i64>>, GgufError> {
        self.array(key, "an array of integers", |cursor, element| match read_scalar(cursor, element)? {
            Value::Int(value) => i64::try_from(value).map(Some).map_err(|_| out_of_range(key, "i64", value)),
            _ => Ok(None),
        })
    }

    /// An array of integers that fit a `u32`, of whatever width.
    pub fn get_u32s(&self, key: &str) -> Result<Option<Vec<u32>>, GgufError> {
        self.array(key, "an array of integers", |cursor, element| match read_scalar(cursor, element)? {
            Value::Int(value) => u32::try_from(value).map(Some).map_err(|_| out_of_range(key, "u32", value)),
            _ => Ok(None),
        })
    }

    /// An array of `f32` (or of `f64`, rounded).
    pub fn get_f32s(&self, key: &str) -> Result<Option<Vec<f32>>, GgufError> {
        self.array(key, "an array of floats", |cursor, element| match read_scalar(cursor, element)? {
            Value::Float(value) => Ok(Some(value as f32)),
            _ => Ok(None),
        })
    }

    /// An array of truth values.
    pub fn get_bools(&self, key: &str) -> Result<Option<Vec<bool>>, GgufError> {
        self.array(key, "an array of truth values", |cursor, element| match read_scalar(cursor, element)? {
            Value::Bool(value) => Ok(Some(value)),
            _ => Ok(None),
        })
    }

    fn cursor(&self, entry: &Entry) -> Cursor<'_> {
        Cursor::new(self.bytes.as_bytes(), entry.at, LIMITS.header)
    }

    fn integer<T: TryFrom<i128>>(&self, key: &str, expected: &'static str) -> Result<Option<T>, GgufError> {
        match self.get(key)? {
            None => Ok(None),
            Some(Value::Int(value)) => T::try_from(value).map(Some).map_err(|_| out_of_range(key, expected, value)),
            Some(_) => Err(self.wrong_type(key, expected)),
        }
    }

    /// Reads an array value by value; `read` answers nothing where the type is not the one wanted.
    fn array<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl Fn(&mut Cursor<'a>, ValueType) -> Result<Option<T>, GgufError>,
    ) -> Result<Option<Vec<T>>, GgufError> {
        let Some(entry) = self.header.entries.get(key) else { return Ok(None) };
        let Some((element, count)) = entry.array else { return Err(self.wrong_type(key, expected)) };
        let mut cursor = self.cursor(entry);
        let mut values = Vec::new();
        for _ in 0..count {
            match read(&mut cursor, element)? {
                Some(value) => values.push(value),
                None => return Err(self.wrong_type(key, expected)),
            }
        }
        Ok(Some(values))
    }

    fn wrong_type(&self, key: &str, expected: &'static str) -> GgufError {
        let got = match self.header.entries.get(key) {
            Some(Entry { array: Some((element, _)), .. }) => match element {
                ValueType::String => "an array of strings",
                ValueType::F32 | ValueType::F64 => "an array of floats",
                ValueType::Bool => "an array of truth values",
                ValueType::Array => "an array of arrays",
                _ => "an array of integers",
            },
            Some(entry) => entry.kind.as_str(),
            None => "missing",
        };
        GgufError::WrongType { key: shown(key), expected, got }
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} entries, {} tensors)", self.header.entries.len(), self.header.tensors.len())
    }
}

fn read_scalar<'a>(cursor: &mut Cursor<'a>, kind: ValueType) -> Result<Value<'a>, GgufError> {
    if kind == ValueType::String {
        return cursor.string("a metadata string", LIMITS.header).map(Value::String);
    }
    let taken = cursor.take("a metadata value", kind.smallest())?;
    let mut wide = [0u8; 8];
    wide[..taken.len().min(8)].copy_from_slice(&taken[..taken.len().min(8)]);
    let unsigned = u64::from_le_bytes(wide);
    // Moves the sign bit of a narrow integer to where an `i64` has it, and back.
    let shift = 64 - 8 * taken.len().min(8) as u32;
    let signed = || ((unsigned << shift) as i64) >> shift;
    Ok(match kind {
        ValueType::U8 | ValueType::U16 | ValueType::U32 | ValueType::U64 => Value::Int(unsigned.into()),
        ValueType::I8 | ValueType::I16 | ValueType::I32 | ValueType::I64 => Value::Int(signed().into()),
        ValueType::F32 => Value::Float(f32::from_bits(unsigned as u32).into()),
        ValueType::F64 => Value::Float(f64::from_bits(unsigned)),
        ValueType::Bool => Value::Bool(unsigned != 0),
        // An array inside an array: nobody has a use for it, so only its kind is told.
        ValueType::Array | ValueType::String => Value::Array(kind, 0),
    })
}

fn utf8<'a>(bytes: &'a [u8], key: &str) -> Result<&'a str, GgufError> {
    std::str::from_utf8(bytes).map_err(|_| GgufError::NotUtf8 { what: format!("metadata `{}`", shown(key)) })
}

fn out_of_range(key: &str, expected: &'static str, got: i128) -> GgufError {
    GgufError::OutOfRange { key: shown(key), expected, got: got.to_string() }
}
