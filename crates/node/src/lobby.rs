//! Places for lanes that came before their session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use computepool_core::NodeId;

use crate::shared::lock;

/// So many lanes may wait, and so many of one peer: whoever has tickets of sessions that are not open here can keep
/// places from others who wait, but not all of them, and none from lanes of open sessions.
pub(crate) struct Lobby {
    most: usize,
    most_per_peer: usize,
    taken: Mutex<HashMap<NodeId, usize>>,
}

/// One place; dropping it frees it.
pub(crate) struct Seat {
    lobby: Arc<Lobby>,
    peer: NodeId,
}

impl Lobby {
    pub(crate) fn new(most: usize, most_per_peer: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_peer, taken: Mutex::default() })
    }

    /// A place for a lane of `peer`, if there is one.
    pub(crate) fn seat(self: &Arc<Self>, peer: &NodeId) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        let of_peer = taken.get(peer).copied().unwrap_or(0);
        if of_peer >= self.most_per_peer || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(peer.clone(), of_peer + 1);
        Some(Seat { lobby: self.clone(), peer: peer.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.lobby.taken);
        if let Some(count) = taken.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                // So that peers who come and go leave nothing behind.
                taken.remove(&self.peer);
            }
        }
    }
}
