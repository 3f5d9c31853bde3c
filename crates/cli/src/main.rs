//! `computepool`, the headless host.

fn main() {}
