//! What the swarm reports.

use libp2p::core::transport::ListenerId;
use libp2p::swarm::{ListenError, SwarmEvent};
use libp2p::{Multiaddr, autonat, dcutr, identify, mdns, ping, upnp};

use super::{Dial, SwarmActor, answer, unreachable};
use crate::swarm::addresses::without_peer;
use crate::swarm::behaviour::BehaviourEvent;
use crate::swarm::doors::Crowded;
use crate::swarm::paths::{ip_of, is_circuit};
use crate::swarm::peers::Way;
use crate::swarm::preflight::PortMapping;
use crate::swarm::refusals::Refusal;

/// Pings that may fail in a row before their connection is closed.
const MAX_MISSED_PINGS: u32 = 2;

/// Nodes of the local network that are remembered, and addresses of each.
const MAX_LAN: (usize, usize) = (256, 8);

/// Public addresses that are remembered of this node.
const MAX_PUBLIC: usize = 16;

impl SwarmActor {
    pub(super) fn handle_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let address = endpoint.get_remote_address();
                tracing::debug!(
                    peer = %peer_id, %address, dialled = endpoint.is_dialer(), relayed = endpoint.is_relayed(), "connected"
                );
                self.setup.peers.opened(peer_id, connection_id, &endpoint);
                self.dials_done(&peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, cause = ?cause.map(|cause| cause.to_string()), "disconnected");
                self.setup.peers.closed(&peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                if let Some(Dial { peer, way, waiting }) = self.dials.remove(&connection_id) {
                    // The peer may have dialled us in the meantime.
                    let connected = self.setup.peers.is_connected(&peer, way);
                    for reply in waiting {
                        answer(reply, if connected { Ok(()) } else { Err(unreachable(&peer, &error)) });
                    }
                } else {
                    tracing::debug!(peer = ?peer_id, %error, "a punch, or a dial for the table or a relay, failed");
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                self.handle_refused(&send_back_addr, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.handle_listening(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.forget_listeners(&[address]),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.handle_listener_closed(listener_id, &addresses, reason.err());
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has trouble"),
            SwarmEvent::ExternalAddrExpired { address } => self.note(|known| {
                known.confirmed.retain(|other| *other != address);
                known.mapped.retain(|other| *other != address);
            }),
            SwarmEvent::Behaviour(event) => self.handle_behaviour(event),
            _ => {}
        }
    }

    fn handle_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(event) => self.handle_ping(event),
            BehaviourEvent::Identify(event) => self.handle_identify(event),
            BehaviourEvent::Relay(event) => self.handle_relay_client(event),
            BehaviourEvent::RelayServer(event) => self.handle_relay_server(event),
            BehaviourEvent::Dcutr(event) => self.handle_punch(event),
            BehaviourEvent::Autonat(event) => self.handle_autonat(event),
            BehaviourEvent::AutonatServer(event) => tracing::debug!(
                client = %event.client, address = %event.tested_addr, reached = event.result.is_ok(),
                "checked how a node can be reached"
            ),
            BehaviourEvent::Upnp(event) => self.handle_upnp(event),
            BehaviourEvent::Mdns(event) => self.handle_mdns(event),
            BehaviourEvent::Kad(event) => self.handle_table(event),
            BehaviourEvent::Limits(never) => match never {},
            BehaviourEvent::Doors(never) | BehaviourEvent::Streams(never) | BehaviourEvent::Candidates(never) => {
                match never {}
            }
        }
    }

    fn handle_refused(&self, from: &Multiaddr, error: &ListenError) {
        let ListenError::Denied { cause } = error else {
            tracing::debug!(%from, %error, "a connection was not made");
            return;
        };
        if let Some(crowded) = cause.downcast_ref::<Crowded>() {
            self.setup.refusals.refused(Refusal::Connection, crowded);
        } else if let Some(limit) = cause.downcast_ref::<libp2p_connection_limits::Exceeded>() {
            self.setup.refusals.refused(Refusal::Connection, limit);
        } else {
            tracing::debug!(%from, %error, "a connection was refused");
        }
    }

    fn handle_listening(&mut self, listener: ListenerId, address: Multiaddr) {
        let me = *self.swarm.local_peer_id();
        if is_circuit(&address) {
            let (Some(relay), Some(address)) = (self.relays.listening(listener), without_peer(address, &me)) else {
                return;
            };
            tracing::info!(%relay, %address, "reachable through a relay");
            return self.note(|known| {
                if !known.circuits.contains(&(relay, address.clone())) {
                    known.circuits.push((relay, address));
                }
            });
        }
        tracing::info!(%address, "listening");
        let useful = self.setup.loopback_only || ip_of(&address).is_none_or(|ip| !ip.is_loopback());
        if self.setup.offer_listeners && useful {
            self.swarm.add_external_address(address.clone());
        }
        self.note(|known| known.listeners.push(address));
        self.listener_ready(listener);
    }

