//! The weights on this machine: whole models where their owner put them, and parts of others on a shelf of our own.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use computepool_core::ports::{FetchProgress, Weights};
use computepool_core::{ContentHash, Fault, FaultCode, HeldModel, LayerRange, ModelId, NodeId, Sealed, WeightSource};
use computepool_engine::client::Catalogue as WeightsByHash;
use computepool_model::catalogue::{Catalogue, CatalogueEntry, HashCache};
use computepool_transport::blocks::{self, BlockLimits, Exchange, ExchangeOptions};
use computepool_transport::{Identity, Network, PeerVerifier};
use computepool_weights::{Shelf, ShelfOptions, Supply, SupplyOptions};
use futures::future::BoxFuture;

use crate::paths::{cache_folder, make_folder};

/// A folder for weights that come from elsewhere, and what they may take.
#[derive(Clone, Debug)]
pub struct ShelfSettings {
    /// The folder; one process uses it at a time. Not inside a folder in which models are looked for.
    pub folder: PathBuf,
    /// Bytes that it may grow to.
    pub max_bytes: Option<u64>,
    /// Bytes a second that fetching may take.
    pub download_limit: Option<u64>,
    /// Bytes a second that giving to others may take.
    pub upload_limit: Option<u64>,
}

/// The weights on this machine.
pub(crate) struct Stock {
    whole: Vec<(ContentHash, PathBuf)>,
    shelf: Option<(Arc<Shelf>, ShelfSettings)>,
}

/// A stock that can grow, and that others draw on.
pub(crate) struct Supplied {
    stock: Arc<Stock>,
    supply: Option<Arc<Supply>>,
}

impl Stock {
    /// The models of the catalogue, and a shelf for weights whose manifests are signed by `owner`.
    pub(crate) fn open(
        catalogue: &Catalogue,
        shelf: Option<ShelfSettings>,
        owner: &NodeId,
    ) -> Result<Arc<Self>, Fault> {
        let whole = catalogue.entries().iter().map(|entry| (entry.summary.hash, entry.path.clone())).collect();
        let open = |settings: ShelfSettings| {
            make_folder(&settings.folder)?;
            let options = ShelfOptions {
                folder: settings.folder.clone(),
                owner: owner.clone(),
                max_bytes: settings.max_bytes,
                free_bytes: Some(Arc::new(free_bytes)),
            };
            Ok::<_, Fault>((Arc::new(Shelf::open(options, Arc::new(PeerVerifier))?), settings))
        };
        Ok(Arc::new(Self { whole, shelf: shelf.map(open).transpose()? }))
    }

    /// How an engine finds weights by their hash.
    pub(crate) fn lookup(self: &Arc<Self>) -> WeightsByHash {
        let this = self.clone();
        Arc::new(move |hash| {
            let on_shelf = || this.shelf.as_ref().and_then(|(shelf, _)| shelf.path(hash));
            this.path(hash).map(Path::to_owned).or_else(on_shelf)
        })
    }

    /// What there is, for adverts.
    pub(crate) fn held(&self) -> Vec<HeldModel> {
        let mut held: Vec<HeldModel> =
            self.whole.iter().map(|(model, _)| HeldModel { model: *model, layers: None }).collect();
        if let Some((shelf, _)) = &self.shelf {
            held.extend(shelf.held().into_iter().filter(|part| self.path(&part.model).is_none()));
        }
        held
    }

    /// Bytes of disk for weights that are not here yet.
    pub(crate) fn room(&self) -> u64 {
        let Some((shelf, settings)) = &self.shelf else { return 0 };
        let free = free_bytes(&settings.folder).unwrap_or(u64::MAX);
        settings.max_bytes.map_or(free, |most| most.saturating_sub(shelf.bytes()).min(free))
    }

    fn path(&self, model: &ContentHash) -> Option<&Path> {
        self.whole.iter().find(|(known, _)| known == model).map(|(_, path)| path.as_path())
    }

