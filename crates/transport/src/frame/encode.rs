//! From a frame to bytes. Numbers are never copied.

use std::ops::Deref;

use bytes::Bytes;
use computepool_core::{Activation, ActivationType, GenerationId, HopFrame};

use super::{
    ACTIVATION_HEAD, FLAG_SAMPLE, FrameError, GENERATION_BYTES, MAGIC, MAX_WARM_BYTES, PREFIX_BYTES, Prefix,
    TOKEN_BODY, VERSION, kind,
};

const LONGEST: usize = PREFIX_BYTES + ACTIVATION_HEAD;

/// What is written before a frame's payload: the prefix and the fixed fields of its kind.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Head {
    fn new(prefix: Prefix) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..PREFIX_BYTES].copy_from_slice(&prefix.encode(MAGIC, VERSION));
        Self { bytes, len: PREFIX_BYTES }
    }

    fn put(&mut self, field: &[u8]) {
        self.bytes[self.len..self.len + field.len()].copy_from_slice(field);
        self.len += field.len();
    }
}

impl Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The bytes of a frame: its head, then its payload, to be written in this order. The payload of an activation is the
/// activation's own buffer. Fails only where the payload is longer than the wire's 32 bits can say.
pub fn encode(frame: &HopFrame) -> Result<(Head, Bytes), FrameError> {
    match frame {
        HopFrame::Activation { generation, position, sample, hidden } => {
            activation(*generation, *position, *sample, hidden)
        }
        HopFrame::Token { generation, position, id } => {
            let mut head = Head::new(Prefix::new(kind::TOKEN, 0, TOKEN_BODY)?);
            head.put(&generation.0);
            head.put(&position.to_le_bytes());
            head.put(&id.to_le_bytes());
            Ok((head, Bytes::new()))
        }
        HopFrame::Abort { generation, code } => {
            let text = code.as_str().as_bytes();
            let mut head = Head::new(Prefix::new(kind::ABORT, 0, GENERATION_BYTES + text.len())?);
            head.put(&generation.0);
            Ok((head, Bytes::from_static(text)))
        }
    }
}

fn activation(
    generation: GenerationId,
    position: u32,
    sample: bool,
    hidden: &Activation,
) -> Result<(Head, Bytes), FrameError> {
    let flags = if sample { FLAG_SAMPLE } else { 0 };
    let mut head = Head::new(Prefix::new(kind::ACTIVATION, flags, ACTIVATION_HEAD + hidden.data().len())?);
    head.put(&generation.0);
    head.put(&position.to_le_bytes());
    head.put(&hidden.rows().to_le_bytes());
    head.put(&hidden.hidden().to_le_bytes());
    head.put(&[type_byte(hidden.kind()), 0, 0, 0]);
    Ok((head, hidden.data().clone()))
}

/// A frame of `len` bytes for the receiver to throw away: it opens the connection's congestion window before the first
/// activation needs it.
pub(crate) fn warm(len: usize) -> Result<Vec<u8>, FrameError> {
    let len = len.min(MAX_WARM_BYTES);
    let mut bytes = vec![0; PREFIX_BYTES + len];
    bytes[..PREFIX_BYTES].copy_from_slice(&Prefix::new(kind::WARM, 0, len)?.encode(MAGIC, VERSION));
    Ok(bytes)
}

pub(super) fn type_byte(kind: ActivationType) -> u8 {
    match kind {
        ActivationType::F32 => 0,
        ActivationType::F16 => 1,
        ActivationType::Bf16 => 2,
    }
}
