//! What is still to be fetched, and who may take it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use computepool_core::{Fault, FaultCode, NodeId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::WeightsError;
use crate::block::Place;

/// The board of one fetch.
pub(super) struct Board {
    state: Mutex<State>,
    changed: Notify,
    needed: usize,
}

struct State {
    waiting: BTreeSet<Place>,
    under_way: usize,
    /// What each peer that is still asked said to have.
    claims: HashMap<NodeId, BTreeSet<Place>>,
    /// How many of them said so of a block.
    claimants: BTreeMap<Place, usize>,
    /// Whether a web server is still asked.
    web: bool,
    /// What went wrong last with a source.
    trouble: Option<Fault>,
    /// Why there is no point in going on.
    broken: Option<WeightsError>,
}

/// Blocks that somebody fetches. Those that were not [`done`](Self::done) go back onto the board when it is dropped.
pub(super) struct Lease<'a> {
    board: &'a Board,
    places: Vec<Place>,
}

/// What a worker finds on the board.
enum Found {
    Work(Vec<Place>),
    /// Nothing for it yet.
    Later(Option<Instant>),
    /// Nothing for it any more.
    Nothing,
}

impl Board {
    pub(super) fn new(missing: Vec<Place>, web: bool) -> Self {
        let needed = missing.len();
        let state = State {
            waiting: missing.into_iter().collect(),
            under_way: 0,
            claims: HashMap::new(),
            claimants: BTreeMap::new(),
            web,
            trouble: None,
            broken: None,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), needed }
    }

    /// Notes that a peer says to have these blocks.
    pub(super) fn claim(&self, peer: NodeId, places: &[Place]) {
        let mut state = self.lock();
        let State { waiting, claims, claimants, .. } = &mut *state;
        let claimed = claims.entry(peer).or_default();
        for place in places.iter().filter(|place| waiting.contains(place)) {
            if claimed.insert(*place) {
                *claimants.entry(*place).or_default() += 1;
            }
        }
    }

    /// Keeps the peers that have most, at most so many.
    pub(super) fn keep_peers(&self, most: usize) {
        let mut state = self.lock();
        let mut by_claims: Vec<_> = state.claims.iter().map(|(peer, has)| (has.len(), peer.clone())).collect();
        by_claims.sort_by(|one, other| other.cmp(one));
        for (_, peer) in by_claims.split_off(most.min(by_claims.len())) {
            state.leave(&peer);
        }
    }

    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.lock().claims.keys().cloned().collect()
    }

    /// The next block for a peer, once there is one; nothing when there will be none.
    pub(super) async fn next_of_peer(&self, peer: &NodeId) -> Option<Lease<'_>> {
        self.next(|state| match state.claims.get(peer) {
            None => Found::Nothing,
            Some(has) => match has.iter().find(|place| state.waiting.contains(place)) {
                Some(place) => Found::Work(vec![*place]),
                None => Found::Later(None),
            },
        })
        .await
    }

    /// The next blocks for a web server, once there are some; nothing when there will be none. They are adjacent, and
    /// `joined` says whether another may join those that are there. Until `alone` they are ones that no peer has.
    pub(super) async fn next_of_web(&self, alone: Instant, joined: impl Fn(&[Place]) -> bool) -> Option<Lease<'_>> {
        self.next(|state| {
            if !state.web {
                return Found::Nothing;
            }
            let help = Instant::now() >= alone;
            let free = |place: &Place| help || state.claimants.get(place).is_none_or(|peers| *peers == 0);
            let Some(first) = state.waiting.iter().copied().find(free) else {
                return Found::Later((!help).then_some(alone));
            };
            let mut run = vec![first];
            let mut next = Place { block: first.block + 1, ..first };
            while state.waiting.contains(&next) && free(&next) && joined(&run) {
                run.push(next);
                next.block += 1;
            }
            Found::Work(run)
        })
        .await
    }

    async fn next(&self, find: impl Fn(&State) -> Found) -> Option<Lease<'_>> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = {
                let mut state = self.lock();
                let found = if state.is_over() { Found::Nothing } else { find(&state) };
                if let Found::Work(places) = &found {
                    state.under_way += places.len();
                    for place in places {
                        state.waiting.remove(place);
                    }
                }
                found
            };
            match found {
                Found::Work(places) => return Some(Lease { board: self, places }),
                Found::Nothing => return None,
                Found::Later(None) => changed.await,
                Found::Later(Some(at)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    /// A peer does not have a block after all.
    pub(super) fn disclaim(&self, peer: &NodeId, place: Place) {
        let mut state = self.lock();
        let State { claims, claimants, .. } = &mut *state;
        if claims.get_mut(peer).is_some_and(|has| has.remove(&place)) {
            one_less(claimants, place);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A peer is asked no more.
    pub(super) fn leave_peer(&self, peer: &NodeId, why: WeightsError) {
        let mut state = self.lock();
        state.leave(peer);
        state.trouble = Some(why.into());
        drop(state);
        self.changed.notify_waiters();
    }

    /// A web server is asked no more; `others` says whether another one is.
    pub(super) fn leave_server(&self, why: WeightsError, others: bool) {
        let mut state = self.lock();
        state.web = others;
        state.trouble = Some(why.into());
        drop(state);
        self.changed.notify_waiters();
    }

    /// There is no point in going on.
    pub(super) fn give_up(&self, why: WeightsError) {
        self.lock().broken.get_or_insert(why);
        self.changed.notify_waiters();
    }

    /// How it ended, once nobody works any more.
    pub(super) fn outcome(self) -> Result<(), WeightsError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(broken) = state.broken {
            return Err(broken);
        }
        if state.waiting.is_empty() {
            return Ok(());
        }
        let nobody = || Fault::new(FaultCode::NodeLost, "nobody who is known has them");
        let last = Box::new(state.trouble.unwrap_or_else(nobody));
        Err(WeightsError::Starved { missing: state.waiting.len(), needed: self.needed, last })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether all is fetched, or nobody is left to fetch the rest.
    fn is_over(&self) -> bool {
        let stuck = || !self.web && self.waiting.iter().all(|place| !self.claimants.contains_key(place));
        self.broken.is_some() || (self.under_way == 0 && (self.waiting.is_empty() || stuck()))
    }

    fn leave(&mut self, peer: &NodeId) {
        for place in self.claims.remove(peer).unwrap_or_default() {
            one_less(&mut self.claimants, place);
        }
    }
}

/// One peer less has this block.
fn one_less(claimants: &mut BTreeMap<Place, usize>, place: Place) {
    if let Some(peers) = claimants.get_mut(&place) {
        *peers -= 1;
        if *peers == 0 {
            claimants.remove(&place);
        }
    }
}

impl Lease<'_> {
    /// The blocks not done yet, in order.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// A block is on the disk.
    pub(super) fn done(&mut self, place: Place) {
        self.places.retain(|other| *other != place);
        let mut state = self.board.lock();
        state.under_way -= 1;
        state.claimants.remove(&place);
        for has in state.claims.values_mut() {
            has.remove(&place);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.board.lock();
        state.under_way -= self.places.len();
        state.waiting.extend(self.places.drain(..));
        drop(state);
        self.board.changed.notify_waiters();
    }
}
