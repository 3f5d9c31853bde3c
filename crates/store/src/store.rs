//! The store: one orchestrator's records, one connection, one writer.

mod ledger;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use computepool_core::ports::{Journal, Record};
use computepool_core::{Fault, NodeId};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::connection::{Connection, Value};
use crate::location::Location;
use crate::lock::FileLock;
use crate::{StoreError, records, schema};

/// Writing down that the records were opened once more; and how often they were.
const COUNT_OPENING: &str = "INSERT INTO orchestrators (orchestrator, openings) VALUES ($1, 1) \
    ON CONFLICT (orchestrator) DO UPDATE SET openings = orchestrators.openings + 1";
const OPENINGS: &str = "SELECT openings FROM orchestrators WHERE orchestrator = $1";

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Generations kept for an orchestrator, the newest ones. For a moment there may be one in a hundred more.
    pub generations: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { generations: 100_000 }
    }
}

/// The records of one orchestrator in a database.
pub struct Store {
    location: Location,
    orchestrator: NodeId,
    retention: Retention,
    opening: i64,
    held: Mutex<Held>,
}

/// What only one task at a time may have. Tasks get it in the order in which they asked.
struct Held {
    /// Away while a batch is on its way: what is dropped half-way takes the connection, and with it the transaction.
    connection: Option<Connection>,
    lock: Option<FileLock>,
    /// Generations that began since the old ones were forgotten.
    began: u32,
    closed: bool,
}

impl Store {
    /// Opens the records of `orchestrator` in the database that `url` names (see the [crate]'s documentation), makes
    /// or updates the tables, and keeps every other process from opening them while this one has them.
    pub async fn open(url: &str, orchestrator: &NodeId) -> Result<Arc<Self>, StoreError> {
        Self::open_with(url, orchestrator, Retention::default()).await
    }

    /// As [`Self::open`], keeping more or less of the past.
    pub async fn open_with(url: &str, orchestrator: &NodeId, retention: Retention) -> Result<Arc<Self>, StoreError> {
        let location = Location::parse(url)?;
        let lock = match &location {
            Location::File(path) => Some(FileLock::take(path, orchestrator)?),
            Location::Server(_) => None,
        };
        let mut connection = Connection::open(&location, orchestrator).await?;
        schema::bring_up_to_date(&mut connection).await?;
        connection.execute(COUNT_OPENING, &[Value::Text(orchestrator.as_str())]).await?;
        let opening = openings(&mut connection, orchestrator).await?;
        records::forget_oldest(&mut connection, orchestrator, retention.generations).await?;
        let held = Held { connection: Some(connection), lock, began: 0, closed: false };
        Ok(Arc::new(Self { location, orchestrator: orchestrator.clone(), retention, opening, held: Mutex::new(held) }))
    }

    /// Waits for what is on its way, then lets go of the database. Without it a store that is dropped lets go as well,
    /// a little later.
    pub async fn close(&self) -> Result<(), StoreError> {
        let mut held = self.held.lock().await;
        held.closed = true;
        let closed = match held.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        };
        held.lock = None;
        closed
    }

    /// As [`Journal::write`].
    async fn write_batch(&self, batch: &[Record]) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut held = self.held.lock().await;
        let began = batch.iter().filter(|record| matches!(record, Record::GenerationBegan { .. })).count();
        let began = held.began.saturating_add(u32::try_from(began).unwrap_or(u32::MAX));
        let forget = began > self.retention.generations / 100;
        match self.try_write(&mut held, batch, forget).await {
            Err(error) if error.is_lost() => {
                tracing::warn!(%error, "the store's connection was lost; the batch is written again over a new one");
                self.try_write(&mut held, batch, forget).await?;
            }
            outcome => outcome?,
        }
        held.began = if forget { 0 } else { began };
        Ok(())
    }

    async fn try_write(&self, held: &mut Held, batch: &[Record], forget: bool) -> Result<(), StoreError> {
        let mut connection = self.connected(held).await?;
        let forget = forget.then_some(self.retention.generations);
        let outcome = transaction(&mut connection, &self.orchestrator, batch, forget).await;
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

    /// As [`Journal::read`].
    async fn read_all(&self) -> Result<Vec<Record>, StoreError> {
        let mut held = self.held.lock().await;
        match self.try_read(&mut held).await {
            Err(error) if error.is_lost() => self.try_read(&mut held).await,
            outcome => outcome,
        }
    }

    async fn try_read(&self, held: &mut Held) -> Result<Vec<Record>, StoreError> {
        let mut connection = self.connected(held).await?;
        let outcome = records::read(&mut connection, &self.orchestrator).await;
        if !outcome.as_ref().is_err_and(StoreError::is_lost) {
            held.connection = Some(connection);
        }
        outcome
    }

    /// The connection, or a new one in place of one that was lost.
    async fn connected(&self, held: &mut Held) -> Result<Connection, StoreError> {
        if held.closed {
            return Err(StoreError::Closed { database: self.location.to_string() });
        }
        if let Some(connection) = held.connection.take() {
            return Ok(connection);
        }
        let mut connection = Connection::open(&self.location, &self.orchestrator).await?;
        if openings(&mut connection, &self.orchestrator).await? != self.opening {
            return Err(StoreError::TakenOver {
                database: self.location.to_string(),
                orchestrator: self.orchestrator.to_string(),
            });
        }
        Ok(connection)
    }
}

async fn transaction(
    connection: &mut Connection,
    of: &NodeId,
    batch: &[Record],
    forget: Option<u32>,
) -> Result<(), StoreError> {
    connection.begin().await?;
    for record in batch {
        records::write(connection, of, record).await?;
    }
    if let Some(kept) = forget {
        records::forget_oldest(connection, of, kept).await?;
    }
    connection.commit().await
}

/// How often the records of an orchestrator were opened by a process.
async fn openings(connection: &mut Connection, of: &NodeId) -> Result<i64, StoreError> {
    match connection.rows(OPENINGS, &[Value::Text(of.as_str())]).await?.first() {
        Some(row) => row.integer(0).map_err(|unsound| connection.damaged("orchestrators", &unsound)),
        None => Ok(0),
    }
}

impl Journal for Store {
    fn write(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), Fault>> {
        async move { Ok(self.write_batch(&records).await?) }.boxed()
    }

    fn read(&self) -> BoxFuture<'_, Result<Vec<Record>, Fault>> {
        async move { Ok(self.read_all().await?) }.boxed()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({} in {})", self.orchestrator, self.location)
    }
}
