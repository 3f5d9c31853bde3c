//! The ledger's lines: added, and never changed.

use computepool_core::NodeId;
use computepool_core::ports::{LedgerEntry, MAX_LEDGER_TEXT};

use crate::StoreError;
use crate::connection::{Connection, Row, Unsound, Value};

use Value::{Integer, Text};

/// One writer an orchestrator: nobody takes the same line in between.
const ADD: &str = "INSERT INTO ledger (orchestrator, line, subject, ordinal, at_ms, kind, body, concludes) \
    SELECT $1, COALESCE(MAX(line) + 1, 0), $2, $3, $4, $5, $6, $7 FROM ledger WHERE orchestrator = $1 \
    ON CONFLICT (orchestrator, subject, ordinal) DO NOTHING";
const FIND: &str = "SELECT subject, ordinal, at_ms, kind, body, concludes FROM ledger \
    WHERE orchestrator = $1 AND subject = $2 AND ordinal = $3";
const OPEN: &str = "INSERT INTO ledger_open (orchestrator, subject) VALUES ($1, $2) \
    ON CONFLICT (orchestrator, subject) DO NOTHING";
const CONCLUDE: &str = "DELETE FROM ledger_open WHERE orchestrator = $1 AND subject = $2";
const UNCONCLUDED: &str = "SELECT l.subject, l.ordinal, l.at_ms, l.kind, l.body, l.concludes FROM ledger l \
    JOIN ledger_open o ON o.orchestrator = l.orchestrator AND o.subject = l.subject \
    WHERE l.orchestrator = $1 ORDER BY l.line";
const PAGE: &str = "SELECT subject, ordinal, at_ms, kind, body, concludes FROM ledger \
    WHERE orchestrator = $1 AND line >= $2 ORDER BY line LIMIT $3";

/// Adds an entry, in the transaction that is open. One that is there already, word for word, is left as it is.
pub(crate) async fn append(connection: &mut Connection, of: &NodeId, entry: &LedgerEntry) -> Result<(), StoreError> {
    let (subject, ordinal) = (entry.subject.clone(), entry.ordinal);
    if [&entry.subject, &entry.kind, &entry.body].iter().any(|text| text.len() > MAX_LEDGER_TEXT) {
        let subject = subject.chars().take(100).collect();
        return Err(StoreError::TooLong { subject, ordinal });
    }
    let at_ms = i64::try_from(entry.at_ms)
        .map_err(|_| StoreError::TooLarge { what: "the time of an entry", value: entry.at_ms })?;
    let (orchestrator, key) = (Text(of.as_str()), Text(&entry.subject));
    let number = Integer(i64::from(ordinal));
    let (kind, body, concludes) = (Text(&entry.kind), Text(&entry.body), Integer(i64::from(entry.concludes)));
    let values = [orchestrator, key, number, Integer(at_ms), kind, body, concludes];
    if connection.execute(ADD, &values).await? == 0 {
        let found = lines(connection, FIND, &[orchestrator, key, number]).await?;
        if found.first() != Some(entry) {
            return Err(StoreError::Duplicate { database: connection.database().to_owned(), subject, ordinal });
        }
        return Ok(());
    }
    let mark = if entry.concludes { CONCLUDE } else { OPEN };
    connection.execute(mark, &[orchestrator, key]).await.map(drop)
}

/// The entries of all subjects that are not concluded.
pub(crate) async fn unconcluded(connection: &mut Connection, of: &NodeId) -> Result<Vec<LedgerEntry>, StoreError> {
    lines(connection, UNCONCLUDED, &[Text(of.as_str())]).await
}

/// Some entries from a line on.
pub(crate) async fn page(
    connection: &mut Connection,
    of: &NodeId,
    skip: u64,
    limit: u32,
) -> Result<Vec<LedgerEntry>, StoreError> {
    let skip = Integer(i64::try_from(skip).unwrap_or(i64::MAX));
    lines(connection, PAGE, &[Text(of.as_str()), skip, Integer(i64::from(limit))]).await
}

async fn lines(
    connection: &mut Connection,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Vec<LedgerEntry>, StoreError> {
    let rows = connection.rows(sql, values).await?;
    let entries: Result<_, Unsound> = rows.iter().map(entry).collect();
    entries.map_err(|unsound| connection.damaged("ledger", &unsound))
}

fn entry(row: &Row) -> Result<LedgerEntry, Unsound> {
    Ok(LedgerEntry {
        subject: row.text(0)?,
        ordinal: row.number(1)?,
        at_ms: row.number(2)?,
        kind: row.text(3)?,
        body: row.text(4)?,
        concludes: row.integer(5)? != 0,
    })
}
