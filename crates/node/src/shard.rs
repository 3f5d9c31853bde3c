//! Loading the shard that the orchestrator assigns.

use std::sync::Arc;

use computepool_core::control::{Assignment, NodeMessage};
use computepool_core::{Fault, FaultCode, ShardSpec};
use tokio::sync::watch;

use crate::plane::Plane;
use crate::shared::lock;

/// The latest assignment, for the loader.
pub(crate) type Wanted = watch::Receiver<Option<(Assignment, ShardSpec)>>;

/// Loads what is assigned, one after the other; an assignment that was overtaken by a later one is not reported.
pub(crate) async fn run(plane: &Arc<Plane>, mut wanted: Wanted) {
    while wanted.changed().await.is_ok() {
        let Some((assignment, spec)) = wanted.borrow_and_update().clone() else { continue };
        if !plane.engine.serves(&spec) {
            let fault = Fault::new(FaultCode::EngineLost, "the node was told to load another shard");
            plane.lose_generations(&fault);
        }
        let loaded = plane.engine.load(spec).await;
        if *lock(&plane.assignment) != Some(assignment) {
            continue;
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
}
