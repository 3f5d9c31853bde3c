//! All behaviours of a node, and the transports under them, composed in one place.

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use computepool_core::{Fault, FaultCode};
use libp2p::autonat::v2::server as autonat_server;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{self, NetworkBehaviour};
use libp2p::{PeerId, Swarm, Transport as _, dcutr, dns, identify, mdns, noise, ping, quic, relay, tcp, upnp, yamux};
use libp2p_connection_limits::{Behaviour as Limits, ConnectionLimits};

use super::addresses::MAX_ADDRESSES;
use super::candidates::{Candidates, Sifted};
use super::carried::Scales;
use super::doors::Doors;
use super::options::{NetworkOptions, RelayLimits};
use super::refusals::Ledger;
use super::streams::Streams;
use super::table;
use crate::identity::Identity;

/// What peers say they speak, in identify.
const IDENTIFY_PROTOCOL: &str = "/computepool/1";

/// Streams of one connection that may be in negotiation at once; more are dropped.
const NEGOTIATING: usize = 32;

/// How long making a connection may take, from the first packet to the multiplexer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many nodes may share an IP address, for a relay's limits by address.
const PER_ADDRESS: u32 = 10;

/// The order matters: whatever turns connections away comes first, so that no later behaviour has noted a connection
/// that never was.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: Limits,
    doors: Doors,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) streams: Streams,
    pub(super) candidates: Candidates,
    relay: relay::client::Behaviour,
    relay_server: Toggle<relay::Behaviour>,
    dcutr: Toggle<dcutr::Behaviour>,
    autonat: Toggle<Sifted>,
    autonat_server: Toggle<autonat_server::Behaviour>,
    upnp: Toggle<upnp::tokio::Behaviour>,
    mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) kad: Toggle<table::Kad>,
}

/// A swarm with all transports and behaviours, not listening yet.
pub(super) fn build(
    identity: &Identity,
    options: &NetworkOptions,
    refusals: Arc<Ledger>,
    scales: &mut Scales,
) -> Result<Swarm<Behaviour>, Fault> {
    let keys = identity.keypair();
    let me = keys.public().to_peer_id();
    let (relayed, relay) = relay::client::new(me);
    let transport = transport(&keys, relayed, scales)?;
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(options.max_pending))
        .with_max_pending_outgoing(Some(options.max_pending))
        .with_max_established(Some(options.max_connections))
        .with_max_established_per_peer(Some(options.max_connections_per_peer));
    let ping = ping::Config::new().with_interval(options.ping_interval).with_timeout(options.ping_timeout);
    let identify = identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), keys.public())
        .with_agent_version(concat!("computepool/", env!("CARGO_PKG_VERSION")).to_owned());
    let serves_autonat = options.nat && options.relay_server.is_some();
    let behaviour = Behaviour {
        limits: Limits::new(limits),
        doors: Doors::new(options.max_pending_per_address, options.max_connections_per_address),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        streams: Streams::new(refusals),
        candidates: Candidates::default(),
        relay,
        relay_server: options.relay_server.map(|limits| relay_server(me, limits)).into(),
        dcutr: options.nat.then(|| dcutr::Behaviour::new(me)).into(),
        autonat: options.nat.then(Sifted::default).into(),
        autonat_server: serves_autonat.then(autonat_server::Behaviour::default).into(),
        upnp: options.upnp.then(upnp::tokio::Behaviour::default).into(),
        mdns: options.mdns.then(|| mdns(me)).flatten().into(),
        kad: options.kad.then(|| table::behaviour(me)).into(),
    };
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(options.idle_timeout)
        .with_max_negotiating_inbound_streams(NEGOTIATING)
        .with_dial_concurrency_factor(NonZeroU8::new(MAX_ADDRESSES as u8).unwrap_or(NonZeroU8::MAX));
    Ok(Swarm::new(transport, behaviour, me, config))
}

/// TCP with Noise and Yamux, and QUIC, both with names resolved where this system says how; and circuits over them.
fn transport(
    keys: &Keypair,
    relayed: relay::client::Transport,
    scales: &mut Scales,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Fault> {
    let noise = || {
        noise::Config::new(keys)
            .map_err(|error| Fault::new(FaultCode::Internal, format!("Noise cannot start: {error}")))
    };
    let direct = || -> Result<Boxed<(PeerId, StreamMuxerBox)>, Fault> {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1Lazy)
            .authenticate(noise()?)
            .multiplex(yamux::Config::default());
        let quic = quic::tokio::Transport::new(quic::Config::new(keys));
        let either = tcp.or_transport(quic).map(|either, _| match either {
            futures::future::Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            futures::future::Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        });
        Ok(either.boxed())
    };
    let named = match dns::tokio::Transport::system(direct()?) {
        Ok(named) => named.boxed(),
        Err(error) => {
            tracing::warn!(%error, "this system does not say how to resolve names; /dns addresses cannot be dialled");
            direct()?
        }
    };
    // Circuits go over these: weighed too, they would be counted twice.
    let named = scales.weigh(named);
    let circuits = relayed.upgrade(Version::V1Lazy).authenticate(noise()?).multiplex(yamux::Config::default());
    let all = circuits.or_transport(named).map(|either, _| match either {
        futures::future::Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        futures::future::Either::Right(boxed) => boxed,
    });
    Ok(TransportTimeout::new(all, HANDSHAKE).boxed())
}

fn relay_server(me: PeerId, limits: RelayLimits) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: limits.max_reservations,
        max_reservations_per_peer: limits.max_reservations_per_peer,
        reservation_duration: limits.reservation,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.max_circuits,
        max_circuits_per_peer: limits.max_circuits_per_peer,
        // The wire has seconds in 32 bits, and 0 means none at all.
        max_circuit_duration: limits.circuit.clamp(Duration::from_secs(1), Duration::from_secs(u32::MAX.into())),
        // 0: without limit.
        max_circuit_bytes: 0,
        circuit_src_rate_limiters: Vec::new(),
    };
    // Each is a bucket of a minute's worth that fills up evenly.
    let bucket = |per_minute: u32| {
        let limit = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        (limit, Duration::from_secs(60) / limit.get())
    };
    let (reservations, every) = bucket(limits.reservations_per_minute);
    let (reservations_here, every_here) = bucket(limits.reservations_per_minute.saturating_mul(PER_ADDRESS));
    let (circuits, circuit_every) = bucket(limits.circuits_per_minute);
    let (circuits_here, circuit_every_here) = bucket(limits.circuits_per_minute.saturating_mul(PER_ADDRESS));
    let config = config
        .reservation_rate_per_peer(reservations, every)
        .reservation_rate_per_ip(reservations_here, every_here)
        .circuit_src_per_peer(circuits, circuit_every)
        .circuit_src_per_ip(circuits_here, circuit_every_here);
    relay::Behaviour::new(me, config)
}

fn mdns(me: PeerId) -> Option<mdns::tokio::Behaviour> {
    let started = mdns::tokio::Behaviour::new(mdns::Config::default(), me);
    started.inspect_err(|error| tracing::warn!(%error, "cannot look around the local network")).ok()
}
