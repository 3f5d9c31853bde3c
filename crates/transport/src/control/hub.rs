//! The orchestrator's end of all its control links.

use std::sync::Arc;

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::ports::{ControlEvent, ControlServer};
use computepool_core::{Fault, FaultCode, NodeId};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::nodes::{Added, LinkNumber, Nodes};
use super::{ControlOptions, PROTOCOL, codec, link};
use crate::swarm::{Inbound, Network, Stream, authenticated};

/// Takes the control links of all nodes. Implements [`ControlServer`]; what happens comes out of the stream that
/// [`ControlHub::start`] gives.
///
/// For every link there is one `Connected`, then its messages, then one `Disconnected`. A node that links again first has
/// its older link ended: the older `Disconnected` comes before the newer `Connected`. Messages sent before the
/// newer `Connected` was taken from the stream go to neither.
#[derive(Clone, Debug)]
pub struct ControlHub {
    nodes: Arc<Nodes>,
}

impl ControlHub {
    /// Starts taking links on `network`; one hub per network. Dropping the stream of events ends it with every link.
    pub async fn start(
        network: &Network,
        options: ControlOptions,
    ) -> Result<(Self, BoxStream<'static, ControlEvent>), Fault> {
        let inbound = network.accept(PROTOCOL).await?;
        let nodes = Arc::new(Nodes::new(options.max_links));
        let (events, taken) = mpsc::channel(options.events.max(1));
        let actor = HubActor { inbound, options, nodes: Arc::clone(&nodes), events, links: JoinSet::new() };
        let span = tracing::info_span!("control hub", node = %network.node());
        tokio::spawn(actor.run().instrument(span));
        let activating = Arc::clone(&nodes);
        let events = stream::unfold((taken, activating), |(mut taken, nodes)| async move {
            let HubEvent { number, event } = taken.recv().await?;
            if let ControlEvent::Connected(node) = &event {
                nodes.activate(node, number);
            }
            Some((event, (taken, nodes)))
        });
        Ok((Self { nodes }, events.boxed()))
    }
}

impl ControlServer for ControlHub {
    fn send(&self, node: &NodeId, message: OrchestratorMessage) -> bool {
        match codec::message(&message) {
            Ok(bytes) => self.nodes.send(node, bytes),
            Err(error) => {
                tracing::error!(%node, %error, "a message cannot be sent; disconnecting the node it was for");
                self.nodes.end(node, error.into());
                false
            }
        }
    }

    fn disconnect(&self, node: &NodeId) {
        self.nodes.disconnect(node);
    }
}

/// An event, and of which link.
struct HubEvent {
    number: LinkNumber,
    event: ControlEvent,
}

struct HubActor {
    inbound: mpsc::Receiver<Inbound>,
    options: ControlOptions,
    nodes: Arc<Nodes>,
    events: mpsc::Sender<HubEvent>,
    links: JoinSet<()>,
}

impl HubActor {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.events.closed() => break,
                Some(done) = self.links.join_next() => {
                    if let Err(error) = done {
                        tracing::error!(%error, "a control link was not seen through");
                    }
                }
                inbound = self.inbound.recv() => match inbound {
                    Some(inbound) => self.handle_inbound(inbound),
                    None => break,
                },
            }
        }
        self.nodes.end_all(&Fault::new(FaultCode::Draining, "the orchestrator takes no more messages"));
        while self.links.join_next().await.is_some() {}
    }

    fn handle_inbound(&mut self, Inbound { peer, stream }: Inbound) {
        let Some(node) = authenticated(&peer) else { return };
        match self.nodes.add(&node, self.options.queue) {
            Ok(added) => {
                let link = NodeLink {
                    node,
                    number: added.number,
                    nodes: Arc::clone(&self.nodes),
                    events: self.events.clone(),
                };
                self.links.spawn(link.run(stream, added, self.options).in_current_span());
            }
            Err(fault) => {
                tracing::info!(%node, code = %fault.code, "a control link was refused: {}", fault.message);
                if self.links.len() < 2 * self.options.max_links {
                    self.links.spawn(async move { link::refuse(stream, &fault).await }.in_current_span());
                }
            }
        }
    }
}

/// One node's link, seen from the hub.
struct NodeLink {
    node: NodeId,
    number: LinkNumber,
    nodes: Arc<Nodes>,
    events: mpsc::Sender<HubEvent>,
}

impl NodeLink {
    async fn run(self, stream: Stream, added: Added, options: ControlOptions) {
        let Added { outgoing, ending, finished, after, .. } = added;
        // Whatever happens below, a link that waits for this one to end must not wait for ever.
        let _finished = finished.drop_guard();
        if let Some(older) = after {
            older.cancelled().await;
        }
        self.nodes.announce(&self.node, self.number);
        let mut messages = link::start::<NodeMessage>(stream, &self.node, options, outgoing, &ending);
        let mut listening = self.tell(ControlEvent::Connected(self.node.clone())).await;
        while listening && let Some(message) = messages.recv().await {
            listening = self.tell(ControlEvent::Message(self.node.clone(), Box::new(message))).await;
        }
        ending.end(Fault::new(FaultCode::Draining, "the orchestrator takes no more messages"));
        self.nodes.remove(&self.node, self.number);
        self.tell(ControlEvent::Disconnected(self.node.clone())).await;
    }

    /// Queues an event; `false` when nobody takes them any more.
    async fn tell(&self, event: ControlEvent) -> bool {
        self.events.send(HubEvent { number: self.number, event }).await.is_ok()
    }
}
