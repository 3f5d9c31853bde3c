//! A node among fakes: a toy engine, lanes in memory, a scripted orchestrator.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "the kit is a library inside a test")]

mod backpressure;
mod fetching;
mod flow;
mod kit;
mod leaving;
mod lobby;
mod loss;
mod resuming;
mod sessions;
mod violations;
