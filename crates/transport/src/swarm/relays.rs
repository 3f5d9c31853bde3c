//! Reservations at relays, kept: when to dial, when to ask, when to try again. Decides and does no I/O.
//!
//! The order matters. A circuit is useful for punching only once this node knows how the outside sees it, which the
//! relay tells in identify; so a reservation is asked for after both sides have identified themselves. What ends a
//! reservation (the relay went away, refused, or let it expire) makes it be tried again, later each time.

use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

/// The first pause after a relay was lost; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long connecting and identifying, and then the reservation itself, may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// Relays that are kept; more are ignored.
const MAX_RELAYS: usize = 8;

/// Addresses of one relay; a newer one takes the place of the oldest.
const MAX_ADDRESSES: usize = 4;

/// What is to be done about a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Dial each of these addresses, whatever connections there are.
    Dial { relay: PeerId, addresses: Vec<Multiaddr> },
    /// Ask for a reservation, and say so with [`Relays::asked`].
    Reserve { relay: PeerId, address: Multiaddr },
    /// Stop listening through it.
    Abandon { listener: ListenerId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Pausing { until: Instant },
    Connecting { until: Instant },
    Reserving { listener: ListenerId, until: Instant },
    Reserved { listener: ListenerId },
}

#[derive(Debug)]
struct Relay {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    stage: Stage,
    failures: u32,
    /// Whether this node and the relay have told each other who they are.
    told: bool,
    heard: bool,
}

impl Relay {
    fn fail(&mut self, now: Instant) {
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(6)));
        self.failures += 1;
        self.stage = Stage::Pausing { until: now + pause };
        tracing::debug!(relay = %self.peer, ?pause, failures = self.failures, "no reservation; trying again later");
    }
}

/// The relays a node wants reservations at.
#[derive(Debug, Default)]
pub(super) struct Relays {
    list: Vec<Relay>,
}

impl Relays {
    /// Adds an address of a relay, which is tried at once if it is new.
    pub(super) fn add(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        if let Some(relay) = self.list.iter_mut().find(|relay| relay.peer == peer) {
            if !relay.addresses.contains(&address) {
                if relay.addresses.len() >= MAX_ADDRESSES {
                    relay.addresses.remove(0);
                }
                relay.addresses.push(address);
            }
        } else if self.list.len() < MAX_RELAYS {
            let stage = Stage::Pausing { until: now };
            self.list.push(Relay { peer, addresses: vec![address], stage, failures: 0, told: false, heard: false });
        } else {
            tracing::warn!(relay = %peer, "{MAX_RELAYS} relays are enough; this one is not used");
        }
    }

    /// What is due now, with `connected` telling which peers are connected without a relay between.
    pub(super) fn due(&mut self, now: Instant, connected: impl Fn(&PeerId) -> bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for relay in &mut self.list {
            if !connected(&relay.peer) {
                (relay.told, relay.heard) = (false, false);
            }
            match relay.stage {
                Stage::Pausing { until } if now >= until => {
                    relay.stage = Stage::Connecting { until: now + PATIENCE };
                    steps.push(Step::Dial { relay: relay.peer, addresses: relay.addresses.clone() });
                }
                Stage::Connecting { .. } if relay.told && relay.heard => {
                    let address = relay.addresses[0].clone();
                    steps.push(Step::Reserve { relay: relay.peer, address });
                }
                Stage::Connecting { until } if now >= until => relay.fail(now),
                Stage::Reserving { listener, until } if now >= until => {
                    steps.push(Step::Abandon { listener });
                    relay.fail(now);
                }
                _ => {}
            }
        }
        steps
    }

    /// Notes what became of a [`Step::Reserve`].
    pub(super) fn asked(&mut self, peer: &PeerId, listener: Option<ListenerId>, now: Instant) {
        let Some(relay) = self.list.iter_mut().find(|relay| relay.peer == *peer) else { return };
        match listener {
            Some(listener) => relay.stage = Stage::Reserving { listener, until: now + PATIENCE },
            None => relay.fail(now),
        }
    }

