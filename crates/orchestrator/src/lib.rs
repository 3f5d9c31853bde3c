//! Nodes, routes, sessions and generations as a pure state machine with effects.
