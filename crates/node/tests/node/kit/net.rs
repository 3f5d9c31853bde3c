//! Lanes in memory, each of which can be stalled or cut.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use computepool_core::ports::{IncomingLane, LaneSender, Links};
use computepool_core::{Fault, FaultCode, HopFrame, Lane, NodeId, RouteTicket, SessionId, SignedTicket};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Flowing,
    Stalled,
    GivenUp,
    Cut,
}

/// The far end of a lane that a test opened.
pub type Frames = mpsc::Sender<Result<HopFrame, Fault>>;

type Place = (SessionId, NodeId, Lane);

/// Where lanes lead.
#[derive(Default)]
pub struct Net {
    doors: Mutex<HashMap<NodeId, mpsc::Sender<IncomingLane>>>,
    lanes: Mutex<HashMap<Place, watch::Sender<State>>>,
}

fn lost() -> Fault {
    Fault::new(FaultCode::LinkLost, "the lane was cut")
}

impl Net {
    /// Lets `node` be found; its incoming lanes.
    pub fn join(&self, node: &NodeId) -> mpsc::Receiver<IncomingLane> {
        let (door, lanes) = mpsc::channel(16);
        self.doors.lock().unwrap().insert(node.clone(), door);
        lanes
    }

    pub fn links(self: &Arc<Self>, me: &NodeId) -> Arc<dyn Links> {
        Arc::new(Mine { net: self.clone(), me: me.clone() })
    }

    fn state(&self, session: SessionId, from: &NodeId, lane: Lane) -> watch::Sender<State> {
        let mut lanes = self.lanes.lock().unwrap();
        lanes.entry((session, from.clone(), lane)).or_insert_with(|| watch::Sender::new(State::Flowing)).clone()
    }

    /// Frames that `from` writes to this lane wait.
    pub fn stall(&self, session: SessionId, from: &NodeId, lane: Lane) {
        self.state(session, from, lane).send_replace(State::Stalled);
    }

    pub fn resume(&self, session: SessionId, from: &NodeId, lane: Lane) {
        self.state(session, from, lane).send_replace(State::Flowing);
    }

    /// Whoever writes to this lane has waited for its neighbour long enough.
    pub fn give_up(&self, session: SessionId, from: &NodeId, lane: Lane) {
        self.state(session, from, lane).send_replace(State::GivenUp);
    }

    /// The lane breaks for both sides.
    pub fn cut(&self, session: SessionId, from: &NodeId, lane: Lane) {
        self.state(session, from, lane).send_replace(State::Cut);
    }

    /// Opens a lane as anybody, with whatever frames.
    pub async fn connect(&self, ticket: &RouteTicket, from: &NodeId, to: &NodeId, lane: Lane) -> Result<Frames, Fault> {
        let door = self.doors.lock().unwrap().get(to).cloned().ok_or_else(lost)?;
        let (frames, mut reading) = mpsc::channel(1);
        let mut state = self.state(ticket.session, from, lane).subscribe();
        let stream = futures::stream::poll_fn(move |context| reading.poll_recv(context));
        let cut = async move {
            if state.wait_for(|state| *state == State::Cut).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let frames_in = stream.take_until(Box::pin(cut)).boxed();
        let (session, ticket, from) = (ticket.session, ticket.clone(), from.clone());
        door.send(IncomingLane { session, from, lane, ticket, frames: frames_in }).await.map_err(|_| lost())?;
        Ok(frames)
    }
}

struct Mine {
    net: Arc<Net>,
    me: NodeId,
}

impl Links for Mine {
    fn open<'a>(
        &'a self,
        _signed: &'a SignedTicket,
        ticket: &'a RouteTicket,
        to: &'a NodeId,
        lane: Lane,
    ) -> BoxFuture<'a, Result<Box<dyn LaneSender>, Fault>> {
        Box::pin(async move {
            let frames = self.net.connect(ticket, &self.me, to, lane).await?;
            let state = self.net.state(ticket.session, &self.me, lane).subscribe();
            Ok(Box::new(Sender { frames, state }) as Box<dyn LaneSender>)
        })
    }
}

struct Sender {
    frames: mpsc::Sender<Result<HopFrame, Fault>>,
    state: watch::Receiver<State>,
}

impl LaneSender for Sender {
    fn send<'a>(&'a mut self, frame: HopFrame) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let state = *self.state.wait_for(|state| *state != State::Stalled).await.map_err(|_| lost())?;
            match state {
                State::Cut => return Err(lost()),
                State::GivenUp => return Err(Fault::new(FaultCode::Stalled, "the neighbour read nothing")),
                State::Flowing | State::Stalled => {}
            }
            self.frames.send(Ok(frame)).await.map_err(|_| lost())
        })
    }
}
