//! All behaviours of a node, composed in one place.

use computepool_core::{Fault, FaultCode};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux};
use libp2p_connection_limits::{Behaviour as Limits, ConnectionLimits};

use super::options::NetworkOptions;
use super::streams::Streams;
use crate::identity::Identity;

/// What peers say they speak, in identify.
const IDENTIFY_PROTOCOL: &str = "/computepool/1";

/// Streams of one connection that may be in negotiation at once; more are dropped.
const NEGOTIATING: usize = 32;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: Limits,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) streams: Streams,
}

/// A swarm with both transports and all behaviours, not listening yet.
pub(super) fn build(identity: &Identity, options: &NetworkOptions) -> Result<Swarm<Behaviour>, Fault> {
    let failed = |what: &str, error: String| Fault::new(FaultCode::Internal, format!("{what} cannot start: {error}"));
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(options.max_pending))
        .with_max_pending_outgoing(Some(options.max_pending))
        .with_max_established(Some(options.max_connections))
        .with_max_established_per_peer(Some(options.max_connections_per_peer));
    let ping = ping::Config::new().with_interval(options.ping_interval).with_timeout(options.ping_timeout);
    let swarm = SwarmBuilder::with_existing_identity(identity.keypair())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| failed("Noise", error.to_string()))?
        .with_quic()
        .with_behaviour(|keys| Behaviour {
            limits: Limits::new(limits),
            identify: identify::Behaviour::new(
                identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), keys.public())
                    .with_agent_version(concat!("computepool/", env!("CARGO_PKG_VERSION")).to_owned()),
            ),
            ping: ping::Behaviour::new(ping),
            streams: Streams::default(),
        })
        .map_err(|error| failed("the behaviours", error.to_string()))?
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(options.idle_timeout).with_max_negotiating_inbound_streams(NEGOTIATING)
        })
        .build();
    Ok(swarm)
}
