//! An empty database of either kind, and a look into it from outside.

use std::sync::Arc;

use computepool_store::{Retention, Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row};
use tempfile::TempDir;

use crate::sample::peer;
use crate::server::Server;

/// A database of a test's own. A folder goes with its file.
pub(crate) enum Database {
    File(TempDir),
    Server { url: String },
}

impl Database {
    pub(crate) fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn on(server: &Server, name: &str) -> Self {
        let mut session = server.session().await;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut session).await.unwrap();
        Self::Server { url: server.url(name) }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite:{}", folder.path().join("pool.db").display()),
            Self::Server { url } => url.clone(),
        }
    }

    pub(crate) async fn open(&self, orchestrator: &str) -> Arc<Store> {
        self.try_open(orchestrator).await.unwrap()
    }

    pub(crate) async fn try_open(&self, orchestrator: &str) -> Result<Arc<Store>, StoreError> {
        Store::open(&self.url(), &peer(orchestrator)).await
    }

    pub(crate) async fn open_keeping(&self, orchestrator: &str, generations: u32) -> Arc<Store> {
        Store::open_with(&self.url(), &peer(orchestrator), Retention { generations }).await.unwrap()
    }

    /// Runs a statement beside the store, as a person might; returns the first column of what it finds, as text.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::File(folder) => {
                let options = SqliteConnectOptions::new().filename(folder.path().join("pool.db"));
                let mut session = options.connect().await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut session).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Server { url } => {
                let mut session = <PgConnection as sqlx::Connection>::connect(url).await.unwrap();
                sqlx::raw_sql("SET search_path = computepool").execute(&mut session).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut session).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}
