//! A generation that goes on elsewhere: after what was produced, and on KV that is there already.

mod adopting;
mod refusals;
mod resuming;
mod ring;
