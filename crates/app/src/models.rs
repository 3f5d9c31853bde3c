//! The models on this machine's disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use computepool_core::ports::Text;
use computepool_core::{Fault, FaultCode, LayerRange};
use computepool_model::catalogue::{Catalogue, CatalogueEntry, HashCache, ModelSource};
use computepool_model::fit::{FitEstimate, estimate, even_split};
use computepool_model::text::ModelText;
use computepool_model::weights::ModelFile;

use crate::paths::cache_folder;

/// Looks through the sources. Files that were hashed before are not read again.
pub async fn scan(sources: Vec<ModelSource>) -> Result<Catalogue, Fault> {
    let cache = HashCache::new(cache_folder()?.join("hashes"));
    tokio::task::spawn_blocking(move || {
        let mut announced = None;
        let mut progress = |at: computepool_model::catalogue::HashProgress<'_>| {
            if announced.as_deref() != Some(at.path) {
                tracing::info!(path = %at.path.display(), bytes = at.total, "reading a model for the first time");
                announced = Some(at.path.to_owned());
            }
            ControlFlow::Continue(())
        };
        Catalogue::scan(&sources, &cache, &mut progress)
    })
    .await
    .map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))?
    .map_err(Fault::from)
}

/// The tokenizer and chat template of a model.
pub async fn text(entry: &CatalogueEntry) -> Result<Arc<dyn Text>, Fault> {
    let path = entry.path.clone();
    let open = move || Ok::<_, Fault>(ModelText::open(&ModelFile::open(&path)?)?);
    let text = tokio::task::spawn_blocking(open).await;
    Ok(Arc::new(text.map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))??))
}

/// How a model would be cut into this many shards, and what each would need for `tokens` of KV.
pub fn split(entry: &CatalogueEntry, shards: usize, tokens: u64) -> Result<Vec<(LayerRange, FitEstimate)>, Fault> {
    let file = ModelFile::open(&entry.path)?;
    let ranges = even_split(&entry.summary, shards.min(entry.summary.layer_count as usize))?;
    Ok(ranges.into_iter().map(|layers| (layers, estimate(&file, layers, tokens))).collect())
}

/// What a shard of these layers would need for `tokens` of KV.
pub fn fit(entry: &CatalogueEntry, layers: LayerRange, tokens: u64) -> Result<FitEstimate, Fault> {
    Ok(estimate(&ModelFile::open(&entry.path)?, layers, tokens))
}
