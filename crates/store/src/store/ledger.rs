//! The store as a ledger.

use computepool_core::Fault;
use computepool_core::ports::{Ledger, LedgerEntry};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Held, Store};
use crate::connection::Connection;
use crate::{StoreError, records};

/// What is read of a ledger.
#[derive(Clone, Copy)]
enum Reading {
    Unconcluded,
    Page { skip: u64, limit: u32 },
}

impl Store {
    async fn append_batch(&self, batch: &[LedgerEntry]) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut held = self.held.lock().await;
        match self.try_append(&mut held, batch).await {
            Err(error) if error.is_lost() => {
                tracing::warn!(%error, "the store's connection was lost; the entries are written again over a new one");
                self.try_append(&mut held, batch).await
            }
            outcome => outcome,
        }
    }

    async fn try_append(&self, held: &mut Held, batch: &[LedgerEntry]) -> Result<(), StoreError> {
        let mut connection = self.connected(held).await?;
        let outcome = self.append_all(&mut connection, batch).await;
        let settled = match &outcome {
            Ok(()) => true,
            Err(error) if error.is_lost() => false,
            Err(_) => connection.rollback().await.is_ok(),
        };
        if settled {
            held.connection = Some(connection);
        }
        outcome
    }

    async fn append_all(&self, connection: &mut Connection, batch: &[LedgerEntry]) -> Result<(), StoreError> {
        connection.begin().await?;
        for entry in batch {
            records::append(connection, &self.orchestrator, entry).await?;
        }
        connection.commit().await
    }

    async fn read_ledger(&self, what: Reading) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut held = self.held.lock().await;
        match self.try_read_ledger(&mut held, what).await {
            Err(error) if error.is_lost() => self.try_read_ledger(&mut held, what).await,
            outcome => outcome,
        }
    }

    async fn try_read_ledger(&self, held: &mut Held, what: Reading) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut connection = self.connected(held).await?;
        let outcome = match what {
            Reading::Unconcluded => records::unconcluded(&mut connection, &self.orchestrator).await,
            Reading::Page { skip, limit } => records::page(&mut connection, &self.orchestrator, skip, limit).await,
        };
        if !outcome.as_ref().is_err_and(StoreError::is_lost) {
            held.connection = Some(connection);
        }
        outcome
    }
}

impl Ledger for Store {
    fn append(&self, entries: Vec<LedgerEntry>) -> BoxFuture<'_, Result<(), Fault>> {
        async move { Ok(self.append_batch(&entries).await?) }.boxed()
    }

    fn unconcluded(&self) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Fault>> {
        async move { Ok(self.read_ledger(Reading::Unconcluded).await?) }.boxed()
    }

    fn page(&self, skip: u64, limit: u32) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Fault>> {
        async move { Ok(self.read_ledger(Reading::Page { skip, limit }).await?) }.boxed()
    }
}
