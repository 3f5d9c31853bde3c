//! A ledger in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use computepool_core::ports::{Ledger, LedgerEntry};
use computepool_core::{Fault, FaultCode};
use futures::FutureExt;
use futures::future::{self, BoxFuture};

/// Keeps entries for as long as it lives, and refuses what it has.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    entries: Mutex<Vec<LedgerEntry>>,
}

impl MemoryLedger {
    fn entries(&self) -> MutexGuard<'_, Vec<LedgerEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, in order.
    pub fn all(&self) -> Vec<LedgerEntry> {
        self.entries().clone()
    }

    /// As [`Ledger::append`].
    pub fn write(&self, new: Vec<LedgerEntry>) -> Result<(), Fault> {
        let mut entries = self.entries();
        let place = |entry: &LedgerEntry| (entry.subject.clone(), entry.ordinal);
        let mut fresh = Vec::new();
        for one in new {
            match entries.iter().find(|other| place(other) == place(&one)) {
                Some(other) if *other == one => {}
                Some(_) => {
                    let what = format!("there is another entry {} of {}", one.ordinal, one.subject);
                    return Err(Fault::new(FaultCode::Duplicate, what));
                }
                None => fresh.push(one),
            }
        }
        entries.extend(fresh);
        Ok(())
    }

    /// As [`Ledger::unconcluded`].
    pub fn open(&self) -> Vec<LedgerEntry> {
        let entries = self.entries();
        let concluded = |subject: &str| entries.iter().any(|entry| entry.concludes && entry.subject == subject);
        entries.iter().filter(|entry| !concluded(&entry.subject)).cloned().collect()
    }
}

impl Ledger for MemoryLedger {
    fn append(&self, entries: Vec<LedgerEntry>) -> BoxFuture<'_, Result<(), Fault>> {
        future::ready(self.write(entries)).boxed()
    }

    fn unconcluded(&self) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Fault>> {
        future::ready(Ok(self.open())).boxed()
    }

    fn page(&self, skip: u64, limit: u32) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Fault>> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let page = self.entries().iter().skip(skip).take(limit as usize).cloned().collect();
        future::ready(Ok(page)).boxed()
    }
}
