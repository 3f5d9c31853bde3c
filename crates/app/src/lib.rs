//! The composition root: settings and the wiring of every other crate.
