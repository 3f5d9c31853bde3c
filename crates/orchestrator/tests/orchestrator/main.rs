//! The orchestrator from outside: scripted events into the state machine, random walks, and the running task.

#![expect(unreachable_pub, reason = "what the kit offers to the tests beside it is public in its own file")]

mod actor;
mod endings;
mod generations;
mod planning;
mod random_walk;
mod registration;
mod script;
mod sessions;
