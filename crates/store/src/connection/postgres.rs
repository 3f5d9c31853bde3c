//! PostgreSQL: a session of our own settings that holds the claim on an orchestrator's records.

use std::time::Duration;

use computepool_core::NodeId;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, Row as _};
use tokio::time::sleep;

use crate::StoreError;

/// Names resolve in our schema. A server that answers before it has written is told not to. A stricter isolation than we
/// need would only make it refuse us now and then. It asks after us when it hears nothing, so that the claim of a machine
/// that has died is free within half a minute. No setting needs a privilege, and none is given as the session starts,
/// where poolers would refuse it.
const SETTINGS: &str = "SELECT set_config('search_path', 'computepool', false), \
    set_config('client_min_messages', 'warning', false), \
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' \
        ELSE current_setting('synchronous_commit') END, false), \
    set_config('default_transaction_isolation', 'read committed', false), \
    set_config('tcp_keepalives_idle', '10', false), \
    set_config('tcp_keepalives_interval', '5', false), \
    set_config('tcp_keepalives_count', '3', false), \
    set_config('tcp_user_timeout', '25000', false)";

const READ_ONLY: &str = "SELECT set_config('default_transaction_read_only', 'on', false)";

/// Claims the records of one orchestrator for as long as the session lasts.
const CLAIM_RECORDS: &str = "SELECT pg_try_advisory_lock(hashtextextended('computepool orchestrator ' || $1, 0))";
/// Claims the schema until the transaction ends.
pub(super) const CLAIM_SCHEMA: &str = "SELECT 1 FROM pg_advisory_xact_lock(hashtextextended('computepool schema', 0))";
pub(super) const FIND_SCHEMA: &str = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'computepool'";
pub(super) const MAKE_SCHEMA: &str = "CREATE SCHEMA computepool";

/// How often the claim is tried, and how long apart: the server takes a moment to notice that a process is gone.
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

pub(super) async fn open(
    options: &PgConnectOptions,
    database: &str,
    orchestrator: &NodeId,
) -> Result<PgConnection, StoreError> {
    let said = |error: sqlx::Error| StoreError::of(database, &error);
    let mut session = connect(options).await.map_err(said)?;
    for tried in 1..=TRIES {
        let claim = sqlx::query(CLAIM_RECORDS).bind(orchestrator.as_str());
        if claim.fetch_one(&mut session).await.and_then(|row| row.try_get(0)).map_err(said)? {
            return Ok(session);
        }
        if tried < TRIES {
            sleep(BETWEEN_TRIES).await;
        }
    }
    Err(StoreError::InUse { database: database.to_owned(), orchestrator: orchestrator.to_string() })
}

/// A session that claims nothing and is kept from writing.
pub(super) async fn open_to_read(options: &PgConnectOptions, database: &str) -> Result<PgConnection, StoreError> {
    let said = |error: sqlx::Error| StoreError::of(database, &error);
    let mut session = connect(options).await.map_err(said)?;
    sqlx::query(READ_ONLY).execute(&mut session).await.map_err(said)?;
    Ok(session)
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut options = options.clone().disable_statement_logging();
    if options.get_application_name().is_none() {
        options = options.application_name("computepool");
    }
    let mut session = options.connect().await?;
    sqlx::query(SETTINGS).execute(&mut session).await?;
    Ok(session)
}
