//! Starting and ending a node.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use computepool_core::NodeId;
use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::ports::{Clock, IncomingLane, Links, Signer, Verifier, Weights};
use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::conductor::Conductor;
use crate::errands::Errand;
use crate::options::NodeOptions;
use crate::outbox::Outbox;
use crate::plane::Plane;
use crate::shared::{Feed, SharedEngine};
use crate::snapshot::NodeSnapshot;
use crate::{dispatcher, errands, lane_in, shard};

/// What a node is made of.
pub struct NodeParts {
    /// Signs receipts; its peer id is the node's.
    pub identity: Arc<dyn Signer>,
    /// Checks route tickets.
    pub verifier: Arc<dyn Verifier>,
    /// Tells when tickets expire.
    pub clock: Arc<dyn Clock>,
    /// The orchestrator whose tickets count.
    pub issuer: NodeId,
    /// The engine; keep it to start the next node around it.
    pub engine: Arc<SharedEngine>,
    /// Opens lanes to neighbours.
    pub links: Arc<dyn Links>,
    /// Lanes that neighbours open; keep it to start the next node with it.
    pub lanes: Feed<IncomingLane>,
    /// Asked before a shard is loaded, whether or not its weights have to be fetched: it must know what is on the disk
    /// already. Without it the engine finds them there, or does not.
    pub weights: Option<Arc<dyn Weights>>,
    /// To the orchestrator. Closed when the node has ended.
    pub control_out: mpsc::Sender<NodeMessage>,
    /// From the orchestrator. The node ends when it ends.
    pub control_in: BoxStream<'static, OrchestratorMessage>,
    /// Said first: [`NodeMessage::Hello`].
    pub hello: NodeMessage,
    /// Bounds and patience.
    pub options: NodeOptions,
}

/// Why a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// The control link ended: connect again and start the next node.
    ControlLost,
    /// The orchestrator stopped reading: connect again and start the next node.
    ControlStalled,
    /// The orchestrator told it to leave.
    Left,
    /// It was asked to, and drained.
    Shutdown,
    /// The engine's events ended: it will not come back.
    EngineGone,
    /// Its handle was dropped.
    Abandoned,
    /// A bug: one of its tasks panicked.
    Panicked,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlLost => "the link to the orchestrator was lost",
            Self::ControlStalled => "the orchestrator stopped listening",
            Self::Left => "the orchestrator dismissed it",
            Self::Shutdown => "it was shut down",
            Self::EngineGone => "its engine is gone",
            Self::Abandoned => "nobody held it any more",
            Self::Panicked => "it failed from within",
        })
    }
}

/// One operator's machine in the network.
pub struct Node;

/// A running node. Dropping it closes everything at once, without waiting.
pub struct NodeHandle {
    status: watch::Receiver<NodeSnapshot>,
    drain: watch::Sender<Option<Instant>>,
    patience: Duration,
    task: Option<JoinHandle<ExitReason>>,
    exit: ExitReason,
    _held: DropGuard,
}

impl Node {
    /// Starts a node on the current tokio runtime: says hello, frees what an earlier node left open on the engine, and
    /// serves. Only one node at a time reads a [`SharedEngine`]; a second one waits until the first has ended.
    pub fn start(parts: NodeParts) -> NodeHandle {
        let outbox = Outbox::new(parts.control_out, parts.options.control_backlog.max(1));
        let patience = parts.options.drain_patience;
        let plane = Arc::new(Plane::new(
            parts.identity,
            parts.verifier,
            parts.clock,
            parts.issuer,
            parts.engine,
            parts.links,
            parts.weights,
            outbox,
            parts.options,
        ));
        plane.outbox.say(parts.hello);
        for generation in plane.engine.leftovers() {
            plane.errands.push(Errand::Leftover(generation));
        }
        let (wanted, assigned) = watch::channel(None);
        spawn(&plane, |plane| async move { dispatcher::run(&plane).await });
        spawn(&plane, |plane| async move { errands::run(&plane).await });
        spawn(&plane, |plane| async move { plane.outbox.run().await });
        spawn(&plane, |plane| async move { lane_in::accept(&plane, parts.lanes).await });
        spawn(&plane, |plane| async move { shard::run(&plane, assigned).await });

        let (drain, draining) = watch::channel(None);
        let abandoned = CancellationToken::new();
        let status = plane.status.subscribe();
        let conductor = Conductor {
            plane: plane.clone(),
            control: parts.control_in,
            wanted,
            drain: draining,
            abandoned: abandoned.clone(),
        };
        let task = tokio::spawn(async move {
            let reason = conductor.run().await;
            tracing::info!(%reason, "the node ends");
            end(&plane, reason).await;
            reason
        });
        let held = abandoned.drop_guard();
        NodeHandle { status, drain, patience, task: Some(task), exit: ExitReason::Panicked, _held: held }
    }
}

/// Runs a task until the node stops.
fn spawn<F>(plane: &Arc<Plane>, task: impl FnOnce(Arc<Plane>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (stop, task) = (plane.stop.clone(), task(plane.clone()));
    plane.tasks.spawn(async move { stop.run_until_cancelled_owned(task).await });
}

/// Closes what is open, sees the KV freed, and ends every task.
async fn end(plane: &Arc<Plane>, reason: ExitReason) {
    plane.drain();
    plane.close_all();
    let patience = plane.options.close_patience;
    if reason != ExitReason::EngineGone {
        let mut status = plane.status.subscribe();
        let freed = tokio::time::timeout(patience, status.wait_for(|status| status.generations == 0)).await;
        if freed.is_err() {
            tracing::warn!(left = plane.engine.open_generations(), "the engine has not freed everything in time");
        }
    }
    if matches!(reason, ExitReason::Left | ExitReason::Shutdown) {
        // What was not taken in that time is not wanted.
        let _ = tokio::time::timeout(patience, plane.outbox.flushed()).await;
    }
    plane.stop.cancel();
    plane.tasks.close();
    plane.tasks.wait().await;
}

impl NodeHandle {
    /// The node's state, as it changes.
    pub fn status(&self) -> watch::Receiver<NodeSnapshot> {
        self.status.clone()
    }

    /// Asks for an orderly end: nothing new is taken, what runs may finish within the patience of the options. Returns at
    /// once.
    pub fn drain(&self) {
        self.drain_within(self.patience);
    }

    /// The same within a patience of its own. Asked again, the shorter one counts.
    pub fn drain_within(&self, patience: Duration) {
        let wanted = Instant::now() + patience;
        self.drain.send_if_modified(|until| {
            let sooner = until.is_none_or(|until| wanted < until);
            if sooner {
                *until = Some(wanted);
            }
            sooner
        });
    }

    /// Waits until the node has ended: all sessions and generations closed, all tasks done, the engine and the lanes
    /// free for the next node.
    pub async fn wait(&mut self) -> ExitReason {
        if let Some(task) = &mut self.task {
            self.exit = task.await.unwrap_or(ExitReason::Panicked);
            self.task = None;
        }
        self.exit
    }

    /// [`Self::drain`] and [`Self::wait`].
    pub async fn shutdown(mut self) -> ExitReason {
        self.drain();
        self.wait().await
    }
}
