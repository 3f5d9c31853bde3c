//! Peers without a network between them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use computepool_core::ports::{BlockPeers, BlockShelf as _};
use computepool_core::{ContentHash, Fault, FaultCode, LayerRange, NodeId};
use computepool_weights::Shelf;
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// How a peer answers.
#[derive(Clone)]
pub(crate) enum Peer {
    /// With what is on its shelf.
    Honest(Arc<Shelf>),
    /// With the right number of wrong bytes.
    Poisoned,
    /// With fewer bytes than the block has.
    Short,
    /// Never.
    Silent,
    /// That it does not have it.
    Empty,
    /// That it is busy, so many times; then honestly.
    BusyAtFirst(usize, Arc<Shelf>),
    /// That the connection is lost.
    Lost,
    /// With something that is no block at all.
    Garbage,
}

/// The peers that a node sees.
#[derive(Default)]
pub(crate) struct Peers {
    peers: HashMap<NodeId, (Peer, LayerRange, AtomicUsize)>,
    pub(crate) announced: Mutex<Vec<(ContentHash, LayerRange)>>,
    pub(crate) told: tokio::sync::Notify,
}

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

impl Peers {
    /// A peer that says it has these layers.
    pub(crate) fn with(mut self, name: &str, layers: LayerRange, peer: Peer) -> Self {
        self.peers.insert(node(name), (peer, layers, AtomicUsize::new(0)));
        self
    }

    pub(crate) fn asked(&self, name: &str) -> usize {
        self.peers[&node(name)].2.load(Ordering::SeqCst)
    }
}

impl BlockPeers for Peers {
    fn providers(&self, _: ContentHash, layer: u32) -> BoxFuture<'_, Vec<NodeId>> {
        let has = |layers: &LayerRange| layers.iter().contains(&layer);
        let found = self.peers.iter().filter(|(_, (_, layers, _))| has(layers)).map(|(node, _)| node.clone()).collect();
        futures::future::ready(found).boxed()
    }

    fn announce(&self, model: ContentHash, layers: LayerRange) -> BoxFuture<'_, ()> {
        self.announced.lock().unwrap().push((model, layers));
        self.told.notify_one();
        futures::future::ready(()).boxed()
    }

    fn fetch<'a>(&'a self, from: &'a NodeId, hash: ContentHash, max_bytes: u32) -> BoxFuture<'a, Result<Bytes, Fault>> {
        let (peer, _, asked) = &self.peers[from];
        let number = asked.fetch_add(1, Ordering::SeqCst);
        let absent = || Fault::new(FaultCode::ModelNotFound, "not here");
        async move {
            match peer {
                Peer::Honest(shelf) => shelf.read(hash).await.ok_or_else(absent),
                Peer::BusyAtFirst(times, _) if number < *times => {
                    Err(Fault::new(FaultCode::NoCapacity, "busy").retry_after_ms(1))
                }
                Peer::BusyAtFirst(_, shelf) => shelf.read(hash).await.ok_or_else(absent),
                Peer::Poisoned => Ok(Bytes::from(vec![7; max_bytes as usize])),
                Peer::Short => Ok(Bytes::from(vec![7; max_bytes as usize / 2])),
                Peer::Silent => futures::future::pending().await,
                Peer::Empty => Err(absent()),
                Peer::Lost => Err(Fault::new(FaultCode::LinkLost, "gone")),
                Peer::Garbage => Err(Fault::new(FaultCode::BadFrame, "no frame")),
            }
        }
        .boxed()
    }
}
