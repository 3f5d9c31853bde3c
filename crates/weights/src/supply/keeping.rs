//! What a fetch does to the disk.

use std::sync::Arc;

use bytes::Bytes;

use crate::WeightsError;
use crate::block::Place;
use crate::shelf::Stored;

/// Sees that what a fetch wrote is noted, also when the fetch is dropped.
pub(super) struct Settling(Option<Arc<Stored>>);

impl Settling {
    pub(super) fn of(stored: &Arc<Stored>) -> Self {
        Self(Some(Arc::clone(stored)))
    }

    /// Notes it now.
    pub(super) async fn settle(mut self) -> Result<(), WeightsError> {
        match self.0.take() {
            Some(stored) => blocking(move || stored.settle()).await,
            None => Ok(()),
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        let Some(stored) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || {
                if let Err(error) = stored.settle() {
                    tracing::warn!(%error, "what was fetched could not be noted; it will be looked at again");
                }
            });
        }
    }
}

/// Runs what waits for the disk where waiting is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WeightsError> + Send + 'static,
) -> Result<T, WeightsError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(WeightsError::Broken(error.to_string())),
    }
}

/// Compares a block with the manifest and writes it.
pub(super) async fn keep(stored: &Arc<Stored>, place: Place, bytes: Bytes, from: &str) -> Result<(), WeightsError> {
    let stored = Arc::clone(stored);
    let from = from.to_owned();
    blocking(move || {
        if stored.put(place, &bytes)? {
            return Ok(());
        }
        let file = stored.manifest().files.get(place.file as usize).map(|file| file.name.clone()).unwrap_or_default();
        Err(WeightsError::BadBlock { file, block: place.block, from })
    })
    .await
}
