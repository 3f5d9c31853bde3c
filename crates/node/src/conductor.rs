//! What the orchestrator says, and the node's own clockwork. Each message is handled without waiting; what takes time
//! runs in tasks of its own.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::GenerationId;
use computepool_core::control::{NodeMessage, OrchestratorMessage};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::node::ExitReason;
use crate::plane::Plane;
use crate::shard::Order;
use crate::shared::lock;
use crate::{admission, opening};

pub(crate) struct Conductor {
    pub(crate) plane: Arc<Plane>,
    pub(crate) control: BoxStream<'static, OrchestratorMessage>,
    pub(crate) wanted: watch::Sender<Option<Order>>,
    /// By when it is to have ended in order, once somebody asked for that; the moment may be moved forward.
    pub(crate) drain: watch::Receiver<Option<Instant>>,
    /// Nobody holds the node any more.
    pub(crate) abandoned: CancellationToken,
}

impl Conductor {
    /// Runs until there is a reason to end.
    pub(crate) async fn run(mut self) -> ExitReason {
        let plane = self.plane.clone();
        let mut sweep = tokio::time::interval(plane.options.sweep.max(Duration::from_millis(1)));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deadline = Instant::now();
        loop {
            let told = async {
                match self.drain.changed().await {
                    Ok(()) => (),
                    // Its sender goes with the handle, which says so itself.
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.abandoned.cancelled() => return ExitReason::Abandoned,
                () = plane.engine_gone.cancelled() => return ExitReason::EngineGone,
                () = plane.outbox.lost.cancelled() => {
                    return if plane.outbox.is_closed() { ExitReason::ControlLost } else { ExitReason::ControlStalled };
                }
                () = told => {
                    deadline = self.drain.borrow().unwrap_or(deadline);
                    if !plane.is_draining() {
                        plane.drain();
                        plane.outbox.say(NodeMessage::Draining);
                    }
                }
                () = idle(&plane, deadline), if plane.is_draining() => return ExitReason::Shutdown,
                _ = sweep.tick() => plane.sweep(),
                message = self.control.next() => match message {
                    Some(OrchestratorMessage::Leave) => return ExitReason::Left,
                    Some(message) => self.handle(message),
                    None => return ExitReason::ControlLost,
                },
            }
        }
    }

    fn handle(&self, message: OrchestratorMessage) {
        match message {
            OrchestratorMessage::Assign { assignment, spec, source } => {
                let order = Order { assignment, spec, source: source.map(Arc::new) };
                *lock(&self.plane.order) = Some(order.clone());
                self.wanted.send_replace(Some(order));
            }
            OrchestratorMessage::OpenSession { ticket } => opening::open(&self.plane, ticket),
            OrchestratorMessage::CloseSession { session } => self.plane.close_session(session),
            OrchestratorMessage::OpenGeneration { session, generation, part } => {
                admission::open(&self.plane, session, generation, part);
            }
            OrchestratorMessage::Begin { generation } => self.handle_begin(generation),
            OrchestratorMessage::CloseGeneration { generation } => self.handle_close_generation(generation),
            OrchestratorMessage::Ping { nonce } => self.plane.outbox.say(NodeMessage::Pong { nonce }),
            // Whoever wraps the node measures, and says so in the next advert.
            OrchestratorMessage::Probe { .. } => {}
            other => tracing::warn!(?other, "the orchestrator said something unknown"),
        }
    }

    fn handle_begin(&self, id: GenerationId) {
        let Some(generation) = self.plane.generation(id) else { return };
        match generation.begin() {
            Ok(true) => generation.begun.notify_one(),
            Ok(false) => {}
            Err(fault) => self.plane.fail_here(&generation, fault),
        }
    }

    fn handle_close_generation(&self, id: GenerationId) {
        match self.plane.generation(id) {
            Some(generation) => self.plane.close(&generation),
            None => self.plane.close_unknown(id),
        }
    }
}

/// Waits until no generation is left, or the patience is at its end.
async fn idle(plane: &Plane, deadline: Instant) {
    let mut status = plane.status.subscribe();
    let idle = status.wait_for(|status| status.generations == 0);
    // Both outcomes end the drain.
    let _ = tokio::time::timeout_at(deadline, idle).await;
}
