//! From bytes to frames, under a session's limits.

use bytes::BytesMut;
use computepool_core::{Activation, FaultCode, GenerationId, HopFrame};

use super::encode::type_byte;
use super::{
    ACTIVATION_HEAD, FLAG_SAMPLE, FrameError, FrameLimits, GENERATION_BYTES, MAGIC, MAX_CODE_BYTES, MAX_WARM_BYTES,
    PREFIX_BYTES, Prefix, TOKEN_BODY, VERSION, kind,
};

/// Room for the longest part that is read before, or instead of, numbers: an abort.
const HEAD_ROOM: usize = GENERATION_BYTES + MAX_CODE_BYTES;

/// A frame decoder that does no I/O. Fill [`Decoder::space`] with what arrives and say how much with
/// [`Decoder::filled`]; numbers are read straight into the buffer they stay in. After an error it decodes nothing more.
#[derive(Debug)]
pub struct Decoder {
    limits: FrameLimits,
    part: Part,
    head: [u8; HEAD_ROOM],
    body: BytesMut,
    filled: usize,
    first: bool,
}

/// Which part of a frame is being filled.
#[derive(Clone, Debug)]
enum Part {
    Prefix,
    Head(Prefix),
    ActivationHead { sample: bool, numbers: usize },
    Numbers(ActivationHead),
    Warm,
    Failed(FrameError),
}

/// An activation's fixed fields, checked.
#[derive(Clone, Copy, Debug)]
struct ActivationHead {
    generation: GenerationId,
    position: u32,
    rows: u32,
    sample: bool,
}

impl Decoder {
    /// A decoder at the start of a lane, after the hello.
    pub fn new(limits: FrameLimits) -> Self {
        Self { limits, part: Part::Prefix, head: [0; HEAD_ROOM], body: BytesMut::new(), filled: 0, first: true }
    }

    /// Where the next bytes belong; empty only after an error. No frame ever makes it longer than
    /// [`FrameLimits::max_activation_bytes`] (or [`MAX_WARM_BYTES`]).
    pub fn space(&mut self) -> &mut [u8] {
        let filled = self.filled;
        match &self.part {
            Part::Prefix => &mut self.head[filled..PREFIX_BYTES],
            Part::Head(prefix) => &mut self.head[filled..prefix.len()],
            Part::ActivationHead { .. } => &mut self.head[filled..ACTIVATION_HEAD],
            Part::Numbers(_) | Part::Warm => &mut self.body[filled..],
            Part::Failed(_) => &mut [],
        }
    }

    /// Takes note of `n` bytes written to [`Decoder::space`]; gives the frame that they complete, if any.
    pub fn filled(&mut self, n: usize) -> Result<Option<HopFrame>, FrameError> {
        let result = self.step(n);
        if let Err(error) = &result {
            self.part = Part::Failed(error.clone());
            self.body = BytesMut::new();
        }
        result
    }

    /// Whether the stream may end here: `truncated` inside a frame, the earlier error after an error.
    pub fn end(&self) -> Result<(), FrameError> {
        let expected = match &self.part {
            Part::Prefix if self.filled == 0 => return Ok(()),
            Part::Prefix => PREFIX_BYTES,
            Part::Head(prefix) => prefix.len(),
            Part::ActivationHead { .. } => ACTIVATION_HEAD,
            Part::Numbers(_) | Part::Warm => self.body.len(),
            Part::Failed(error) => return Err(error.clone()),
        };
        Err(FrameError::Truncated { got: self.filled, expected })
    }

    fn step(&mut self, n: usize) -> Result<Option<HopFrame>, FrameError> {
        if let Part::Failed(error) = &self.part {
            return Err(error.clone());
        }
        let room = self.space().len();
        self.filled += n.min(room);
        if n < room {
            return Ok(None);
        }
        self.filled = 0;
        match std::mem::replace(&mut self.part, Part::Prefix) {
            Part::Prefix => self.on_prefix().map(|()| None),
            Part::Head(prefix) => self.on_head(prefix).map(Some),
            Part::ActivationHead { sample, numbers } => self.on_activation_head(sample, numbers).map(|()| None),
            Part::Numbers(head) => self.on_numbers(head).map(Some),
            Part::Warm => {
                self.body = BytesMut::new();
                Ok(None)
            }
            Part::Failed(error) => Err(error),
        }
    }

