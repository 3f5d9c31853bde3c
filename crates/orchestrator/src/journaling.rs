//! The way from the state machine to the journal: in order, in batches, and without holding anybody up.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::Fault;
use computepool_core::ports::{Journal, Record};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Lists of records that may wait to be written.
const QUEUE: usize = 1024;
/// Lists that are written together at most.
const BATCH: usize = 256;
/// The pause before a failed write is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of an orchestrator waits for what is not written yet.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The writing end. Dropping it ends the task once everything is written, or fails to be.
pub(crate) struct JournalWriter {
    batches: mpsc::Sender<Vec<Record>>,
    fault: watch::Receiver<Option<Fault>>,
    task: JoinHandle<()>,
    /// Something found no room: what is in the journal is not the whole.
    missed: bool,
}

impl JournalWriter {
    pub(crate) fn start(journal: Arc<dyn Journal>) -> Self {
        let (batches, queue) = mpsc::channel(QUEUE);
        let (tell, fault) = watch::channel(None);
        let task = tokio::spawn(run(journal, queue, tell).instrument(tracing::info_span!("journal")));
        Self { batches, fault, task, missed: false }
    }

    /// Queues records. Where the journal is so far behind that there is no room, they are left out, and
    /// [`Self::wants_all`] says so once there is.
    pub(crate) fn write(&mut self, records: Vec<Record>) {
        if !self.missed && self.batches.try_send(records).is_err() {
            self.missed = true;
            tracing::error!("the journal is too far behind; a restart now would not find everything again");
        }
    }

    /// Whether records were left out and the journal has caught up: the whole should be written anew.
    pub(crate) fn wants_all(&mut self) -> bool {
        let caught_up = self.missed && self.batches.capacity() == self.batches.max_capacity();
        if caught_up {
            self.missed = false;
        }
        caught_up
    }

    /// Why nothing can be written, while that is so.
    pub(crate) fn fault(&self) -> Option<String> {
        let fault = self.fault.borrow().as_ref().map(|fault| fault.message.clone());
        fault.or_else(|| self.missed.then(|| "the journal is too far behind".to_owned()))
    }

    /// Returns when everything is written, or can be waited for no longer.
    pub(crate) async fn finish(self) {
        drop(self.batches);
        // Neither a task that failed nor one that takes too long changes what follows.
        let _ = tokio::time::timeout(LAST_WRITE, self.task).await;
    }
}

async fn run(journal: Arc<dyn Journal>, mut queue: mpsc::Receiver<Vec<Record>>, tell: watch::Sender<Option<Fault>>) {
    let mut lists = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut lists, BATCH).await > 0 {
        let records: Vec<Record> = lists.drain(..).flatten().collect();
        while let Err(fault) = journal.write(records.clone()).await {
            tracing::error!(%fault, records = records.len(), "the journal cannot be written");
            tell.send_replace(Some(fault));
            if queue.is_closed() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
        tell.send_if_modified(|fault| fault.take().is_some());
    }
}
