//! The nodes that are linked to an orchestrator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use computepool_core::{Fault, FaultCode, NodeId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::link::Ending;

/// Names one link among all that a hub ever had.
pub(super) type LinkNumber = u64;

/// The links of a hub, at most one per node.
#[derive(Debug)]
pub(super) struct Nodes {
    max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    links: HashMap<NodeId, Entry>,
    next: LinkNumber,
}

#[derive(Debug)]
struct Entry {
    number: LinkNumber,
    /// Gone once the link is to end after what it holds.
    queue: Option<mpsc::Sender<Bytes>>,
    ending: Arc<Ending>,
    /// Cancelled when its `Disconnected` is on its way.
    finished: CancellationToken,
    stage: Stage,
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for the link that it replaces.
    Waiting,
    /// Its `Connected` is on its way.
    Announced,
    /// Its `Connected` was taken. Only now are messages for the node meant for this link.
    Active,
}

/// A link that was just added.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) number: LinkNumber,
    pub(super) outgoing: mpsc::Receiver<Bytes>,
    pub(super) ending: Arc<Ending>,
    pub(super) finished: CancellationToken,
    /// The end of the link that it replaces.
    pub(super) after: Option<CancellationToken>,
}

impl Nodes {
    pub(super) fn new(max: usize) -> Self {
        Self { max, table: Mutex::default() }
    }

    /// Adds a link of `node`, ending the one it had. Refused when too many nodes are linked, or when the node's last
    /// link has not even begun: a node that hurries gets no further than that.
    pub(super) fn add(&self, node: &NodeId, queue: usize) -> Result<Added, Fault> {
        let mut table = self.lock();
        let known = table.links.get(node);
        if known.is_none() && table.links.len() >= self.max {
            return Err(Fault::new(FaultCode::NoCapacity, "too many nodes are linked here").retry_after_ms(10_000));
        }
        if known.is_some_and(|entry| entry.stage == Stage::Waiting) {
            return Err(Fault::new(FaultCode::NoCapacity, "the node is connecting already").retry_after_ms(1_000));
        }
        let (queue, outgoing) = mpsc::channel(queue.max(1));
        let number = table.next;
        table.next += 1;
        let (ending, finished) = (Arc::new(Ending::default()), CancellationToken::new());
        let entry = Entry {
            number,
            queue: Some(queue),
            ending: Arc::clone(&ending),
            finished: finished.clone(),
            stage: Stage::Waiting,
        };
        let older = table.links.insert(node.clone(), entry);
        let after = older.map(|older| {
            older.ending.end(Fault::new(FaultCode::LinkLost, "a newer link of the same node took its place"));
            older.finished
        });
        Ok(Added { number, outgoing, ending, finished, after })
    }

    pub(super) fn announce(&self, node: &NodeId, number: LinkNumber) {
        self.advance(node, number, Stage::Announced);
    }

    pub(super) fn activate(&self, node: &NodeId, number: LinkNumber) {
        self.advance(node, number, Stage::Active);
    }

    fn advance(&self, node: &NodeId, number: LinkNumber, stage: Stage) {
        if let Some(entry) = self.lock().links.get_mut(node).filter(|entry| entry.number == number) {
            entry.stage = stage;
        }
    }

    pub(super) fn remove(&self, node: &NodeId, number: LinkNumber) {
        let mut table = self.lock();
        if table.links.get(node).is_some_and(|entry| entry.number == number) {
            table.links.remove(node);
        }
    }

    /// Queues bytes for a node's active link; ends the link when its queue is full.
    pub(super) fn send(&self, node: &NodeId, bytes: Bytes) -> bool {
        let table = self.lock();
        let Some(entry) = table.links.get(node).filter(|entry| entry.stage == Stage::Active) else { return false };
        let Some(queue) = &entry.queue else { return false };
        match queue.try_send(bytes) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(%node, "takes messages too slowly; disconnecting it");
                entry.ending.end(Fault::new(FaultCode::Stalled, "the node takes messages too slowly"));
                false
            }
        }
    }

    /// Ends a node's link after what its queue holds.
    pub(super) fn disconnect(&self, node: &NodeId) {
        if let Some(entry) = self.lock().links.get_mut(node) {
            entry.queue = None;
        }
    }

    /// Ends a node's link at once.
    pub(super) fn end(&self, node: &NodeId, fault: Fault) {
        if let Some(entry) = self.lock().links.get(node) {
            entry.ending.end(fault);
        }
    }

    /// Ends every link at once.
    pub(super) fn end_all(&self, fault: &Fault) {
        for entry in self.lock().links.values() {
            entry.ending.end(fault.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
