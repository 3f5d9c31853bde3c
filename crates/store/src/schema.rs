//! The layout of the tables, and how an older one becomes the present one.
//!
//! Orchestrators of different versions may share a database for a while: a change of layout should leave the older
//! version's statements working, or say in its release notes that all must stop first.

use crate::StoreError;
use crate::connection::{Connection, Value};

/// Each brings the layout from the version of its index to the next. What was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/1_journal.sql"), include_str!("../migrations/2_ledger.sql")];

/// Brings the layout to the present version, in one transaction that nobody else's migration can overlap.
pub(crate) async fn bring_up_to_date(connection: &mut Connection) -> Result<(), StoreError> {
    connection.begin_migration().await?;
    match migrate(connection).await {
        Ok(()) => connection.commit().await,
        Err(error) => {
            connection.rollback().await?;
            Err(error)
        }
    }
}

/// Refuses a database that was never a store, or whose layout is another than the present one.
pub(crate) async fn is_present(connection: &mut Connection) -> Result<(), StoreError> {
    let rows = connection.rows("SELECT version FROM store_version", &[]).await?;
    let found = match rows.first() {
        Some(row) => row.integer(0).map_err(|unsound| connection.damaged("store_version", &unsound))?,
        None => 0,
    };
    let known = MIGRATIONS.len() as i64;
    let database = connection.database().to_owned();
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::Newer { database, found, known }),
        std::cmp::Ordering::Less => Err(StoreError::Damaged {
            database,
            why: format!("its layout is version {found}, and an orchestrator brings it to {known} when it starts"),
        }),
    }
}

async fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    connection.script("CREATE TABLE IF NOT EXISTS store_version (version BIGINT NOT NULL)").await?;
    let found = match connection.rows("SELECT version FROM store_version", &[]).await?.first() {
        Some(row) => row.integer(0).map_err(|unsound| connection.damaged("store_version", &unsound))?,
        None => 0,
    };
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { database: connection.database().to_owned(), found, known });
    }
    let Some(missing) = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..)) else {
        return Err(StoreError::Damaged {
            database: connection.database().to_owned(),
            why: format!("its layout cannot be version {found}"),
        });
    };
    if missing.is_empty() {
        return Ok(());
    }
    for migration in missing {
        connection.script(migration).await?;
    }
    connection.execute("DELETE FROM store_version", &[]).await?;
    connection.execute("INSERT INTO store_version (version) VALUES ($1)", &[Value::Integer(known)]).await?;
    tracing::info!(database = connection.database(), found, known, "the store's layout was brought up to date");
    Ok(())
}
