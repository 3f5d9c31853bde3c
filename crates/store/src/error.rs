//! What can go wrong with a store, and what people can do about it.

use computepool_core::{Fault, FaultCode};
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Why a store could not be opened, written or read. `database` names the database and never has a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no database.
    #[error("the URL of the store cannot be used: {why}")]
    BadUrl {
        /// What is wrong with it.
        why: String,
    },
    /// The database does not answer, or stopped answering.
    #[error("{database} cannot be reached: {why}")]
    Unreachable {
        /// Which database.
        database: String,
        /// What the system or the server says.
        why: String,
    },
    /// The server knows neither this user nor this password, or has no such database.
    #[error("{database} does not let us in: {why}")]
    Denied {
        /// Which database.
        database: String,
        /// What the server says.
        why: String,
    },
    /// The file, its folder or the database cannot be written.
    #[error("{database} cannot be written: {why}")]
    Unwritable {
        /// Which database.
        database: String,
        /// What the system or the server says.
        why: String,
    },
    /// The disk is full.
    #[error("there is no room left for {database}: {why}")]
    Full {
        /// Which database.
        database: String,
        /// What the system or the server says.
        why: String,
    },
    /// Another program keeps the file locked.
    #[error("{database} is locked by another program: {why}")]
    Busy {
        /// Which database.
        database: String,
        /// What SQLite says.
        why: String,
    },
    /// The file is not a SQLite database, or what stands in it makes no sense.
    #[error("{database} is damaged: {why}")]
    Damaged {
        /// Which database.
        database: String,
        /// What was found.
        why: String,
    },
    /// A newer version has changed the layout.
    #[error(
        "{database} was written by a newer ComputePool: its layout is version {found}, this one knows up to {known}"
    )]
    Newer {
        /// Which database.
        database: String,
        /// Its layout's version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Another process has the records of this orchestrator open.
    #[error("the records of orchestrator {orchestrator} in {database} are in use by another process")]
    InUse {
        /// Which database.
        database: String,
        /// Whose records.
        orchestrator: String,
    },
    /// While the connection was broken, another process opened the records of this orchestrator.
    #[error("another process has taken over the records of orchestrator {orchestrator} in {database}")]
    TakenOver {
        /// Which database.
        database: String,
        /// Whose records.
        orchestrator: String,
    },
    /// A figure in a record does not fit a database's integers.
    #[error("{what} is {value}, and no more than {} can be kept", i64::MAX)]
    TooLarge {
        /// Which figure.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// The ledger has another entry in this place.
    #[error("the ledger in {database} has another entry {ordinal} of {subject}")]
    Duplicate {
        /// Which database.
        database: String,
        /// Whose entry.
        subject: String,
        /// Which.
        ordinal: u32,
    },
    /// A part of an entry is too long.
    #[error("a part of the entry {ordinal} of {subject} is too long")]
    TooLong {
        /// Whose entry.
        subject: String,
        /// Which.
        ordinal: u32,
    },
    /// The store was closed.
    #[error("{database} was closed")]
    Closed {
        /// Which database.
        database: String,
    },
    /// Anything else that the database says.
    #[error("{database} failed: {why}")]
    Failed {
        /// Which database.
        database: String,
        /// What it says.
        why: String,
    },
}

impl StoreError {
    /// Names what the database or the way to it said about `database`.
    pub(crate) fn of(database: &str, error: &sqlx::Error) -> Self {
        let (database, why) = (database.to_owned(), reason(error));
        let sqlx::Error::Database(said) = error else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                    Self::Unreachable { database, why }
                }
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Damaged { database, why },
                _ => Self::Failed { database, why },
            };
        };
        let code = said.code().unwrap_or_default();
        if said.try_downcast_ref::<SqliteError>().is_some() {
            Self::sqlite(code.parse().unwrap_or_default(), database, why)
        } else if said.try_downcast_ref::<PgDatabaseError>().is_some() {
            Self::postgres(&code, database, why)
        } else {
            Self::Failed { database, why }
        }
    }

    /// The primary result code is the low byte: <https://www.sqlite.org/rescode.html>.
    fn sqlite(code: u32, database: String, why: String) -> Self {
        match code & 0xff {
            5 | 6 => Self::Busy { database, why },
            3 | 8 | 10 | 14 | 23 => Self::Unwritable { database, why },
            11 | 26 => Self::Damaged { database, why },
            13 => Self::Full { database, why },
            _ => Self::Failed { database, why },
        }
    }

    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn postgres(code: &str, database: String, why: String) -> Self {
        match code {
            "42501" | "25006" => Self::Unwritable { database, why },
            "53100" => Self::Full { database, why },
            "53300" | "57P01" | "57P02" | "57P03" | "57P05" => Self::Unreachable { database, why },
            _ if code.starts_with("08") => Self::Unreachable { database, why },
            _ if code.starts_with("28") || code == "3D000" => Self::Denied { database, why },
            "XX001" | "XX002" => Self::Damaged { database, why },
            _ => Self::Failed { database, why },
        }
    }

    /// Whether a new connection may do better.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadUrl { .. } => "use a path, sqlite:PATH, or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            Self::Unreachable { .. } => "see that the database server runs and that this machine may connect to it",
            Self::Denied { .. } => {
                "check user, password and database name in the URL; the database itself is not made here"
            }
            Self::Unwritable { .. } => {
                "see that the folder exists, and that this user may write in it or in the database"
            }
            Self::Full { .. } => "make room on the disk; nothing that was kept is lost",
            Self::Busy { .. } => "close the program that has the file open for writing",
            Self::Damaged { .. } => "put back a copy, or move the file away to start without what it remembered",
            Self::Newer { .. } => "run the newer version, or give this one a database of its own",
            Self::InUse { .. } => {
                "stop the other process, or give this one a key of its own; a server lets go of a machine that has died \
                 within half a minute"
            }
            Self::TakenOver { .. } => "stop one of the two; they have the same key",
            Self::TooLarge { .. }
            | Self::Closed { .. }
            | Self::Failed { .. }
            | Self::Duplicate { .. }
            | Self::TooLong { .. } => return None,
        })
    }
}

/// What the database itself says, without the wrapping.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(said) => said.to_string(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::TooLarge { .. } | StoreError::TooLong { .. } | StoreError::BadUrl { .. } => {
                FaultCode::InvalidRequest
            }
            StoreError::Duplicate { .. } => FaultCode::Duplicate,
            _ => FaultCode::Io,
        };
        let fault = Fault::new(code, error.to_string());
        let fault = match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        };
        match error {
            StoreError::Unreachable { .. } | StoreError::Busy { .. } => fault.retry_after_ms(1_000),
            StoreError::Full { .. } | StoreError::InUse { .. } => fault.retry_after_ms(10_000),
            _ => fault,
        }
    }
}
