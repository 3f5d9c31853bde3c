//! One connection to either kind of database, and statements that both understand.

mod postgres;
mod row;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use computepool_core::NodeId;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::time::timeout;

pub(crate) use self::row::{Row, Unsound};
use crate::StoreError;
use crate::location::Location;

/// How long a database may take to let us in.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// How long it may take over one statement.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, with what its database is called.
pub(crate) struct Connection {
    link: Link,
    database: Arc<str>,
}

enum Link {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Integer(i64),
    MaybeInteger(Option<i64>),
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Bytes(&'a [u8]),
}

/// The statement with its parameters, for whichever database the context asks for.
macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $values {
            query = match *value {
                Value::Integer(value) => query.bind(value),
                Value::MaybeInteger(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::MaybeText(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Connection {
    /// Connects. On a server, nobody else has claimed the orchestrator's records when this returns, nor can they while
    /// the connection lasts; a file has its [`FileLock`](crate::lock::FileLock) for that.
    pub(crate) async fn open(location: &Location, orchestrator: &NodeId) -> Result<Self, StoreError> {
        let database: Arc<str> = location.to_string().into();
        let opening = async {
            Ok(match location {
                Location::File(path) => Link::Sqlite(Box::new(sqlite::open(path, &database).await?)),
                Location::Server(options) => {
                    Link::Postgres(Box::new(postgres::open(options, &database, orchestrator).await?))
                }
            })
        };
        let link =
            timeout(CONNECT_PATIENCE, opening).await.unwrap_or_else(|_| Err(slow(&database, CONNECT_PATIENCE)))?;
        Ok(Self { link, database })
    }

    /// Connects only to read. Nothing is claimed, nothing is made, and whoever writes meanwhile is not in the way.
    pub(crate) async fn open_to_read(location: &Location) -> Result<Self, StoreError> {
        let database: Arc<str> = location.to_string().into();
        let opening = async {
            Ok(match location {
                Location::File(path) => Link::Sqlite(Box::new(sqlite::open_to_read(path, &database).await?)),
                Location::Server(options) => {
                    Link::Postgres(Box::new(postgres::open_to_read(options, &database).await?))
                }
            })
        };
        let link =
            timeout(CONNECT_PATIENCE, opening).await.unwrap_or_else(|_| Err(slow(&database, CONNECT_PATIENCE)))?;
        Ok(Self { link, database })
    }

    /// What the database is called.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        match &mut self.link {
            Link::Sqlite(link) => {
                let done = answered(&self.database, bound!(sql, values).execute(&mut **link)).await?;
                Ok(done.rows_affected())
            }
            Link::Postgres(link) => {
                let done = answered(&self.database, bound!(sql, values).execute(&mut **link)).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Everything that a query finds.
    pub(crate) async fn rows(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        match &mut self.link {
            Link::Sqlite(link) => {
                let rows = answered(&self.database, bound!(sql, values).fetch_all(&mut **link)).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Link::Postgres(link) => {
                let rows = answered(&self.database, bound!(sql, values).fetch_all(&mut **link)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Runs several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match &mut self.link {
            Link::Sqlite(link) => answered(&self.database, sqlx::raw_sql(sql).execute(&mut **link)).await.map(drop),
            Link::Postgres(link) => answered(&self.database, sqlx::raw_sql(sql).execute(&mut **link)).await.map(drop),
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&mut self) -> Result<(), StoreError> {
        self.script(match self.link {
            // A transaction that began by reading could be refused when it comes to write.
            Link::Sqlite(_) => "BEGIN IMMEDIATE",
            Link::Postgres(_) => "BEGIN",
        })
        .await
    }

    /// Begins a transaction that no other migration of the same database overlaps, with the schema in place.
    pub(crate) async fn begin_migration(&mut self) -> Result<(), StoreError> {
        self.begin().await?;
        if matches!(self.link, Link::Sqlite(_)) {
            return Ok(());
        }
        self.rows(postgres::CLAIM_SCHEMA, &[]).await?;
        // Asking first spares those who may use the schema, but not make one, a refusal.
        if self.rows(postgres::FIND_SCHEMA, &[]).await?.is_empty() {
            self.script(postgres::MAKE_SCHEMA).await?;
        }
        Ok(())
    }

    /// Makes a transaction last.
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.script("COMMIT").await
    }

    /// Undoes a transaction.
    pub(crate) async fn rollback(&mut self) -> Result<(), StoreError> {
        self.script("ROLLBACK").await
    }

    /// Says that what was found in a table makes no sense.
    pub(crate) fn damaged(&self, table: &str, unsound: &Unsound) -> StoreError {
        StoreError::Damaged { database: self.database.to_string(), why: format!("{table}: {unsound}") }
    }

    /// Takes leave of the database.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        let closed = match self.link {
            Link::Sqlite(link) => link.close().await,
            Link::Postgres(link) => link.close().await,
        };
        closed.map_err(|error| StoreError::of(&self.database, &error))
    }
}

/// What a database says, unless it takes too long over it.
async fn answered<T>(database: &str, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match timeout(PATIENCE, answer).await {
        Ok(said) => said.map_err(|error| StoreError::of(database, &error)),
        Err(_) => Err(slow(database, PATIENCE)),
    }
}

fn slow(database: &str, patience: Duration) -> StoreError {
    let why = format!("no answer within {} s", patience.as_secs());
    StoreError::Unreachable { database: database.to_owned(), why }
}
