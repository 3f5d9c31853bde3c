//! What a session allows on one lane.

use computepool_core::{ActivationType, Lane, RouteTicket};

use super::kind;

/// No frame carries more bytes of numbers than this, whatever a ticket says.
pub const MAX_ACTIVATION_BYTES: u64 = 64 * 1024 * 1024;

/// What a frame may be: taken from the ticket that opened the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Which lane: activations travel forward, tokens travel back, an abort goes anywhere.
    pub lane: Lane,
    /// Bytes of numbers in one frame.
    pub max_activation_bytes: u64,
    /// Rows in one frame.
    pub max_rows: u32,
    /// Width of every row.
    pub hidden: u32,
    /// How numbers are stored.
    pub activation: ActivationType,
    /// Tokens in one sequence; no position lies beyond.
    pub max_context: u32,
}

impl FrameLimits {
    /// The limits of `lane` under `ticket`, with no more than `cap` bytes of numbers per frame.
    pub fn of(ticket: &RouteTicket, lane: Lane, cap: u64) -> Self {
        // Not `RouteTicket::max_activation_bytes`: a ticket is trusted but may still be wrong, and must not overflow.
        let row = u64::from(ticket.hidden).saturating_mul(ticket.activation.width() as u64);
        let whole = u64::from(ticket.limits.max_rows).saturating_mul(row);
        Self {
            lane,
            max_activation_bytes: whole.min(cap).min(MAX_ACTIVATION_BYTES),
            max_rows: ticket.limits.max_rows,
            hidden: ticket.hidden,
            activation: ticket.activation,
            max_context: ticket.limits.max_context,
        }
    }

    pub(super) fn carries(&self, frame: u8) -> bool {
        match self.lane {
            Lane::Prefill | Lane::Decode => frame != kind::TOKEN,
            Lane::Return => frame != kind::ACTIVATION,
        }
    }
}
