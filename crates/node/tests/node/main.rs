//! A node among fakes: a toy engine, lanes in memory, a scripted orchestrator.

mod backpressure;
mod flow;
mod kit;
mod leaving;
mod loss;
mod sessions;
mod violations;
