//! The ledger: what happened to each session, and the books that follow from it.

mod books;
mod csv;
mod fact;

pub use books::{BookAccount, Books, BooksError, Posting, postings};
pub use csv::{CsvError, csv_header, csv_lines};
pub use fact::{EndReason, Fact, Granted, Settlement, Unread, Word};
