//! Lanes: one kept raw stream per session, neighbour and direction of work, opened under a signed route ticket.
//!
//! The wire form is in [`crate::frame`]. How a lane lives:
//!
//! 1. The opener dials if needed, opens a stream on a connection of its choice (prefill prefers TCP, see
//!    [`crate::swarm`]), and writes a hello with the lane and the ticket.
//! 2. The acceptor checks issuer, signature, shape and time of the ticket, and that the *authenticated* peer at the other
//!    end may open this lane to this node. It answers with a reply, empty or with the fault.
//! 3. On the forward lanes the opener then writes a `warm` frame, so that the congestion window is open before the first
//!    activation. (A connection that stays idle loses it again; tokens follow each other fast enough.)
//! 4. Frames flow one way. Nothing is read ahead of the consumer but what the connection's own window holds, so that a
//!    slow consumer slows its neighbour, and a consumer that stops makes it fail with `stalled`.
//! 5. The first frame that is not as the ticket says, the ticket's end, and a newer stream for the same lane all end the
//!    lane; the opener is told which before the stream is reset.
//!
//! **A second stream for the same session, peer and lane replaces the first**, which ends with `link_lost`: a neighbour
//! whose connection broke may come back before this side has noticed, and nobody else can ask, for peers are
//! authenticated.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::{Clock, IncomingLane, LaneSender, Links};
use computepool_core::{Fault, Lane, NodeId, RouteTicket, SignedTicket};
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::frame::MAX_ACTIVATION_BYTES;
use crate::swarm::Network;

mod accept;
mod open;
mod reader;
mod registry;
mod reply;
mod sender;

/// How lanes are opened and written.
#[derive(Clone, Copy, Debug)]
pub struct LaneOptions {
    /// How long opening may take once connected: stream, hello and reply.
    pub open_timeout: Duration,
    /// How long a write may make no progress before the lane fails with `stalled`.
    pub stall: Duration,
    /// Bytes written at set-up to open the congestion window; 0 for none.
    pub warm_bytes: usize,
}

impl Default for LaneOptions {
    fn default() -> Self {
        Self { open_timeout: Duration::from_secs(10), stall: Duration::from_secs(10), warm_bytes: 32 * 1024 }
    }
}

/// What an acceptor puts up with.
#[derive(Clone, Copy, Debug)]
pub struct AcceptLimits {
    /// How long a peer may take to say its hello.
    pub hello_timeout: Duration,
    /// Hellos under way in all; further streams are reset at once.
    pub max_pending: usize,
    /// Hellos under way of one peer; further streams of it are reset at once.
    pub max_pending_per_peer: usize,
    /// Lanes open in all; more are refused with `no_capacity`.
    pub max_lanes: usize,
    /// Lanes open of one peer; more are refused with `no_capacity`.
    pub max_lanes_per_peer: usize,
    /// Bytes of numbers in one frame, where the ticket allows more.
    pub max_activation_bytes: u64,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(5),
            max_pending: 512,
            max_pending_per_peer: 64,
            max_lanes: 2048,
            max_lanes_per_peer: 1024,
            max_activation_bytes: MAX_ACTIVATION_BYTES,
        }
    }
}

/// The lanes of one node: implements [`Links`], and accepts what neighbours open.
#[derive(Clone, Debug)]
pub struct HopLinks {
    network: Network,
    options: LaneOptions,
}

impl HopLinks {
    /// Lanes over `network`.
    pub fn new(network: Network, options: LaneOptions) -> Self {
        Self { network, options }
    }

    /// The lanes that neighbours open to this node under tickets of `trusted`. A network has one acceptor at a time;
    /// dropping the stream ends it and frees its place, while lanes already taken from it live on.
    ///
    /// The stream must be polled: while it is not, hellos time out.
    pub async fn accept(
        &self,
        trusted: NodeId,
        clock: Arc<dyn Clock>,
        limits: AcceptLimits,
    ) -> Result<BoxStream<'static, IncomingLane>, Fault> {
        accept::start(&self.network, trusted, clock, limits).await
    }
}

impl Links for HopLinks {
    fn open<'a>(
        &'a self,
        signed: &'a SignedTicket,
        ticket: &'a RouteTicket,
        to: &'a NodeId,
        lane: Lane,
    ) -> BoxFuture<'a, Result<Box<dyn LaneSender>, Fault>> {
        Box::pin(open::open(&self.network, self.options, signed, ticket, to, lane))
    }
}
