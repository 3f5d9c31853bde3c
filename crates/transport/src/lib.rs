//! libp2p: identity, activation streams, control links.