    /// Notes that this node told a peer who it is, or heard from it.
    pub(super) fn identified(&mut self, peer: &PeerId, heard: bool) {
        if let Some(relay) = self.list.iter_mut().find(|relay| relay.peer == *peer) {
            if heard {
                relay.heard = true;
            } else {
                relay.told = true;
            }
        }
    }

    /// Notes that a listener has an address; gives the relay it leads through.
    pub(super) fn listening(&mut self, listener: ListenerId) -> Option<PeerId> {
        let relay = self.list.iter_mut().find(|relay| match relay.stage {
            Stage::Reserving { listener: known, .. } | Stage::Reserved { listener: known } => known == listener,
            _ => false,
        })?;
        relay.stage = Stage::Reserved { listener };
        relay.failures = 0;
        Some(relay.peer)
    }

    /// Notes that a listener closed; gives the relay it led through.
    pub(super) fn closed(&mut self, listener: ListenerId, now: Instant) -> Option<PeerId> {
        let relay = self.list.iter_mut().find(|relay| match relay.stage {
            Stage::Reserving { listener: known, .. } | Stage::Reserved { listener: known } => known == listener,
            _ => false,
        })?;
        relay.fail(now);
        Some(relay.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/203.0.113.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn a_reservation_is_asked_for_after_the_introductions_and_again_after_it_is_lost() {
        let (mut relays, relay, mut now) = (Relays::default(), PeerId::random(), Instant::now());
        relays.add(relay, address(1), now);
        relays.add(relay, address(2), now);
        let dial = Step::Dial { relay, addresses: vec![address(1), address(2)] };
        assert_eq!(relays.due(now, |_| false), std::slice::from_ref(&dial));
        assert_eq!(relays.due(now, |_| false), [], "once");
        relays.identified(&relay, true);
        assert_eq!(relays.due(now, |_| true), [], "the relay does not know us yet");
        relays.identified(&relay, false);
        assert_eq!(relays.due(now, |_| true), [Step::Reserve { relay, address: address(1) }]);
        let listener = ListenerId::next();
        relays.asked(&relay, Some(listener), now);
        assert_eq!(relays.due(now, |_| true), []);
        assert_eq!(relays.listening(listener), Some(relay));
        now += Duration::from_secs(3600);
        assert_eq!(relays.due(now, |_| true), [], "libp2p renews it");

        assert_eq!(relays.closed(listener, now), Some(relay));
        assert_eq!(relays.closed(listener, now), None);
        assert_eq!(relays.due(now, |_| false), [], "not at once");
        now += FIRST_PAUSE;
        assert_eq!(relays.due(now, |_| false), [dial]);
    }

    #[test]
    fn a_relay_that_does_not_answer_is_tried_less_and_less_often() {
        let (mut relays, mut now) = (Relays::default(), Instant::now());
        relays.add(PeerId::random(), address(1), now);
        let mut dials = Vec::new();
        for _ in 0..3600 {
            if !relays.due(now, |_| false).is_empty() {
                dials.push(now);
            }
            now += Duration::from_secs(1);
        }
        let gaps: Vec<_> = dials.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        let patience = PATIENCE.as_secs();
        assert_eq!(&gaps[..3], [patience + 1, patience + 2, patience + 4]);
        assert!(gaps[6..].iter().all(|gap| *gap == patience + 60), "{gaps:?}");
    }

    #[test]
    fn a_reservation_that_is_never_answered_is_abandoned_and_relays_are_few() {
        let (mut relays, relay, mut now) = (Relays::default(), PeerId::random(), Instant::now());
        relays.add(relay, address(1), now);
        relays.due(now, |_| false);
        relays.identified(&relay, true);
        relays.identified(&relay, false);
        relays.due(now, |_| true);
        let listener = ListenerId::next();
        relays.asked(&relay, Some(listener), now);
        now += PATIENCE;
        assert_eq!(relays.due(now, |_| true), [Step::Abandon { listener }]);
        assert_eq!(relays.closed(listener, now), None, "its end is no news");
        for _ in 0..100 {
            relays.add(PeerId::random(), address(1), now);
            relays.add(relay, address(now.elapsed().subsec_nanos() as u16), now);
        }
        assert_eq!(relays.list.len(), MAX_RELAYS);
        assert!(relays.list[0].addresses.len() <= MAX_ADDRESSES);
    }
}