    fn handle_listener_closed(&mut self, listener: ListenerId, addresses: &[Multiaddr], error: Option<std::io::Error>) {
        if let Some(relay) = self.relays.closed(listener, tokio::time::Instant::now()) {
            let error = error.map(|error| error.to_string());
            tracing::info!(%relay, ?error, "the reservation at a relay is gone");
            return self.note(|known| known.circuits.retain(|(other, _)| *other != relay));
        }
        if addresses.iter().any(|address| !is_circuit(address)) || error.is_some() {
            tracing::warn!(?addresses, ?error, "a listener closed");
        }
        self.forget_listeners(addresses);
        self.listener_ready(listener);
    }

    fn forget_listeners(&mut self, addresses: &[Multiaddr]) {
        if self.setup.offer_listeners {
            for address in addresses {
                self.swarm.remove_external_address(address);
            }
        }
        self.note(|known| known.listeners.retain(|other| !addresses.contains(other)));
    }

    fn handle_ping(&mut self, event: ping::Event) {
        let ping::Event { peer, connection, result } = event;
        match result {
            Ok(rtt) => {
                self.setup.peers.pinged(&peer, connection, Some(rtt));
            }
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                if self.setup.peers.pinged(&peer, connection, None) >= MAX_MISSED_PINGS {
                    tracing::info!(%peer, %error, "the peer does not answer; closing the connection");
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    fn handle_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Sent { peer_id, .. } => {
                self.relays.identified(&peer_id, false);
                self.tend_relays();
            }
            identify::Event::Received { connection_id, peer_id, info } => {
                self.relays.identified(&peer_id, true);
                self.tend_relays();
                // Only where this node dialled does the outside port belong to a socket that it listens on.
                if let Some(remote) = self.setup.peers.dialled(&peer_id, connection_id) {
                    self.handle_observed(peer_id, &remote, &info.observed_addr);
                }
                self.introduce_to_table(peer_id, connection_id, &info);
            }
            _ => {}
        }
    }

    fn handle_observed(&mut self, peer: libp2p::PeerId, remote: &Multiaddr, observed: &Multiaddr) {
        tracing::debug!(by = %peer, address = %observed, "was seen from outside");
        let mut agreed = Vec::new();
        self.note(|known| {
            if known.observations.take_in(peer, remote, observed) {
                agreed = known.observations.agreed();
            }
        });
        for address in agreed {
            self.swarm.behaviour_mut().candidates.propose(&address);
        }
    }

    fn handle_punch(&mut self, event: dcutr::Event) {
        let dcutr::Event { remote_peer_id: peer, result } = event;
        match result {
            Ok(connection) => tracing::debug!(%peer, ?connection, "a punch came through"),
            Err(error) => {
                tracing::debug!(%peer, %error, "no punch came through");
                if !self.setup.peers.is_connected(&peer, Way::Direct) {
                    self.setup.peers.stays_relayed(&peer);
                }
            }
        }
    }

    fn handle_autonat(&mut self, event: autonat::v2::client::Event) {
        let autonat::v2::client::Event { tested_addr: address, bytes_sent, server, result } = event;
        tracing::debug!(%server, %address, bytes_sent, error = ?result.as_ref().err(), "was checked from outside");
        let reached = result.is_ok();
        self.note(|known| {
            known.confirmed.retain(|other| *other != address);
            if reached && known.confirmed.len() < MAX_PUBLIC {
                known.confirmed.push(address);
            }
        });
    }

    fn handle_upnp(&mut self, event: upnp::Event) {
        tracing::debug!(?event, "the router answered");
        self.note(|known| match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => {
                known.mapping = PortMapping::Mapped;
                if known.mapped.len() < MAX_PUBLIC && !known.mapped.contains(&external_addr) {
                    known.mapped.push(external_addr);
                }
            }
            upnp::Event::ExpiredExternalAddr { external_addr, .. } => {
                known.mapped.retain(|other| *other != external_addr);
                if known.mapped.is_empty() {
                    known.mapping = PortMapping::Asking;
                }
            }
            upnp::Event::GatewayNotFound => known.mapping = PortMapping::NoGateway,
            upnp::Event::NonRoutableGateway => known.mapping = PortMapping::NotPublic,
        });
    }

    fn handle_mdns(&mut self, event: mdns::Event) {
        let me = *self.swarm.local_peer_id();
        self.note(|known| match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    let room = known.lan.len() < MAX_LAN.0 || known.lan.contains_key(&peer);
                    let Some(address) = without_peer(address, &peer).filter(|_| room && peer != me) else { continue };
                    let addresses = known.lan.entry(peer).or_default();
                    if addresses.len() < MAX_LAN.1 && !addresses.contains(&address) && ip_of(&address).is_some() {
                        tracing::debug!(%peer, %address, "found on the local network");
                        addresses.push(address);
                    }
                }
            }
            mdns::Event::Expired(gone) => {
                for (peer, address) in gone {
                    let Some(address) = without_peer(address, &peer) else { continue };
                    if let Some(addresses) = known.lan.get_mut(&peer) {
                        addresses.retain(|other| *other != address);
                        if addresses.is_empty() {
                            known.lan.remove(&peer);
                        }
                    }
                }
            }
        });
    }
}
