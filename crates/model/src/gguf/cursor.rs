//! Reading a header front to back, never past its end.

use super::error::GgufError;

/// A place in a header. Every read names what it reads, so that an error can say it.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    limit: u64,
}

impl<'a> Cursor<'a> {
    /// Starts at `at`; more than `limit` bytes from the front are never read.
    pub(crate) fn new(bytes: &'a [u8], at: usize, limit: u64) -> Self {
        Self { bytes, at, limit }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Bytes left in the file.
    pub(crate) fn remaining(&self) -> u64 {
        self.bytes.len().saturating_sub(self.at) as u64
    }

    /// The next `need` bytes.
    pub(crate) fn take(&mut self, what: &'static str, need: u64) -> Result<&'a [u8], GgufError> {
        let have = self.remaining();
        if need > have {
            return Err(GgufError::Truncated { what, need, have });
        }
        // No overflow: both are bounded by the length of a slice.
        let end = self.at + need as usize;
        if end as u64 > self.limit {
            return Err(GgufError::HeaderTooLarge { limit: self.limit });
        }
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        let taken = self.take(what, N as u64)?;
        taken.try_into().map_err(|_| GgufError::Truncated { what, need: N as u64, have: taken.len() as u64 })
    }

    /// A little-endian `u32`.
    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A little-endian `u64`.
    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// The bytes of a length-prefixed string of at most `limit` bytes.
    pub(crate) fn string(&mut self, what: &'static str, limit: u64) -> Result<&'a [u8], GgufError> {
        let len = self.u64(what)?;
        if len > self.remaining() {
            return Err(GgufError::Truncated { what, need: len, have: self.remaining() });
        }
        if len > limit {
            return Err(GgufError::TooMany { what, got: len, limit });
        }
        self.take(what, len)
    }

    /// A count of things that take at least `each` bytes; refused when they cannot fit in what is left of the file.
    pub(crate) fn count(&mut self, what: &'static str, each: u64, limit: u64) -> Result<usize, GgufError> {
        let got = self.u64(what)?;
        self.check_count(what, got, each, limit)
    }

    /// As [`count`](Self::count), for a count that was read earlier.
    pub(crate) fn check_count(&self, what: &'static str, got: u64, each: u64, limit: u64) -> Result<usize, GgufError> {
        if got > limit {
            return Err(GgufError::TooMany { what, got, limit });
        }
        match got.checked_mul(each) {
            Some(need) if need <= self.remaining() => {
                usize::try_from(got).map_err(|_| GgufError::TooMany { what, got, limit })
            }
            need => Err(GgufError::Truncated { what, need: need.unwrap_or(u64::MAX), have: self.remaining() }),
        }
    }
}
