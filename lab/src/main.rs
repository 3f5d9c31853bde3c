//! Networks of home machines in network namespaces, and what is done to them.

fn main() {}
