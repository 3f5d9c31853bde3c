//! Fetching models, and throwing them away.

use computepool_core::Fault;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::super::Desktop;
use super::super::downloads::Download;
use super::Nothing;

/// The folder of models, and what is on its way into it.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct DownloadsView {
    /// The folder.
    folder: String,
    /// Bytes free on its disk.
    #[ts(type = "number | null")]
    free: Option<u64>,
    /// Models on their way.
    downloads: Vec<Download>,
}

/// A model to be fetched.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Fetching {
    /// The address of its file.
    url: String,
    /// Its SHA-256, where that is known; anything else is thrown away then.
    sha256: Option<String>,
}

/// A model by its file's name.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct ModelFileName {
    /// Its name.
    file: String,
}

pub(super) async fn downloads(desktop: &Desktop, _: Nothing) -> Result<DownloadsView, Fault> {
    let folder = desktop.models_folder()?;
    let free = crate::stock::free_bytes(&folder).or_else(|| crate::stock::free_bytes(folder.parent()?));
    Ok(DownloadsView { folder: folder.display().to_string(), free, downloads: desktop.0.downloads.list() })
}

pub(super) async fn fetch(desktop: &Desktop, wanted: Fetching) -> Result<DownloadsView, Fault> {
    desktop.fetch_model(&wanted.url, wanted.sha256.as_deref())?;
    downloads(desktop, Nothing {}).await
}

pub(super) async fn stop(desktop: &Desktop, model: ModelFileName) -> Result<bool, Fault> {
    Ok(desktop.0.downloads.stop(&model.file))
}

pub(super) async fn delete(desktop: &Desktop, model: ModelFileName) -> Result<DownloadsView, Fault> {
    desktop.delete_model(&model.file).await?;
    downloads(desktop, Nothing {}).await
}
