//! How much measuring a node puts up with.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use super::MAX_BYTES;

/// Measurements at once, over all peers.
const MAX_AT_ONCE: usize = 8;

/// Ways (one way is one direction of one full measurement) that one peer may measure in a row.
const PEER_WAYS: u32 = 8;

/// How long it takes until a peer may measure one more way.
const PEER_EVERY: Duration = Duration::from_secs(5);

/// Ways that all peers together may measure in a row.
const ALL_WAYS: u32 = 64;

/// How long it takes until all peers together may measure one more way: 1 MiB a second, at the most.
const ALL_EVERY: Duration = Duration::from_millis(1_000 * MAX_BYTES / (1 << 20));

/// Peers whose budgets are remembered.
const MAX_PEERS: usize = 1024;

/// A bucket of ways that fills up evenly.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u32,
    since: Instant,
}

impl Bucket {
    fn full(size: u32, now: Instant) -> Self {
        Self { left: size, since: now }
    }

    fn fill(&mut self, size: u32, every: Duration, now: Instant) {
        let more = now.saturating_duration_since(self.since).as_millis() / every.as_millis().max(1);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(size);
        self.since += every.saturating_mul(more);
        if self.left == size {
            self.since = now;
        }
    }
}

/// The budget of one node; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    measuring: HashSet<PeerId>,
    peers: HashMap<PeerId, Bucket>,
    all: Bucket,
}

/// A place among those that measure, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    budget: Budget,
    peer: PeerId,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        let all = Bucket::full(ALL_WAYS, now);
        Self(Arc::new(Mutex::new(Books { measuring: HashSet::new(), peers: HashMap::new(), all })))
    }

    /// A place for a measurement of `peer`; `None` while it has one, or too many others do.
    pub(super) fn place(&self, peer: PeerId) -> Option<Place> {
        let mut books = self.lock();
        let room = books.measuring.len() < MAX_AT_ONCE && books.measuring.insert(peer);
        room.then(|| Place { budget: self.clone(), peer })
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes one way out of the peer's budget and everybody's; `false` where either is used up.
    pub(super) fn spend(&self, now: Instant) -> bool {
        let mut books = self.budget.lock();
        books.all.fill(ALL_WAYS, ALL_EVERY, now);
        if books.all.left == 0 {
            return false;
        }
        if !books.peers.contains_key(&self.peer) && books.peers.len() >= MAX_PEERS {
            books.peers.retain(|_, bucket| {
                bucket.fill(PEER_WAYS, PEER_EVERY, now);
                bucket.left < PEER_WAYS
            });
            if books.peers.len() >= MAX_PEERS {
                return false;
            }
        }
        let bucket = books.peers.entry(self.peer).or_insert(Bucket::full(PEER_WAYS, now));
        bucket.fill(PEER_WAYS, PEER_EVERY, now);
        if bucket.left == 0 {
            return false;
        }
        bucket.left -= 1;
        books.all.left -= 1;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.lock().measuring.remove(&self.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_of_a_peer_and_few_in_all() {
        let budget = Budget::new(Instant::now());
        let peer = PeerId::random();
        let place = budget.place(peer).unwrap();
        assert!(budget.place(peer).is_none());
        let others: Vec<_> = (0..20).filter_map(|_| budget.place(PeerId::random())).collect();
        assert_eq!(others.len(), MAX_AT_ONCE - 1);
        drop(place);
        assert!(budget.place(peer).is_some(), "a place is given back");
    }

    #[test]
    fn budgets_are_used_up_and_fill_again() {
        let mut now = Instant::now();
        let budget = Budget::new(now);
        let spent = |place: &Place, now| (0..1000).take_while(|_| place.spend(now)).count() as u32;
        let greedy = budget.place(PeerId::random()).unwrap();
        assert_eq!(spent(&greedy, now), PEER_WAYS);
        now += PEER_EVERY * 2;
        assert_eq!(spent(&greedy, now), 2);
        drop(greedy);
        now += Duration::from_secs(3600);
        let all: u32 = (0..100).map(|_| spent(&budget.place(PeerId::random()).unwrap(), now)).sum();
        assert_eq!(all, ALL_WAYS, "strangers together get no further than this");
    }

    #[test]
    fn the_books_are_bounded() {
        let mut now = Instant::now();
        let budget = Budget::new(now);
        for _ in 0..2 * MAX_PEERS {
            now += ALL_EVERY;
            budget.place(PeerId::random()).unwrap().spend(now);
        }
        assert!(budget.lock().peers.len() <= MAX_PEERS);
    }
}
