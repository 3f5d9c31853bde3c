//! What an orchestrator must find again after a restart, in SQLite or PostgreSQL.
