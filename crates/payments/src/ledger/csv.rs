//! The books as a table for spreadsheets: RFC 4180, one line for each posting.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use computepool_core::Account;
use computepool_core::ports::LedgerEntry;

use super::{BooksError, Fact, Granted, Unread, postings};

/// The first line.
pub fn csv_header() -> &'static str {
    "time_ms,session,kind,from,to,amount,asset\r\n"
}

/// The lines for these entries, in their order. `granted` remembers from page to page what sessions began with. No field
/// can hold a comma, a quote or a formula: they are numbers, addresses and words of ours.
pub fn csv_lines(granted: &mut BTreeMap<Account, Granted>, entries: &[LedgerEntry]) -> Result<String, CsvError> {
    let mut lines = String::new();
    for entry in entries {
        let (account, fact) = Fact::read(entry)?;
        if let Fact::Authorized(first) = &fact {
            granted.insert(account, (**first).clone());
        }
        let Some(first) = granted.get(&account) else { continue };
        for posting in postings(first, &fact)? {
            let (amount, asset) = (posting.amount.to_decimal(), posting.amount.asset);
            let (at, kind) = (entry.at_ms, fact.kind());
            // Writing to a string does not fail.
            let _ = write!(lines, "{at},{account},{kind},{},{},{amount},{asset}\r\n", posting.from, posting.to);
        }
        if entry.concludes {
            granted.remove(&account);
        }
    }
    Ok(lines)
}

/// Why the books cannot be written out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// An entry makes no sense.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The books do not close.
    #[error(transparent)]
    Books(#[from] BooksError),
}
