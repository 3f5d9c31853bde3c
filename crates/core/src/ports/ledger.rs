//! The ledger port: what happened to money, written down once and for all.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::Fault;

/// Keeps entries for ever. Nothing is changed and nothing is taken away.
pub trait Ledger: Send + Sync {
    /// Writes entries, all or none of them, in this order. Returns once they would survive a crash.
    ///
    /// Refused with [`FaultCode::Duplicate`](crate::FaultCode::Duplicate) where an entry's subject has another one with this
    /// ordinal: somebody else is writing, or the same thing is tried twice. An entry that is there already, word for word,
    /// counts as written, so that a write of which nothing was heard can be repeated.
    fn append(&self, entries: Vec<LedgerEntry>) -> BoxFuture<'_, Result<(), Fault>>;

    /// All entries of subjects that are not concluded, in the order in which they were written.
    fn unconcluded(&self) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Fault>>;

    /// Entries after the first `skip` of all, in the order in which they were written; at most `limit` of them.
    fn page(&self, skip: u64, limit: u32) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Fault>>;
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// What it is about: a session's account.
    pub subject: String,
    /// The first entry of a subject has 0, the next 1, and so on.
    pub ordinal: u32,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// What kind of thing happened.
    pub kind: String,
    /// What happened, as JSON.
    pub body: String,
    /// Whether nothing more will happen to the subject.
    pub concludes: bool,
}

/// No part of an entry is longer, in bytes.
pub const MAX_LEDGER_TEXT: usize = 64 * 1024;
