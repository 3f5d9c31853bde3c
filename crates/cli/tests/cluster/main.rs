//! Whole networks of real processes: an orchestrator, nodes and engines that talk libp2p and serve the real sample model.
//!
//! Every test starts its own; `.config/nextest.toml` runs those whose name contains `cluster` one at a time.
#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

mod answers;
mod desk;
mod desk_killed;
mod engine_loss;
mod family;
mod hostile;
mod kit;
mod leaving;
mod node_loss;
mod paying;
mod stream;
mod unread;
