//! The link ports: lanes between neighbours, and the control link between a node and its orchestrator.

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::control::{NodeMessage, OrchestratorMessage};
use crate::{Fault, HopFrame, Lane, NodeId, RouteTicket, SessionId, SignedTicket};

/// Lanes to and from neighbours. A lane exists only under a ticket, and ends with it.
pub trait Links: Send + Sync {
    /// Opens a lane to `to` under `ticket`, dialling if needed. The returned sender is the lane's only writer.
    fn open<'a>(
        &'a self,
        signed: &'a SignedTicket,
        ticket: &'a RouteTicket,
        to: &'a NodeId,
        lane: Lane,
    ) -> BoxFuture<'a, Result<Box<dyn LaneSender>, Fault>>;
}

/// The writing end of a lane. Dropping it ends the lane.
pub trait LaneSender: Send {
    /// Writes one frame and flushes it; returns once the link has taken it. Waits while the neighbour reads slowly and
    /// fails with `stalled` when it stops reading.
    fn send<'a>(&'a mut self, frame: HopFrame) -> BoxFuture<'a, Result<(), Fault>>;
}

/// The reading end of a lane that a neighbour opened, already checked against its ticket.
pub struct IncomingLane {
    /// In which session.
    pub session: SessionId,
    /// From whom.
    pub from: NodeId,
    /// Which.
    pub lane: Lane,
    /// The ticket it was opened under, verified.
    pub ticket: RouteTicket,
    /// Checked frames; ends after the first error, or when the neighbour closes. Not polling it is what slows the
    /// neighbour down.
    pub frames: BoxStream<'static, Result<HopFrame, Fault>>,
}

/// The orchestrator's end of all its control links.
pub trait ControlServer: Send + Sync {
    /// Queues a message for a node; `false` when it is not connected or its queue is full, in which case it is being
    /// disconnected.
    fn send(&self, node: &NodeId, message: OrchestratorMessage) -> bool;
    /// Ends a node's link; its `Disconnected` follows.
    fn disconnect(&self, node: &NodeId);
}

/// What happens on an orchestrator's control links.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlEvent {
    /// A node opened its link.
    Connected(NodeId),
    /// A node said something.
    Message(NodeId, Box<NodeMessage>),
    /// The link is gone.
    Disconnected(NodeId),
}
