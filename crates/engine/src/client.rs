//! The host's side of the engine process: starts it, watches it, and starts it again when it dies.
//!
//! A process holds one shard for its whole life: another shard is loaded by another process, so that all memory of the
//! first is given back for certain. When a process is lost (it exits, is killed, hangs, or says something that is no
//! frame), [`EngineEvent::Down`] says how it died, a new one is started at once with the same shard, and
//! [`EngineEvent::Ready`] follows. Where one loss follows quickly upon another, starting again waits longer each time, and
//! is given up in the end; a new [`Engine::load`] tries again.
//!
//! A model is timed by a process of its own too, while no other runs; a load that comes meanwhile calls it off.

mod death;
mod environment;
mod lane;
mod launch;
mod process;
mod snapshot;
mod supervisor;
mod watch;

pub use launch::{Catalogue, ChosenEngine, EngineLaunch, RestartPolicy, Timing};
pub use snapshot::{EnginePhase, EngineSnapshot};

use std::sync::Arc;

use computepool_core::ports::{Engine, EngineCommand, EngineEvent};
use computepool_core::{ContentHash, Fault, FaultCode, ModelSpeed, ShardInfo, ShardSpec};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, oneshot, watch as tokio_watch};

use lane::Lane;
use supervisor::{Request, Supervisor};

/// Events that wait for the node; further ones wait in the pipe, and then in the engine.
const EVENT_QUEUE: usize = 256;

/// The engine port, over a supervised child process. Dropping the last of it ends the process.
pub struct EngineClient {
    requests: mpsc::Sender<Request>,
    /// The way to the process that serves now, while one does.
    lane: tokio_watch::Receiver<Option<Lane>>,
    snapshot: tokio_watch::Receiver<EngineSnapshot>,
}

impl EngineClient {
    /// Prepares an engine; its process is started with the first load. The stream carries the events of all processes
    /// that follow one another; not polling it slows the engine down. To be called within a tokio runtime.
    pub fn start(launch: EngineLaunch) -> (Arc<Self>, BoxStream<'static, EngineEvent>) {
        let (requests, incoming) = mpsc::channel(8);
        let (events, outgoing) = mpsc::channel(EVENT_QUEUE);
        let (lane_writer, lane) = tokio_watch::channel(None);
        let (snapshot_writer, snapshot) = tokio_watch::channel(EngineSnapshot::default());
        tokio::spawn(Supervisor::new(launch, incoming, events, lane_writer, snapshot_writer).run());
        let stream = futures::stream::unfold(outgoing, |mut outgoing| async move {
            let event = outgoing.recv().await?;
            Some((event, outgoing))
        });
        (Arc::new(Self { requests, lane, snapshot }), Box::pin(stream))
    }

    /// What is known of the process, always up to date.
    pub fn snapshot(&self) -> tokio_watch::Receiver<EngineSnapshot> {
        self.snapshot.clone()
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let gone = || Fault::new(FaultCode::EngineLost, "the engine's supervisor has ended");
        self.requests.send(request(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

impl Engine for EngineClient {
    fn load(&self, spec: ShardSpec) -> BoxFuture<'_, Result<ShardInfo, Fault>> {
        Box::pin(async move { self.ask(|reply| Request::Load { spec, reply }).await? })
    }

    fn send(&self, command: EngineCommand) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let lane = self.lane.borrow().clone().ok_or_else(lane::down)?;
            lane.command(command).await
        })
    }

    fn measure(&self, model: ContentHash) -> BoxFuture<'_, Result<ModelSpeed, Fault>> {
        Box::pin(async move { self.ask(|reply| Request::Measure { model, reply }).await? })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Failing means that there is nothing left to stop.
            let _ = self.ask(|reply| Request::Stop { reply }).await;
        })
    }
}
