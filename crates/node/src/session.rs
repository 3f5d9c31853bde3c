//! One session on this node: its ticket, its room for prompts, and its outgoing lanes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use computepool_core::{Fault, FaultCode, GenerationId, Lane, RouteHop, RouteTicket, SessionId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::generation::Room;
use crate::lane_out::Outgoing;
use crate::recent::Recent;
use crate::shared::lock;

/// Ids of closed generations that a session remembers, to tell a late frame from a stray one. An honest neighbour
/// cannot have frames of more of them under way.
const REMEMBERED: usize = 1024;

pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) ticket: RouteTicket,
    place: usize,
    hop: RouteHop,
    /// Generations open at once.
    pub(crate) max_generations: u32,
    /// Ends every task of the session.
    pub(crate) over: CancellationToken,
    room: Arc<Semaphore>,
    capacity: u32,
    out: OnceLock<OutLanes>,
    claimed: [AtomicBool; Lane::ALL.len()],
    broken: Mutex<Option<Fault>>,
    /// Generations that were open here, for the frames of them that are still on their way.
    pub(crate) closed: Recent<GenerationId>,
}

/// The queues of the outgoing lanes, those that the node's place in the route asks for.
#[derive(Default)]
pub(crate) struct OutLanes {
    pub(crate) prefill: Option<mpsc::Sender<Outgoing>>,
    pub(crate) decode: Option<mpsc::Sender<Outgoing>>,
    pub(crate) back: Option<mpsc::Sender<Outgoing>>,
}

impl Session {
    /// A session of the node at `place`, of which the ticket's hops have one.
    pub(crate) fn new(
        ticket: RouteTicket,
        place: usize,
        hop: RouteHop,
        capacity: u32,
        max_generations: u32,
        over: CancellationToken,
    ) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize) as u32);
        Self {
            id: ticket.session,
            place,
            hop,
            max_generations: max_generations.min(ticket.limits.max_generations),
            over,
            room: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
            out: OnceLock::new(),
            claimed: Default::default(),
            broken: Mutex::default(),
            closed: Recent::new(REMEMBERED),
            ticket,
        }
    }

    /// This node's place in the route.
    pub(crate) fn hop(&self) -> &RouteHop {
        &self.hop
    }

    /// Whether prompts start here.
    pub(crate) fn is_entry(&self) -> bool {
        self.place == 0
    }

    /// Whether tokens are sampled here.
    pub(crate) fn is_exit(&self) -> bool {
        self.place + 1 == self.ticket.hops.len()
    }

    /// The next place, towards the exit.
    pub(crate) fn next(&self) -> Option<&RouteHop> {
        self.ticket.next(self.place)
    }

    /// Places in the room that `rows` rows take: one each, and at most all of them.
    pub(crate) fn places(&self, rows: u32) -> usize {
        rows.min(self.capacity) as usize
    }

    /// Waits for room for `rows` rows; `None` only if the session has none to give any more.
    pub(crate) async fn room(&self, rows: u32) -> Option<Room> {
        self.room.clone().acquire_many_owned(self.places(rows) as u32).await.ok()
    }

    /// Prefill rows between arrival and departure.
    pub(crate) fn rows_in_flight(&self) -> u64 {
        (self.capacity as usize).saturating_sub(self.room.available_permits()) as u64
    }

    /// Chunks of a prompt that can wait in a queue at once.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// The outgoing lanes are open. `false` when they were before.
    pub(crate) fn opened(&self, lanes: OutLanes) -> bool {
        self.out.set(lanes).is_ok()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.out.get().is_some()
    }

    /// Queues a frame without waiting. A queue whose writer is gone takes everything: the session is broken, and that
    /// was said already.
    pub(crate) fn send(&self, lane: Lane, frame: Outgoing) -> Result<(), Fault> {
        let queue = self.out.get().and_then(|out| match lane {
            Lane::Prefill => out.prefill.as_ref(),
            Lane::Decode => out.decode.as_ref(),
            Lane::Return => out.back.as_ref(),
        });
        let Some(queue) = queue else {
            return Err(Fault::new(FaultCode::Internal, format!("this node has no outgoing {lane:?} lane")));
        };
        match queue.try_send(frame) {
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(_)) => {
                Err(Fault::new(FaultCode::Stalled, format!("the queue of the {lane:?} lane is full")))
            }
        }
    }

    /// Takes an incoming lane for the only reader it may have.
    pub(crate) fn claim(&self, lane: Lane) -> bool {
        !self.claimed[lane as usize].swap(true, Ordering::AcqRel)
    }

    /// Remembers the first reason why the session cannot go on. `false` when there was one before.
    pub(crate) fn break_for(&self, fault: Fault) -> bool {
        let mut broken = lock(&self.broken);
        let first = broken.is_none();
        broken.get_or_insert(fault);
        first
    }

    /// Why the session cannot take new generations.
    pub(crate) fn broken(&self) -> Option<Fault> {
        lock(&self.broken).clone()
    }
}
