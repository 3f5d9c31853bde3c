//! Weights that arrive when the test says so.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use computepool_core::ports::{FetchProgress, Weights};
use computepool_core::{ContentHash, Fault, LayerRange, WeightSource};
use futures::future::BoxFuture;
use tokio::sync::watch;

/// How far the fetching is, in bytes of [`NEEDED`].
#[derive(Clone, Default)]
struct Arrival {
    present: u64,
    fault: Option<Fault>,
}

pub const NEEDED: u64 = 100;

#[derive(Default)]
pub struct FakeWeights {
    arrival: watch::Sender<Arrival>,
    /// What was asked for, and from where.
    pub asked: Mutex<Vec<(LayerRange, Vec<String>)>>,
    /// Fetches that were called off.
    pub called_off: AtomicUsize,
}

struct Unfinished<'a>(&'a AtomicUsize);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl FakeWeights {
    /// So much has arrived by now.
    pub fn arrive(&self, present: u64) {
        self.arrival.send_replace(Arrival { present, fault: None });
    }

    /// Nothing more will arrive.
    pub fn fail(&self, fault: Fault) {
        self.arrival.send_modify(|arrival| arrival.fault = Some(fault));
    }
}

impl Weights for FakeWeights {
    fn ensure<'a>(
        &'a self,
        _model: ContentHash,
        layers: LayerRange,
        source: Option<&'a WeightSource>,
        progress: &'a (dyn Fn(FetchProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), Fault>> {
        let urls = source.map(|source| source.urls.clone()).unwrap_or_default();
        self.asked.lock().unwrap().push((layers, urls));
        Box::pin(async move {
            let unfinished = Unfinished(&self.called_off);
            let mut arrivals = self.arrival.subscribe();
            loop {
                let Arrival { present, fault } = arrivals.borrow_and_update().clone();
                progress(FetchProgress { needed: NEEDED, present, ..FetchProgress::default() });
                if fault.is_some() || present == NEEDED {
                    std::mem::forget(unfinished);
                    return fault.map_or(Ok(()), Err);
                }
                arrivals.changed().await.unwrap();
            }
        })
    }
}