    fn on_prefix(&mut self) -> Result<(), FrameError> {
        let mut bytes = [0; PREFIX_BYTES];
        bytes.copy_from_slice(&self.head[..PREFIX_BYTES]);
        let prefix = Prefix::parse(&bytes, MAGIC, VERSION)?;
        let first = std::mem::replace(&mut self.first, false);
        let known_flags = if prefix.kind == kind::ACTIVATION { FLAG_SAMPLE } else { 0 };
        let (min, max) = match prefix.kind {
            kind::ACTIVATION => (ACTIVATION_HEAD + 1, u32::MAX as usize),
            kind::TOKEN => (TOKEN_BODY, TOKEN_BODY),
            kind::ABORT => (GENERATION_BYTES + 1, HEAD_ROOM),
            kind::WARM if first => (0, MAX_WARM_BYTES),
            got => return Err(FrameError::Kind { got }),
        };
        if !self.limits.carries(prefix.kind) {
            return Err(FrameError::Lane { got: prefix.kind, lane: self.limits.lane });
        }
        if prefix.flags & !known_flags != 0 {
            return Err(FrameError::Flags { kind: prefix.kind, got: prefix.flags });
        }
        if prefix.len() < min || prefix.len() > max {
            return Err(FrameError::Length { kind: prefix.kind, min, max, got: prefix.len() });
        }
        self.part = match prefix.kind {
            kind::ACTIVATION => {
                let numbers = prefix.len() - ACTIVATION_HEAD;
                if numbers as u64 > self.limits.max_activation_bytes {
                    return Err(FrameError::Oversize { got: numbers as u64, limit: self.limits.max_activation_bytes });
                }
                Part::ActivationHead { sample: prefix.flags & FLAG_SAMPLE != 0, numbers }
            }
            kind::WARM if prefix.length == 0 => Part::Prefix,
            kind::WARM => {
                self.body = BytesMut::zeroed(prefix.len());
                Part::Warm
            }
            _ => Part::Head(prefix),
        };
        Ok(())
    }

    fn on_head(&mut self, prefix: Prefix) -> Result<HopFrame, FrameError> {
        let generation = self.generation();
        if prefix.kind == kind::TOKEN {
            let (position, id) = (self.u32_at(16), self.u32_at(20));
            self.check_position(position, 0)?;
            return Ok(HopFrame::Token { generation, position, id });
        }
        let text = &self.head[GENERATION_BYTES..prefix.len()];
        let code = FaultCode::ALL.iter().find(|code| code.as_str().as_bytes() == text);
        Ok(HopFrame::Abort { generation, code: *code.ok_or(FrameError::Code)? })
    }

    fn on_activation_head(&mut self, sample: bool, numbers: usize) -> Result<(), FrameError> {
        let (position, rows, hidden) = (self.u32_at(16), self.u32_at(20), self.u32_at(24));
        let limits = &self.limits;
        if rows == 0 || rows > limits.max_rows {
            return Err(FrameError::Rows { got: rows, limit: limits.max_rows });
        }
        if hidden != limits.hidden {
            return Err(FrameError::Hidden { expected: limits.hidden, got: hidden });
        }
        if self.head[28] != type_byte(limits.activation) {
            return Err(FrameError::Type { expected: limits.activation, got: self.head[28] });
        }
        if self.head[29..ACTIVATION_HEAD] != [0; 3] {
            return Err(FrameError::Reserved);
        }
        let expected = (u64::from(rows) * u64::from(hidden)).saturating_mul(limits.activation.width() as u64);
        if expected != numbers as u64 {
            return Err(FrameError::Size { rows, hidden, expected, got: numbers as u64 });
        }
        self.check_position(position, rows)?;
        self.body = BytesMut::zeroed(numbers);
        self.part = Part::Numbers(ActivationHead { generation: self.generation(), position, rows, sample });
        Ok(())
    }

    fn on_numbers(&mut self, head: ActivationHead) -> Result<HopFrame, FrameError> {
        let ActivationHead { generation, position, rows, sample } = head;
        let data = std::mem::take(&mut self.body).freeze();
        // Checked field by field already; kept as an error so that the two can never drift apart silently.
        let hidden = Activation::new(rows, self.limits.hidden, self.limits.activation, data)
            .map_err(|fault| FrameError::Content(fault.message))?;
        Ok(HopFrame::Activation { generation, position, sample, hidden })
    }

    fn check_position(&self, position: u32, rows: u32) -> Result<(), FrameError> {
        let limit = self.limits.max_context;
        match position.checked_add(rows) {
            Some(end) if end <= limit => Ok(()),
            _ => Err(FrameError::Position { position, rows, limit }),
        }
    }

    fn generation(&self) -> GenerationId {
        let mut id = [0; GENERATION_BYTES];
        id.copy_from_slice(&self.head[..GENERATION_BYTES]);
        GenerationId(id)
    }

    fn u32_at(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.head[at..at + 4]);
        u32::from_le_bytes(bytes)
    }
}

/// Decodes a whole input that arrives in pieces of at most `piece` bytes: the frames it holds, and how it ended. This is
/// what the fuzz target and the mutation tests drive.
pub fn decode_all(limits: FrameLimits, input: &[u8], piece: usize) -> (Vec<HopFrame>, Result<(), FrameError>) {
    let mut decoder = Decoder::new(limits);
    let mut frames = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let space = decoder.space();
        let n = space.len().min(rest.len()).min(piece.max(1));
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        match decoder.filled(n) {
            Ok(frame) => frames.extend(frame),
            Err(error) => return (frames, Err(error)),
        }
    }
    (frames, decoder.end())
}
