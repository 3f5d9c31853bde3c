//! What an orchestrator must find again after a restart, in SQLite or PostgreSQL.
//!
//! A [`Store`] keeps the records of one orchestrator, named by its peer id, and implements
//! [`Journal`](computepool_core::ports::Journal). Where it keeps them is a URL:
//!
//! | URL | where |
//! |---|---|
//! | `sqlite:PATH`, or just `PATH` | a SQLite file, made where there is none; its folder must be there |
//! | `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…` | a PostgreSQL server (12 or newer), in the schema `computepool` |
//!
//! Several orchestrators may share one database: every row bears its orchestrator's id, and each sees its own.
//! `migrations/` has the tables; they have columns for what people ask about, and may be read by anybody at any time.
//!
//! # What it promises
//!
//! - **A batch is one transaction**, in the order given. When [`write`](computepool_core::ports::Journal::write) has
//!   returned, it outlasts a kill and a power cut. SQLite runs with a write-ahead log and `synchronous = FULL`
//!   (`fullfsync` on Apple's systems); on PostgreSQL, `synchronous_commit` is turned on where the server has it off.
//! - **One process writes for an orchestrator.** On SQLite it holds a lock on a file beside the database; on PostgreSQL,
//!   an advisory lock in the very session that writes, so that the lock cannot outlive the right to write, nor the
//!   other way round. A second process is refused. PostgreSQL's default isolation is enough for that reason: no two
//!   sessions ever touch the same rows.
//! - **A broken session is mended**: the store connects again and repeats the batch, once. Repeating does no harm even
//!   if the server had committed before the answer was lost, since a record replaces its predecessor. If another process
//!   had the records in the meantime, the store refuses for good, because what its owner remembers is not true any more.
//! - **Dropping a write half-way** leaves all of it or nothing.
//!
//! Nothing grows without end: nodes, places and sessions are as many as the orchestrator allows itself, and of the
//! generations the newest are kept ([`Retention`]).
//!
//! # The ledger
//!
//! A store is also the [`Ledger`](computepool_core::ports::Ledger) of its orchestrator's payments. Its entries are never
//! changed or forgotten. They are numbered for each subject, and a number is given once: an entry that repeats another
//! word for word counts as written, as a repeated batch needs it, and a different one is refused.
//!
//! A [`LedgerReader`] reads it beside the process that writes it, and claims nothing.
//!
//! The layout has a version. An older one is brought up to date when a store is opened; a newer one is refused.

mod connection;
mod error;
mod location;
mod lock;
mod reader;
mod records;
mod schema;
mod store;

pub use error::StoreError;
pub use reader::LedgerReader;
pub use store::{Retention, Store};
