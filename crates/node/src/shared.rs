//! What outlives a node: its engine, and the streams that one node after another reads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use computepool_core::ports::{Engine, EngineEvent};
use computepool_core::{Fault, FaultCode, GenerationId, ShardInfo, ShardSpec};
use futures::stream::BoxStream;
use tokio::sync::OwnedMutexGuard;

/// Locks, and goes on after a panic elsewhere: what these locks guard is changed in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream that one node at a time reads: a node takes it when it starts and leaves it to the next when it ends.
pub struct Feed<T>(Arc<tokio::sync::Mutex<BoxStream<'static, T>>>);

impl<T> Feed<T> {
    /// Wraps a stream.
    pub fn new(stream: BoxStream<'static, T>) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(stream)))
    }

    /// Waits until no other node reads it.
    pub(crate) async fn take(&self) -> OwnedMutexGuard<BoxStream<'static, T>> {
        self.0.clone().lock_owned().await
    }
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// How long a load that was called off may take to say so, before it is called off again.
const CALLED_OFF: Duration = Duration::from_millis(50);

/// How far the engine is with its shard.
#[derive(Clone, Debug, PartialEq)]
enum Load {
    Empty,
    Loading(ShardSpec),
    Ready(ShardSpec, ShardInfo),
    Down(ShardSpec),
}

/// An engine with its events and what is known of it, kept across restarts of the node, so that a lost control link
/// costs no loading of weights.
pub struct SharedEngine {
    engine: Arc<dyn Engine>,
    events: Feed<EngineEvent>,
    open: Mutex<HashSet<GenerationId>>,
    load: Mutex<Load>,
    loading: tokio::sync::Mutex<()>,
    resting: AtomicBool,
}

impl SharedEngine {
    /// Joins an engine with the event stream that was handed out with it.
    pub fn new(engine: Arc<dyn Engine>, events: BoxStream<'static, EngineEvent>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            events: Feed::new(events),
            open: Mutex::default(),
            load: Mutex::new(Load::Empty),
            loading: tokio::sync::Mutex::default(),
            resting: AtomicBool::new(false),
        })
    }

    /// What the engine serves now.
    pub fn shard(&self) -> Option<ShardInfo> {
        match &*lock(&self.load) {
            Load::Ready(_, info) => Some(info.clone()),
            _ => None,
        }
    }

    /// Generations that hold KV in the engine, as far as it was told.
    pub fn open_generations(&self) -> usize {
        lock(&self.open).len()
    }

    /// Gives back everything that the engine holds, as soon as that can be, and loads nothing until it is [roused](Self::rouse).
    pub async fn rest(&self) {
        self.resting.store(true, Ordering::SeqCst);
        // A load that is under way is called off by this; one that was about to begin, by the next time round.
        let _nothing_loads = loop {
            self.engine.stop().await;
            if let Ok(guard) = tokio::time::timeout(CALLED_OFF, self.loading.lock()).await {
                break guard;
            }
        };
        self.engine.stop().await;
        lock(&self.open).clear();
        *lock(&self.load) = Load::Empty;
    }

    /// Ends a rest.
    pub fn rouse(&self) {
        self.resting.store(false, Ordering::SeqCst);
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    pub(crate) fn events(&self) -> &Feed<EngineEvent> {
        &self.events
    }

    pub(crate) fn opening(&self, generation: GenerationId) {
        lock(&self.open).insert(generation);
    }

    pub(crate) fn freed(&self, generation: GenerationId) {
        lock(&self.open).remove(&generation);
    }

    pub(crate) fn leftovers(&self) -> Vec<GenerationId> {
        lock(&self.open).iter().copied().collect()
    }

    /// Whether exactly this is loaded and serving.
    pub(crate) fn serves(&self, wanted: &ShardSpec) -> bool {
        matches!(&*lock(&self.load), Load::Ready(spec, _) if spec == wanted)
    }

    /// The engine died with everything open on it. What it served; `None` when a load is under way, which says how it
    /// ends.
    pub(crate) fn down(&self) -> Option<ShardSpec> {
        lock(&self.open).clear();
        let mut load = lock(&self.load);
        match &*load {
            Load::Ready(spec, _) | Load::Down(spec) => {
                let spec = spec.clone();
                *load = Load::Down(spec.clone());
                Some(spec)
            }
            Load::Empty | Load::Loading(_) => None,
        }
    }

    /// The engine is back. `false` when this is not the shard that was last asked for.
    pub(crate) fn back(&self, info: &ShardInfo) -> bool {
        let mut load = lock(&self.load);
        match &*load {
            Load::Ready(spec, _) | Load::Down(spec) if spec.model == info.model && spec.layers == info.layers => {
                *load = Load::Ready(spec.clone(), info.clone());
                true
            }
            _ => false,
        }
    }

    /// Loads a shard unless it is already served. The load goes on to its end even if nobody waits for it any more: an
    /// engine is never left with a half-told story.
    pub(crate) async fn load(self: &Arc<Self>, spec: ShardSpec) -> Result<ShardInfo, Fault> {
        let this = self.clone();
        let load = tokio::spawn(async move {
            let _one_at_a_time = this.loading.lock().await;
            if this.resting.load(Ordering::SeqCst) {
                let what = "this machine has taken its memory back for its owner";
                return Err(Fault::new(FaultCode::Draining, what));
            }
            if let Load::Ready(served, info) = &*lock(&this.load)
                && *served == spec
            {
                return Ok(info.clone());
            }
            *lock(&this.load) = Load::Loading(spec.clone());
            lock(&this.open).clear();
            let loaded = this.engine.load(spec.clone()).await;
            *lock(&this.load) = match &loaded {
                Ok(info) => Load::Ready(spec, info.clone()),
                Err(_) => Load::Down(spec),
            };
            loaded
        });
        load.await.unwrap_or_else(|error| Err(Fault::new(FaultCode::Internal, format!("loading failed: {error}"))))
    }
}
