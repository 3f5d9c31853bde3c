//! The lanes that are open, and the hellos that are under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use computepool_core::{Fault, FaultCode, Lane, NodeId, SessionId};
use tokio_util::sync::CancellationToken;

use super::AcceptLimits;

/// What names a lane.
pub(super) type LaneKey = (SessionId, NodeId, Lane);

/// Counts what is open against the acceptor's limits.
#[derive(Debug)]
pub(super) struct Registry {
    limits: AcceptLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    lanes: HashMap<LaneKey, (u64, CancellationToken)>,
    lanes_of: HashMap<NodeId, usize>,
    hellos: usize,
    hellos_of: HashMap<NodeId, usize>,
    next: u64,
}

/// One lane's entry; dropping it frees the place.
#[derive(Debug)]
pub(super) struct LanePlace {
    registry: Arc<Registry>,
    key: LaneKey,
    number: u64,
    /// Cancelled when a newer stream takes the lane over.
    pub(super) replaced: CancellationToken,
}

/// One hello under way; dropping it frees the place.
#[derive(Debug)]
pub(super) struct HelloPlace {
    registry: Arc<Registry>,
    peer: NodeId,
}

impl Registry {
    pub(super) fn new(limits: AcceptLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// A place for another hello of `peer`, if there is one.
    pub(super) fn hello(self: &Arc<Self>, peer: &NodeId) -> Option<HelloPlace> {
        let mut open = self.lock();
        let of_peer = open.hellos_of.get(peer).copied().unwrap_or(0);
        if open.hellos >= self.limits.max_pending || of_peer >= self.limits.max_pending_per_peer {
            return None;
        }
        open.hellos += 1;
        open.hellos_of.insert(peer.clone(), of_peer + 1);
        Some(HelloPlace { registry: Arc::clone(self), peer: peer.clone() })
    }

    /// A place for a lane, in place of an older stream for the same one.
    pub(super) fn lane(self: &Arc<Self>, key: LaneKey) -> Result<LanePlace, Fault> {
        let mut open = self.lock();
        let limits = &self.limits;
        let of_peer = open.lanes_of.get(&key.1).copied().unwrap_or(0);
        let known = open.lanes.contains_key(&key);
        if !known && (of_peer >= limits.max_lanes_per_peer || open.lanes.len() >= limits.max_lanes) {
            return Err(Fault::new(FaultCode::NoCapacity, "too many lanes are open here").retry_after_ms(1_000));
        }
        let (number, replaced) = (open.next, CancellationToken::new());
        open.next += 1;
        match open.lanes.insert(key.clone(), (number, replaced.clone())) {
            Some((_, older)) => older.cancel(),
            None => {
                open.lanes_of.insert(key.1.clone(), of_peer + 1);
            }
        }
        Ok(LanePlace { registry: Arc::clone(self), key, number, replaced })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LanePlace {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        if open.lanes.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            open.lanes.remove(&self.key);
            count_down(&mut open.lanes_of, &self.key.1);
        }
    }
}

impl Drop for HelloPlace {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.hellos = open.hellos.saturating_sub(1);
        count_down(&mut open.hellos_of, &self.peer);
    }
}

/// Keeps no zeros, so that peers who come and go leave nothing behind.
fn count_down(counts: &mut HashMap<NodeId, usize>, peer: &NodeId) {
    if let Some(count) = counts.get_mut(peer) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn registry() -> Arc<Registry> {
        Registry::new(AcceptLimits {
            max_pending: 3,
            max_pending_per_peer: 2,
            max_lanes: 3,
            max_lanes_per_peer: 2,
            ..AcceptLimits::default()
        })
    }

    #[test]
    fn one_peer_cannot_take_every_place() {
        let registry = registry();
        let (alice, bob) = (node("alice"), node("bob"));
        let mut hellos: Vec<_> = (0..2).map(|_| registry.hello(&alice).unwrap()).collect();
        assert!(registry.hello(&alice).is_none());
        hellos.push(registry.hello(&bob).unwrap());
        assert!(registry.hello(&bob).is_none(), "three in all");
        hellos.clear();
        assert!(registry.hello(&alice).is_some());
        assert!(registry.lock().hellos_of.is_empty(), "nothing stays behind");
    }

    #[test]
    fn a_newer_stream_replaces_the_older_and_frees_no_place_of_its_own() {
        let registry = registry();
        let key = |session: u8| (SessionId([session; 16]), node("alice"), Lane::Decode);
        let older = registry.lane(key(1)).unwrap();
        let other = registry.lane(key(2)).unwrap();
        assert_eq!(registry.lane(key(3)).unwrap_err().code, FaultCode::NoCapacity);
        let newer = registry.lane(key(1)).unwrap();
        assert!(older.replaced.is_cancelled() && !newer.replaced.is_cancelled());
        drop(older);
        assert_eq!(registry.lane(key(3)).unwrap_err().code, FaultCode::NoCapacity, "the lane is still open");
        drop((newer, other));
        assert!(registry.lock().lanes.is_empty() && registry.lock().lanes_of.is_empty());
    }
}
