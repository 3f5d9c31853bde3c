//! What others hold of a running orchestrator.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::{Inference, ModelStatus, NetworkStatus, Text};
use computepool_core::{ClientId, Fault, FaultCode, Generate, GenerationEvent, ModelId, ModelSummary};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::actor::Command;
use crate::{Refusal, State};

/// A cheap clone of the way to an orchestrator. When the last one is dropped, the orchestrator ends everything at once
/// and stops.
#[derive(Clone)]
pub struct OrchestratorHandle {
    commands: mpsc::Sender<Command>,
    shown: watch::Receiver<Arc<Snapshot>>,
    offers: Arc<[Offer]>,
    client_buffer: usize,
}

/// What an orchestrator shows of itself. Read without asking its task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Its nodes and their number of sessions and generations.
    pub network: NetworkStatus,
    /// For each offered model, in the order they were given, whether it is served now.
    pub available: Vec<bool>,
}

impl Snapshot {
    pub(crate) fn of(state: &State) -> Self {
        Self { network: state.network(), available: state.available() }
    }
}

/// An offered model, as far as it never changes.
pub(crate) struct Offer {
    pub(crate) summary: ModelSummary,
    pub(crate) max_context: u32,
    pub(crate) created: u64,
    pub(crate) text: Arc<dyn Text>,
}

/// A client's end of a generation. Dropping it cancels the generation.
struct Listening {
    first: Option<GenerationEvent>,
    events: mpsc::Receiver<GenerationEvent>,
    ended: bool,
    /// Its dropping is what the orchestrator notices.
    _presence: oneshot::Sender<()>,
}

impl Listening {
    async fn next(mut self) -> Option<(GenerationEvent, Self)> {
        if self.ended {
            return None;
        }
        let event = match self.first.take() {
            Some(event) => event,
            None => self.events.recv().await.unwrap_or_else(|| GenerationEvent::Failed(stopped())),
        };
        self.ended = matches!(event, GenerationEvent::Ended(_) | GenerationEvent::Failed(_));
        Some((event, self))
    }
}

fn stopped() -> Fault {
    Fault::new(FaultCode::Draining, "this orchestrator has stopped").retry_after_ms(10_000)
}

impl OrchestratorHandle {
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        shown: watch::Receiver<Arc<Snapshot>>,
        offers: Arc<[Offer]>,
        client_buffer: usize,
    ) -> Self {
        Self { commands, shown, offers, client_buffer }
    }

    /// Takes nothing new from now on, waits up to `within` for what runs, ends the rest, and lets every node leave.
    /// Returns when that is done and the orchestrator has stopped; at once if it had already. Dropping the future
    /// does not stop the drain.
    pub async fn drain(&self, within: Duration) {
        let (done, drained) = oneshot::channel();
        if self.commands.send(Command::Drain { within, done }).await.is_ok() {
            // An error means that the task ended without answering, which is what was asked for.
            let _ = drained.await;
        }
    }

    /// What the orchestrator shows of itself, now and whenever it changes. The channel closes when it stops.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.shown.clone()
    }

    async fn begin(
        &self,
        client: &ClientId,
        model: &ModelId,
        request: Generate,
    ) -> Result<BoxStream<'static, GenerationEvent>, Fault> {
        if !self.offers.iter().any(|offer| &offer.summary.id == model) {
            return Err(Refusal::Model(model.clone()).into());
        }
        // One place beside the buffer is kept for the last event.
        let (events, mut received) = mpsc::channel(self.client_buffer + 1);
        let (presence, gone) = oneshot::channel();
        let (client, model, request) = (client.clone(), model.clone(), Box::new(request));
        let ask = Command::Ask { client, model, request, events, gone };
        self.commands.send(ask).await.map_err(|_| stopped())?;
        match received.recv().await {
            None => Err(stopped()),
            Some(GenerationEvent::Failed(fault)) => Err(fault),
            first => {
                let listening = Listening { first, events: received, ended: false, _presence: presence };
                Ok(stream::unfold(listening, Listening::next).boxed())
            }
        }
    }
}

impl Inference for OrchestratorHandle {
    /// Returns once every shard has admitted the generation, or with the fault that kept it from starting. Dropping
    /// this future cancels the generation as dropping the stream does.
    fn generate<'a>(
        &'a self,
        client: &'a ClientId,
        model: &'a ModelId,
        request: Generate,
    ) -> BoxFuture<'a, Result<BoxStream<'static, GenerationEvent>, Fault>> {
        Box::pin(self.begin(client, model, request))
    }

    fn models(&self) -> Vec<(ModelStatus, Arc<dyn Text>)> {
        let snapshot = self.shown.borrow().clone();
        let status = |(index, offer): (usize, &Offer)| {
            let status = ModelStatus {
                summary: offer.summary.clone(),
                max_context: offer.max_context,
                available: snapshot.available.get(index).copied().unwrap_or(false),
                created: offer.created,
            };
            (status, offer.text.clone())
        };
        self.offers.iter().enumerate().map(status).collect()
    }

    fn status(&self) -> NetworkStatus {
        self.shown.borrow().network.clone()
    }
}
