//! Rows, and what is wrong with one that this version cannot have written.

use computepool_core::Fault;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// A row of either database. Columns are numbered from 0.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsound {
    #[error("{0}")]
    Column(#[from] sqlx::Error),
    #[error("{}", .0.message)]
    Value(#[from] Fault),
    #[error("{0} is out of range")]
    Range(i64),
}

/// Getters for the types that both databases have.
macro_rules! getters {
    ($($name:ident: $type:ty),+ $(,)?) => {
        $(pub(crate) fn $name(&self, column: usize) -> Result<$type, Unsound> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(column)?,
                Self::Postgres(row) => row.try_get(column)?,
            })
        })+
    };
}

impl Row {
    getters! {
        integer: i64,
        maybe_integer: Option<i64>,
        text: String,
        maybe_text: Option<String>,
        bytes: Vec<u8>,
    }

    /// An integer of a narrower or unsigned type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, Unsound> {
        let integer = self.integer(column)?;
        T::try_from(integer).map_err(|_| Unsound::Range(integer))
    }

    /// What a text says.
    pub(crate) fn parsed<T: std::str::FromStr<Err = Fault>>(&self, column: usize) -> Result<T, Unsound> {
        Ok(self.text(column)?.parse()?)
    }
}
