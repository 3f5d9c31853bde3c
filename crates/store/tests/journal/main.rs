//! The journal, kept by SQLite and by PostgreSQL: the same suite for both, then what only one of them can get wrong.

#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

mod crash;
mod database;
mod postgres;
mod sample;
mod server;
mod sqlite;
mod suite;
