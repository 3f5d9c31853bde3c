//! A node among fakes: a toy engine, lanes in memory, a scripted orchestrator.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "the kit is a library inside a test")]

mod backpressure;
mod flow;
mod kit;
mod leaving;
mod lobby;
mod loss;
mod sessions;
mod violations;
