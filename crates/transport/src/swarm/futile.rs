//! Dials that came to nothing a moment ago, and need not be tried again at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use super::peers::Way;

/// How long it is not tried again to reach a peer without its relay. NATs seldom change their ways, and a punch goes on
/// being tried behind the scenes: this is about waiting for it.
const WITHOUT_RELAY: Duration = Duration::from_secs(600);

/// How long another transport is not tried again.
const OTHER_TRANSPORT: Duration = Duration::from_secs(60);

/// Dials remembered; where there are more, some are tried again too early.
const MAX_REMEMBERED: usize = 1024;

/// Remembers dials that would be nice to have but need not be.
#[derive(Debug, Default)]
pub(super) struct Futile {
    tried: Mutex<HashMap<(PeerId, Way), Instant>>,
}

impl Futile {
    pub(super) fn remember(&self, peer: PeerId, way: Way, now: Instant) {
        let mut tried = self.lock();
        if tried.len() >= MAX_REMEMBERED {
            tried.retain(|(_, way), at| now.saturating_duration_since(*at) < remembered(*way));
        }
        if tried.len() < MAX_REMEMBERED {
            tried.insert((peer, way), now);
        }
    }

    pub(super) fn is_known(&self, peer: PeerId, way: Way, now: Instant) -> bool {
        self.lock().get(&(peer, way)).is_some_and(|at| now.saturating_duration_since(*at) < remembered(way))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PeerId, Way), Instant>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remembered(way: Way) -> Duration {
    match way {
        Way::Any | Way::Direct => WITHOUT_RELAY,
        Way::Over(_) => OTHER_TRANSPORT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::Transport;

    #[test]
    fn what_failed_is_left_alone_for_a_while_and_the_memory_is_bounded() {
        let (futile, peer, mut now) = (Futile::default(), PeerId::random(), Instant::now());
        futile.remember(peer, Way::Direct, now);
        assert!(futile.is_known(peer, Way::Direct, now));
        let tcp = Way::Over(Transport::Tcp);
        assert!(!futile.is_known(peer, tcp, now) && !futile.is_known(PeerId::random(), Way::Direct, now));
        futile.remember(peer, tcp, now);
        assert!(futile.is_known(peer, tcp, now));
        for _ in 0..2 * MAX_REMEMBERED {
            futile.remember(PeerId::random(), Way::Direct, now);
        }
        assert!(futile.is_known(peer, Way::Direct, now) && futile.lock().len() <= MAX_REMEMBERED);
        now += OTHER_TRANSPORT;
        assert!(futile.is_known(peer, Way::Direct, now) && !futile.is_known(peer, tcp, now));
        now += WITHOUT_RELAY;
        assert!(!futile.is_known(peer, Way::Direct, now));
        futile.remember(peer, Way::Direct, now);
        assert!(futile.is_known(peer, Way::Direct, now) && futile.lock().len() == 1, "room is made");
    }
}
