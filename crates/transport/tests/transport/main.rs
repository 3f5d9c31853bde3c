//! Real swarms on loopback, and peers that do not behave.

mod control;
mod frames;
mod hostile;
mod lanes;
mod support;
