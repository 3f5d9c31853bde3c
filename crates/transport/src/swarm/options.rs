//! Where a node listens, what it puts up with, and how far it goes to be reached.

use std::time::Duration;

/// How a [`super::Network`] is set up.
///
/// By default a node listens and dials, and nothing else: no relay, no port mapping, no discovery.
/// [`NetworkOptions::wide`] switches on what a node on the internet needs.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Multiaddresses to listen on; port 0 picks a free one. Empty: dial only.
    pub listen: Vec<String>,
    /// Multiaddresses at which the owner says that anybody can reach this node.
    pub external: Vec<String>,
    /// Relays to keep a reservation at, as multiaddresses that end in `/p2p/ID`. Several addresses of one relay are one
    /// relay, and each of them is dialled, for what it observes of this node's NAT.
    pub relays: Vec<String>,
    /// Serves circuits, and AutoNAT checks with `nat`, to others; `None` for not.
    pub relay_server: Option<RelayLimits>,
    /// Punches through NATs (DCUtR) and has others check how this node can be reached (AutoNAT v2).
    pub nat: bool,
    /// Asks the router to map the listening ports.
    pub upnp: bool,
    /// Finds, and is found by, nodes of the local network.
    pub mdns: bool,
    /// Takes part in the Kademlia table of nodes and of who has which weights. Public nodes answer queries, others only
    /// ask.
    pub kad: bool,
    /// Established connections in all; more are refused.
    pub max_connections: u32,
    /// Established connections with one peer: TCP and QUIC, each way, a relayed one, and some to spare for
    /// reconnecting.
    pub max_connections_per_peer: u32,
    /// Established connections from one IP address, or one IPv6 /64; more are refused. Many homes share an address.
    pub max_connections_per_address: u32,
    /// Connections in their handshake, each way.
    pub max_pending: u32,
    /// Inbound connections in their handshake from one IP address, or one IPv6 /64.
    pub max_pending_per_address: u32,
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
            external: Vec::new(),
            relays: Vec::new(),
            relay_server: None,
            nat: false,
            upnp: false,
            mdns: false,
            kad: false,
            max_connections: 1024,
            max_connections_per_peer: 8,
            max_connections_per_address: 256,
            max_pending: 256,
            max_pending_per_address: 64,
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

    /// Listens everywhere, and does all it can to be reached and to find others: punches, asks the router for ports,
    /// looks around the local network, takes part in the table.
    pub fn wide() -> Self {
        Self { nat: true, upnp: true, mdns: true, kad: true, ..Self::default() }
    }
}

/// What a relay carries for others.
///
/// libp2p's own defaults end a circuit after 128 KiB or two minutes, which is one long prompt. Activations need circuits
/// without a byte limit that last as long as sessions do; what bounds a relay is how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Reservations in all: nodes that can be reached through this relay.
    pub max_reservations: usize,
    /// Reservations of one peer, on connections of its own; a node that reconnects may hold an older one for a while.
    pub max_reservations_per_peer: usize,
    /// How long a reservation lasts before it must be renewed.
    pub reservation: Duration,
    /// New reservations and renewals that one peer may ask for in a minute; ten times as many may come from one IP
    /// address, behind which many nodes can be.
    pub reservations_per_minute: u32,
    /// Circuits in all: pairs of peers that go through this relay.
    pub max_circuits: usize,
    /// Circuits that one peer opened, or that lead to it.
    pub max_circuits_per_peer: usize,
    /// How long a circuit lasts.
    pub circuit: Duration,
    /// Circuits that one peer may open in a minute; ten times as many may come from one IP address.
    pub circuits_per_minute: u32,
}

impl Default for RelayLimits {
    /// For a host with a good uplink: 512 nodes, each with circuits to 31 others, for a day at a time.
    fn default() -> Self {
        Self {
            max_reservations: 512,
            max_reservations_per_peer: 4,
            reservation: Duration::from_secs(60 * 60),
            reservations_per_minute: 30,
            max_circuits: 1024,
            max_circuits_per_peer: 31,
            circuit: Duration::from_secs(24 * 60 * 60),
            circuits_per_minute: 60,
        }
    }
}
