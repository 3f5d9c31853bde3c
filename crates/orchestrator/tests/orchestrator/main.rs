//! The orchestrator from outside: scripted events into the state machine, random walks, and the running task.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]
#![expect(unreachable_pub, reason = "what the kit offers to the tests beside it is public in its own file")]

mod actor;
mod endings;
mod failover;
mod generations;
mod handover;
mod heartbeat;
mod journal;
mod planning;
mod random_walk;
mod registration;
mod replicas;
mod script;
mod sessions;
