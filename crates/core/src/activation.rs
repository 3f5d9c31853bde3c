//! Hidden states on their way from one shard to the next.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Fault, FaultCode};

/// How each number of an activation is stored, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationType {
    /// 32-bit float.
    F32,
    /// 16-bit float; used only where the engine itself rounds to it, so that nothing is lost on the way.
    F16,
    /// bfloat16; used only where the engine itself rounds to it.
    Bf16,
}

impl ActivationType {
    /// Bytes per number.
    pub fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// `rows × hidden` numbers, row-major; one row per token position.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Activation {
    rows: u32,
    hidden: u32,
    kind: ActivationType,
    data: Bytes,
}

/// An activation as it is read, before its length is held against its shape.
#[derive(Deserialize)]
struct Unchecked {
    rows: u32,
    hidden: u32,
    kind: ActivationType,
    data: Bytes,
}

impl TryFrom<Unchecked> for Activation {
    type Error = Fault;

    fn try_from(read: Unchecked) -> Result<Self, Fault> {
        Self::new(read.rows, read.hidden, read.kind, read.data)
    }
}

impl Activation {
    /// Takes `data` as `rows × hidden` numbers; refused when empty or of another length.
    pub fn new(rows: u32, hidden: u32, kind: ActivationType, data: Bytes) -> Result<Self, Fault> {
        let expected = (rows as usize).checked_mul(hidden as usize).and_then(|n| n.checked_mul(kind.width()));
        if expected.is_none() || expected == Some(0) || expected != Some(data.len()) {
            return Err(Fault::new(
                FaultCode::WrongShape,
                format!("an activation of {rows} × {hidden} {kind:?} cannot have {} bytes", data.len()),
            ));
        }
        Ok(Self { rows, hidden, kind, data })
    }

    /// How many token positions.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The model's hidden size.
    pub fn hidden(&self) -> u32 {
        self.hidden
    }

    /// How the numbers are stored.
    pub fn kind(&self) -> ActivationType {
        self.kind
    }

    /// The numbers, row-major, little-endian.
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Activation({} × {} {:?})", self.rows, self.hidden, self.kind)
    }
}
