//! The 12 bytes that every frame starts with, on lanes and on control links.

use super::{FrameError, PREFIX_BYTES};

/// What the first 12 bytes of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) kind: u8,
    pub(crate) flags: u16,
    /// Bytes that follow.
    pub(crate) length: u32,
}

impl Prefix {
    /// A prefix for `length` bytes to follow; refused where the wire's 32 bits cannot say it.
    pub(crate) fn new(kind: u8, flags: u16, length: usize) -> Result<Self, FrameError> {
        let fits = u32::try_from(length);
        let length = fits.map_err(|_| FrameError::Oversize { got: length as u64, limit: u64::from(u32::MAX) })?;
        Ok(Self { kind, flags, length })
    }

    pub(crate) fn encode(self, magic: [u8; 4], version: u8) -> [u8; PREFIX_BYTES] {
        let mut bytes = [0; PREFIX_BYTES];
        bytes[..4].copy_from_slice(&magic);
        bytes[4] = version;
        bytes[5] = self.kind;
        bytes[6..8].copy_from_slice(&self.flags.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// Reads a prefix; whether kind, flags and length are welcome is the caller's to say.
    pub(crate) fn parse(bytes: &[u8; PREFIX_BYTES], magic: [u8; 4], version: u8) -> Result<Self, FrameError> {
        let [m0, m1, m2, m3, v, kind, f0, f1, l0, l1, l2, l3] = *bytes;
        let got = [m0, m1, m2, m3];
        if got != magic {
            return Err(FrameError::Magic { expected: magic, got });
        }
        if v != version {
            return Err(FrameError::Version { expected: version, got: v });
        }
        Ok(Self { kind, flags: u16::from_le_bytes([f0, f1]), length: u32::from_le_bytes([l0, l1, l2, l3]) })
    }

    /// The length as an index; 32 bits fit every platform this runs on.
    pub(crate) fn len(self) -> usize {
        self.length as usize
    }
}
