//! SQLite: a write-ahead log that is on the disk when a commit returns.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::time::sleep;

use crate::StoreError;

/// How long SQLite waits for another program's transaction.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
/// How often opening is tried, and how long apart: the change to a write-ahead log does not wait for its turn.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

pub(super) async fn open(path: &Path, database: &str) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_PATIENCE)
        // On Apple's systems fsync alone stops at the drive's cache; elsewhere these say nothing.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .disable_statement_logging();
    let mut tries = 1;
    loop {
        match options.connect().await.map_err(|error| StoreError::of(database, &error)) {
            Err(StoreError::Busy { .. }) if tries < TRIES => sleep(BETWEEN_TRIES).await,
            outcome => return outcome,
        }
        tries += 1;
    }
}

/// A connection that cannot write. Beside a writer it reads what was committed.
pub(super) async fn open_to_read(path: &Path, database: &str) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_PATIENCE)
        .disable_statement_logging();
    options.connect().await.map_err(|error| StoreError::of(database, &error))
}
