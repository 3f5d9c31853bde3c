//! Where a node listens, and what it puts up with.

use std::time::Duration;

/// How a [`super::Network`] is set up.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Multiaddresses to listen on; port 0 picks a free one. Empty: dial only.
    pub listen: Vec<String>,
    /// Established connections in all; more are refused.
    pub max_connections: u32,
    /// Established connections with one peer: TCP and QUIC, each way, and some to spare for reconnecting.
    pub max_connections_per_peer: u32,
    /// Connections in their handshake, each way.
    pub max_pending: u32,
    /// How long [`super::Network::start`] waits for its listeners' addresses.
    pub listen_timeout: Duration,
    /// How long a dial may take, over all addresses of a peer.
    pub dial_timeout: Duration,
    /// How often each connection's round trip is measured.
    pub ping_interval: Duration,
    /// How long a ping may take. Two in a row that do not come back close the connection.
    pub ping_timeout: Duration,
    /// How long a connection without streams is kept.
    pub idle_timeout: Duration,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            listen: vec!["/ip4/0.0.0.0/tcp/0".to_owned(), "/ip4/0.0.0.0/udp/0/quic-v1".to_owned()],
            max_connections: 1024,
            max_connections_per_peer: 8,
            max_pending: 128,
            listen_timeout: Duration::from_secs(3),
            dial_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
        }
    }
}

impl NetworkOptions {
    /// Listens on this machine only, over TCP and QUIC: for the demo and for tests.
    pub fn loopback() -> Self {
        Self {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned(), "/ip4/127.0.0.1/udp/0/quic-v1".to_owned()],
            ..Self::default()
        }
    }
}
