//! Loading the shard that the orchestrator assigns, once its weights are here.

use std::sync::{Arc, Mutex};

use computepool_core::control::{Assignment, NodeMessage};
use computepool_core::ports::FetchProgress;
use computepool_core::{Fault, FaultCode, ShardSpec, WeightSource};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::plane::Plane;
use crate::shared::lock;

/// What the orchestrator wants served.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) assignment: Assignment,
    pub(crate) spec: ShardSpec,
    /// Where the weights come from, if they are not here.
    pub(crate) source: Option<Arc<WeightSource>>,
}

/// The latest assignment, for the loader.
pub(crate) type Wanted = watch::Receiver<Option<Order>>;

/// Loads what is assigned, one after the other. A later assignment calls off the fetching of an earlier one, and one that
/// was overtaken is not reported.
pub(crate) async fn run(plane: &Arc<Plane>, mut wanted: Wanted) {
    let mut news = wanted.changed().await;
    while news.is_ok() {
        let latest = wanted.borrow_and_update().clone();
        let overtaken = tokio::select! {
            biased;
            news = wanted.changed() => Some(news),
            fetched = fetch(plane, latest.as_ref()) => {
                if let Some(order) = latest {
                    serve(plane, order, fetched).await;
                }
                None
            }
        };
        news = match overtaken {
            Some(news) => news,
            None => wanted.changed().await,
        };
    }
}

/// Sees that the weights are on the disk, and tells now and then how far that is. What ran on the shard before goes on
/// meanwhile.
async fn fetch(plane: &Plane, order: Option<&Order>) -> Result<(), Fault> {
    let (Some(weights), Some(Order { assignment, spec, source })) = (&plane.weights, order) else { return Ok(()) };
    if plane.engine.serves(spec) {
        return Ok(());
    }
    let told: Mutex<Option<Instant>> = Mutex::default();
    let progress = |progress: FetchProgress| {
        let mut told = lock(&told);
        let due = told.is_none_or(|at| at.elapsed() >= plane.options.fetch_report);
        if due && progress.present < progress.needed {
            *told = Some(Instant::now());
            plane.outbox.say(NodeMessage::Fetching { assignment: *assignment, progress });
        }
    };
    weights.ensure(spec.model, spec.layers, source.as_deref(), &progress).await
}

/// Loads a shard whose weights were fetched, and says how that went.
async fn serve(plane: &Arc<Plane>, order: Order, fetched: Result<(), Fault>) {
    let Order { assignment, spec, .. } = order;
    let loaded = match fetched {
        Ok(()) => {
            if !plane.engine.serves(&spec) {
                let fault = Fault::new(FaultCode::EngineLost, "the node was told to load another shard");
                plane.lose_generations(&fault);
            }
            plane.engine.load(spec).await
        }
        Err(fault) => Err(fault),
    };
    if plane.assigned().is_none_or(|latest| latest.assignment != assignment) {
        return;
    }
    match loaded {
        // An engine that died meanwhile speaks for itself.
        Ok(info) if plane.engine.shard().as_ref() == Some(&info) => {
            plane.outbox.say(NodeMessage::ShardReady { assignment, info });
        }
        Ok(_) => {}
        Err(fault) => {
            tracing::warn!(%fault, "the shard could not be loaded");
            plane.count(&fault);
            plane.outbox.say(NodeMessage::ShardDown { assignment, fault });
        }
    }
}
