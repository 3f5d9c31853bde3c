//! Relays: reservations kept, circuits closed once they are not needed, and what this node carries as a relay.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::relay;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use tokio::time::Instant;

use super::SwarmActor;
use crate::swarm::peers::{Transport, Way};
use crate::swarm::refusals::Refusal;
use crate::swarm::relays::Step;

/// How long a direct connection must have lasted before the relayed one beside it is closed. The other side needs a
/// moment, too, to see the new one and stop opening streams on the old.
const SETTLED: Duration = Duration::from_secs(1);

impl SwarmActor {
    /// Does what is due about relays.
    pub(super) fn tend_relays(&mut self) {
        // A connection made before the listeners are ready leaves from a port of its own, and what the relay observes of
        // that one says nothing about theirs.
        if !self.unready.is_empty() && Instant::now() < self.unready_until {
            return;
        }
        let peers = &self.setup.peers;
        let steps = self.relays.due(Instant::now(), |peer| peers.is_connected(peer, Way::Direct));
        for step in steps {
            match step {
                Step::Dial { relay, addresses } => {
                    tracing::debug!(%relay, ?addresses, "connecting to a relay");
                    for address in addresses {
                        // Each transport shows another side of the NAT; one that is connected already need not be dialled.
                        let way = Transport::of(&address).map_or(Way::Direct, Way::Over);
                        if self.setup.peers.is_connected(&relay, way) {
                            continue;
                        }
                        let dial = DialOpts::peer_id(relay).condition(PeerCondition::Always).addresses(vec![address]);
                        if let Err(error) = self.swarm.dial(dial.build()) {
                            tracing::debug!(%relay, %error, "a relay cannot be dialled");
                        }
                    }
                }
                Step::Reserve { relay, address } => {
                    let through = address.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
                    tracing::debug!(%relay, "asking for a reservation");
                    let listener = self.swarm.listen_on(through);
                    if let Err(error) = &listener {
                        tracing::warn!(%relay, %error, "cannot listen through a relay");
                    }
                    self.relays.asked(&relay, listener.ok(), Instant::now());
                }
                Step::Abandon { listener } => {
                    self.swarm.remove_listener(listener);
                }
            }
        }
    }

    /// Closes relayed connections of peers that are connected directly, unless a stream still runs over them.
    pub(super) fn close_spare(&mut self) {
        for (peer, connection) in self.setup.peers.relayed_to_spare(SETTLED, Instant::now()) {
            if !self.swarm.behaviour().streams.in_use(connection) {
                tracing::debug!(%peer, "a direct connection took over; closing the relayed one");
                self.swarm.close_connection(connection);
            }
        }
    }

    pub(super) fn handle_relay_client(&mut self, event: relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { relay_peer_id, renewal, .. } => {
                tracing::debug!(relay = %relay_peer_id, renewal, "a reservation was made");
            }
            relay::client::Event::OutboundCircuitEstablished { relay_peer_id, .. } => {
                tracing::debug!(relay = %relay_peer_id, "a circuit was opened");
            }
            relay::client::Event::InboundCircuitEstablished { src_peer_id, .. } => {
                tracing::debug!(peer = %src_peer_id, "a peer opened a circuit to here");
            }
        }
    }

    pub(super) fn handle_relay_server(&mut self, event: relay::Event) {
        match event {
            relay::Event::ReservationReqDenied { src_peer_id, status } => {
                let why = format_args!("{src_peer_id} got none ({status:?})");
                self.setup.refusals.refused(Refusal::Reservation, &why);
            }
            relay::Event::CircuitReqDenied { src_peer_id, dst_peer_id, status } => {
                let why = format_args!("{src_peer_id} got none to {dst_peer_id} ({status:?})");
                self.setup.refusals.refused(Refusal::Circuit, &why);
            }
            event => tracing::debug!(?event, "as a relay"),
        }
    }
}
