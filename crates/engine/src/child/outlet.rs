//! The writing end of the pipe.

use std::io::Write;

use crate::pipe::{ChildMessage, PipeError, encode};

/// Frames are gathered up to about this many bytes before they are written.
const GATHER: usize = 256 * 1024;

/// Gathers frames and writes them together.
pub(super) struct Outlet<W> {
    output: W,
    buffer: Vec<u8>,
}

impl<W: Write> Outlet<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, buffer: Vec::new() }
    }

    /// Adds a message.
    pub(super) fn send(&mut self, message: &ChildMessage) -> Result<(), PipeError> {
        encode(message, &mut self.buffer)?;
        if self.buffer.len() >= GATHER {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what was added. Waits while the host does not read.
    pub(super) fn flush(&mut self) -> Result<(), PipeError> {
        if !self.buffer.is_empty() {
            self.output.write_all(&self.buffer)?;
            self.output.flush()?;
            self.buffer.clear();
            self.buffer.shrink_to(GATHER);
        }
        Ok(())
    }
}
