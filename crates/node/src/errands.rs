//! Opening and closing generations on the engine, in the order it was asked for, so that KV freed by a close can be
//! reserved by the open that follows it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use computepool_core::ports::EngineCommand;
use computepool_core::{Fault, FaultCode, GenerationId};
use tokio::sync::Notify;

use crate::generation::Generation;
use crate::plane::Plane;
use crate::shared::lock;

pub(crate) enum Errand {
    /// Open the first. It takes over the KV of the second, which is closed by that.
    Open(Arc<Generation>, Option<Arc<Generation>>),
    Close(Arc<Generation>),
    /// Close what an earlier node left open.
    Leftover(GenerationId),
}

/// The queue of errands. It takes at most two for each generation, and those are limited; an engine that hangs is
/// ended by its supervisor, and then each errand fails at once.
#[derive(Default)]
pub(crate) struct Errands {
    queue: Mutex<VecDeque<Errand>>,
    wake: Notify,
}

impl Errands {
    pub(crate) fn push(&self, errand: Errand) {
        lock(&self.queue).push_back(errand);
        self.wake.notify_one();
    }

    async fn next(&self) -> Errand {
        loop {
            if let Some(errand) = lock(&self.queue).pop_front() {
                return errand;
            }
            self.wake.notified().await;
        }
    }
}

/// Runs errands for ever.
pub(crate) async fn run(plane: &Arc<Plane>) {
    loop {
        match plane.errands.next().await {
            Errand::Open(generation, adopted) => open(plane, &generation, adopted.as_ref()).await,
            Errand::Close(generation) => close(plane, &generation).await,
            Errand::Leftover(generation) => {
                let closed = plane.engine.engine().send(EngineCommand::Close { generation }).await;
                if closed.is_err() {
                    plane.engine.freed(generation);
                }
            }
        }
    }
}

async fn open(plane: &Arc<Plane>, generation: &Arc<Generation>, adopted: Option<&Arc<Generation>>) {
    let Some(command) = generation.take_open() else {
        if let Some(adopted) = adopted {
            close(plane, adopted).await;
        }
        return;
    };
    plane.engine.opening(generation.id);
    if let Err(fault) = plane.engine.engine().send(command).await {
        for lost in [Some(generation), adopted].into_iter().flatten() {
            plane.engine.freed(lost.id);
            lost.kv_freed();
        }
        plane.fail_here(generation, engine_lost(&fault));
        for lost in [Some(generation), adopted].into_iter().flatten() {
            plane.settle(lost);
        }
    }
}

async fn close(plane: &Arc<Plane>, generation: &Arc<Generation>) {
    let id = generation.id;
    let told = generation.was_opened();
    let closing = if told { plane.engine.engine().send(EngineCommand::Close { generation: id }).await } else { Ok(()) };
    if !told || closing.is_err() {
        plane.engine.freed(id);
        generation.kv_freed();
        plane.settle(generation);
    }
}

/// What generations are told when a command finds no engine.
pub(crate) fn engine_lost(cause: &Fault) -> Fault {
    Fault::new(FaultCode::EngineLost, format!("the engine of this node is gone: {}", cause.message))
        .hint("the node restarts it by itself; try again in a moment")
        .retry_after_ms(1000)
}