    /// Joins the stock to a network: peers may have blocks of it, and what is missing comes from them.
    pub(crate) async fn supplied(self: Arc<Self>, network: &Network) -> Result<Arc<Supplied>, Fault> {
        let supply = match &self.shelf {
            None => None,
            Some((shelf, settings)) => {
                let limits = BlockLimits { bytes_per_second: settings.upload_limit, ..BlockLimits::default() };
                blocks::serve(network, shelf.clone(), limits).await?;
                let peers = Arc::new(Exchange::new(network.clone(), ExchangeOptions::default()));
                let options = SupplyOptions { bytes_per_second: settings.download_limit, ..SupplyOptions::default() };
                Some(Arc::new(Supply::new(shelf.clone(), Some(peers), options)?))
            }
        };
        Ok(Arc::new(Supplied { stock: self, supply }))
    }

    /// Gives blocks of a whole model to whoever asks.
    async fn lend(&self, sealed: &Sealed, path: &Path) -> Result<(), Fault> {
        let Some((shelf, _)) = &self.shelf else { return Ok(()) };
        let (shelf, sealed, path) = (shelf.clone(), sealed.clone(), path.to_owned());
        let lending = tokio::task::spawn_blocking(move || shelf.lend(&sealed, &path)).await;
        Ok(lending.map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))??)
    }
}

impl Supplied {
    /// Says in the network's table what is here.
    pub(crate) async fn announce(&self) {
        if let Some(supply) = &self.supply {
            supply.announce().await;
        }
    }

    /// Signs what a model of the catalogue consists of, so that nodes can fetch it, and gives blocks of it to them.
    pub(crate) async fn share(
        &self,
        entry: &CatalogueEntry,
        owner: &Identity,
        urls: Vec<String>,
    ) -> Result<WeightSource, Fault> {
        let (cache, path, id) =
            (HashCache::new(cache_folder()?.join("hashes")), entry.path.clone(), entry.summary.id.clone());
        let built = tokio::task::spawn_blocking(move || manifest(&cache, &path, id)).await;
        let manifest = built.map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))??;
        let sealed = Sealed::seal(&manifest, owner)?;
        self.stock.lend(&sealed, &entry.path).await?;
        Ok(WeightSource { manifest: sealed, urls })
    }
}

impl Weights for Supplied {
    fn ensure<'a>(
        &'a self,
        model: ContentHash,
        layers: LayerRange,
        source: Option<&'a WeightSource>,
        progress: &'a (dyn Fn(FetchProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            match (self.stock.path(&model), &self.supply) {
                (Some(path), _) => {
                    // It can serve whatever becomes of the lending.
                    let lent = match source {
                        Some(source) => self.stock.lend(&source.manifest, path).await,
                        None => return Ok(()),
                    };
                    match (lent, self.supply.clone()) {
                        // Nobody waits for the table to know.
                        (Ok(()), Some(supply)) => drop(tokio::spawn(async move { supply.announce().await })),
                        (Ok(()), None) => {}
                        (Err(fault), _) => tracing::warn!(%fault, "a model cannot be lent to others"),
                    }
                    Ok(())
                }
                (None, Some(supply)) => supply.ensure(model, layers, source, progress).await,
                (None, None) => {
                    Err(Fault::new(FaultCode::ModelNotFound, "the weights are not here, and this node fetches none")
                        .hint("name a folder for fetched weights with --fetch, or a model with --models"))
                }
            }
        })
    }
}

fn manifest(
    cache: &HashCache,
    path: &Path,
    id: ModelId,
) -> Result<computepool_core::Manifest, computepool_model::error::ModelError> {
    tracing::info!(path = %path.display(), "reading a model, to share it");
    cache.manifest(path, id, None, &mut |_| ControlFlow::Continue(()))
}

/// Free bytes on the disk that a folder lies on.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let folder = std::fs::canonicalize(folder).ok()?;
    let disks = sysinfo::Disks::new_with_refreshed_list().ok()?;
    let around = disks.iter().filter(|disk| folder.starts_with(disk.mount_point()));
    around.max_by_key(|disk| disk.mount_point().as_os_str().len()).map(sysinfo::Disk::available_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_says_how_much_is_free() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert_eq!(free_bytes(Path::new("/no/such/folder")), None);
    }
}
