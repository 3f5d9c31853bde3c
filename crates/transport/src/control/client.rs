//! The node's end of its control link.

use std::sync::Arc;

use bytes::Bytes;
use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{Fault, FaultCode, NodeId};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;

use super::link::{self, Ending};
use super::{ControlOptions, PROTOCOL, codec};
use crate::swarm::{Network, Prefer, Transport};

/// Connects a node to its orchestrator.
#[derive(Clone, Copy, Debug)]
pub struct ControlClient;

impl ControlClient {
    /// Opens a link to `orchestrator` at one of `addresses`, dialling if needed.
    ///
    /// The stream of messages ends when the link does; [`ControlSender::ended`] then says why. A link is not opened
    /// again by itself: connect anew, after a pause. The link also ends when the stream or every sender is dropped.
    pub async fn connect(
        network: &Network,
        orchestrator: &NodeId,
        addresses: &[String],
        options: ControlOptions,
    ) -> Result<(ControlSender, BoxStream<'static, OrchestratorMessage>), Fault> {
        // TCP tells at once when the other process is gone; over QUIC it takes until the pings are missed.
        let prefer = Prefer::Over(Transport::Tcp);
        let stream = network.open(orchestrator, addresses, PROTOCOL, prefer).await?;
        let (queue, outgoing) = mpsc::channel(options.queue.max(1));
        let ending = Arc::new(Ending::default());
        let messages = link::start(stream, orchestrator, options, outgoing, &ending);
        let messages = stream::unfold(messages, |mut messages| async move { Some((messages.recv().await?, messages)) });
        Ok((ControlSender { queue, ending }, messages.boxed()))
    }
}

/// Queues messages for the orchestrator. Clones share the link.
#[derive(Clone, Debug)]
pub struct ControlSender {
    queue: mpsc::Sender<Bytes>,
    ending: Arc<Ending>,
}

impl ControlSender {
    /// Queues a message, waiting while the queue is full. Fails with the reason why the link ended, or with
    /// `oversize_frame` when the message is longer than messages may be.
    pub async fn send(&self, message: &NodeMessage) -> Result<(), Fault> {
        let bytes = codec::message(message)?;
        tokio::select! {
            biased;
            () = self.ending.ended() => Err(self.gone()),
            sent = self.queue.send(bytes) => sent.map_err(|_| self.gone()),
        }
    }

    /// Queues a message if there is room now; `no_capacity` when there is not, otherwise fails like [`Self::send`].
    pub fn try_send(&self, message: &NodeMessage) -> Result<(), Fault> {
        let bytes = codec::message(message)?;
        if self.ended().is_some() {
            return Err(self.gone());
        }
        self.queue.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Fault::new(FaultCode::NoCapacity, "the orchestrator takes messages too slowly").retry_after_ms(100)
            }
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })
    }

    /// Why the link ended; `None` while it lives.
    pub fn ended(&self) -> Option<Fault> {
        self.ending.reason()
    }

    fn gone(&self) -> Fault {
        self.ended().unwrap_or_else(|| Fault::new(FaultCode::LinkLost, "the control link has ended"))
    }
}
