//! Why bytes were not a frame.

use computepool_core::{ActivationType, Fault, FaultCode, Lane};

/// Why a frame was refused. The stream it came on is of no further use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes do not start a frame.
    #[error("a frame starts with {expected:02x?}, not {got:02x?}")]
    Magic {
        /// What every frame starts with.
        expected: [u8; 4],
        /// What came.
        got: [u8; 4],
    },
    /// Another version of the layout.
    #[error("the frame has version {got}, this node speaks version {expected}")]
    Version {
        /// What this node speaks.
        expected: u8,
        /// What came.
        got: u8,
    },
    /// No such kind of frame, or none that belongs here.
    #[error("a frame of kind {got} does not belong here")]
    Kind {
        /// What came.
        got: u8,
    },
    /// The kind is known but travels on other lanes.
    #[error("a frame of kind {got} does not belong on the {lane:?} lane")]
    Lane {
        /// What came.
        got: u8,
        /// On which lane.
        lane: Lane,
    },
    /// Flags that mean nothing.
    #[error("a frame of kind {kind} has unknown flags {got:#06x}")]
    Flags {
        /// The frame's kind.
        kind: u8,
        /// Its flags.
        got: u16,
    },
    /// A kind of frame with another length than it can have.
    #[error("a frame of kind {kind} has {min} to {max} bytes, this one announces {got}")]
    Length {
        /// The frame's kind.
        kind: u8,
        /// The least that it can announce.
        min: usize,
        /// The most that it can announce.
        max: usize,
        /// What it announces.
        got: usize,
    },
    /// More bytes than allowed.
    #[error("the frame announces {got} bytes, {limit} are allowed")]
    Oversize {
        /// What it announces.
        got: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Too many rows, or none.
    #[error("the activation has {got} rows, 1 to {limit} are allowed")]
    Rows {
        /// What it announces.
        got: u32,
        /// What the ticket allows.
        limit: u32,
    },
    /// Another width than the route's.
    #[error("the activation is {got} wide, the route's hidden size is {expected}")]
    Hidden {
        /// The ticket's.
        expected: u32,
        /// The frame's.
        got: u32,
    },
    /// Another type than the route's.
    #[error("the activation has type {got}, the route uses {expected:?}")]
    Type {
        /// The ticket's.
        expected: ActivationType,
        /// The frame's type byte.
        got: u8,
    },
    /// Rows, width and type do not make up the announced length.
    #[error("{rows} rows of {hidden} numbers take {expected} bytes, the frame announces {got}")]
    Size {
        /// The frame's rows.
        rows: u32,
        /// The frame's width.
        hidden: u32,
        /// What they take.
        expected: u64,
        /// What was announced.
        got: u64,
    },
    /// A position outside every sequence of the session.
    #[error("position {position} + {rows} is past the session's {limit} tokens")]
    Position {
        /// The first row's position.
        position: u32,
        /// How many rows follow.
        rows: u32,
        /// Tokens in one sequence.
        limit: u32,
    },
    /// Bytes that are kept zero are not.
    #[error("reserved bytes of the frame are not zero")]
    Reserved,
    /// An abort whose reason is no fault code.
    #[error("an abort gives no known reason")]
    Code,
    /// The content of a hello, a reply or a control message cannot be read.
    #[error("the content of the frame cannot be read: {0}")]
    Content(String),
    /// The stream ended inside a frame. This is how a broken connection looks, so it counts as a lost link.
    #[error("the stream ended inside a frame, after {got} bytes of {expected}")]
    Truncated {
        /// What came of the part being read.
        got: usize,
        /// What the part should have had.
        expected: usize,
    },
}

impl FrameError {
    /// The fault code it becomes.
    pub fn code(&self) -> FaultCode {
        match self {
            Self::Oversize { .. } => FaultCode::OversizeFrame,
            Self::Rows { .. } | Self::Hidden { .. } | Self::Type { .. } | Self::Size { .. } | Self::Position { .. } => {
                FaultCode::WrongShape
            }
            Self::Truncated { .. } => FaultCode::LinkLost,
            _ => FaultCode::BadFrame,
        }
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        Fault::new(error.code(), error.to_string())
    }
}
