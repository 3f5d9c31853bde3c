//! Reading incoming lanes: what strangers may make this node do.

use std::sync::Arc;

use computepool_core::ports::{IncomingLane, StepInput};
use computepool_core::{Activation, Fault, FaultCode, GenerationId, HopFrame, Lane, NodeId, RouteTicket, SessionId};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::generation::Generation;
use crate::lobby::{Lobby, Seat};
use crate::plane::Plane;
use crate::session::Session;
use crate::shared::Feed;

/// Takes lanes as neighbours open them; each is read by a task of its own.
pub(crate) async fn accept(plane: &Arc<Plane>, feed: Feed<IncomingLane>) {
    let mut lanes = feed.take().await;
    let places = Arc::new(Semaphore::new(plane.options.max_lanes));
    let lobby = Lobby::new(plane.options.max_waiting_lanes, plane.options.max_waiting_lanes_per_peer);
    while let Some(lane) = lanes.next().await {
        // Whatever a lane is spawned for holds a place: there are never more tasks than places.
        let place = match find(plane, lane.session) {
            Some(Ok(session)) => live(&places).map(|place| Place::Live(session, place)),
            Some(Err(fault)) => Err(fault),
            None => lobby
                .seat(&lane.from)
                .map(Place::Waiting)
                .ok_or_else(|| Fault::new(FaultCode::NoCapacity, "too many lanes wait for their sessions")),
        };
        let place = match place {
            Ok(place) => place,
            Err(fault) => {
                dropped(plane, &lane, &fault);
                continue;
            }
        };
        let (task, places) = (plane.clone(), places.clone());
        plane.tasks.spawn(async move {
            task.stop.run_until_cancelled(serve(&task, lane, place, &places)).await;
        });
    }
    tracing::warn!("no more lanes are accepted");
}

/// Where a lane is counted.
enum Place {
    Live(Arc<Session>, OwnedSemaphorePermit),
    Waiting(Seat),
}

fn live(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
    places.clone().try_acquire_owned().map_err(|_| Fault::new(FaultCode::NoCapacity, "too many lanes"))
}

fn dropped(plane: &Plane, lane: &IncomingLane, fault: &Fault) {
    tracing::info!(from = %lane.from, lane = ?lane.lane, %fault, "a lane was dropped");
    plane.count(fault);
}

/// Sees a lane into its session and reads it to its end. Dropping it resets it.
async fn serve(plane: &Arc<Plane>, lane: IncomingLane, place: Place, places: &Arc<Semaphore>) {
    let seen_in = match place {
        Place::Live(session, place) => Ok((session, place)),
        Place::Waiting(_seat) => {
            let waiting = tokio::time::timeout(plane.options.lane_patience, session_of(plane, lane.session));
            let found = waiting.await.unwrap_or_else(|_| Err(not_open(lane.session)));
            found.and_then(|session| Ok((session, live(places)?)))
        }
    };
    match seen_in {
        Ok((session, _place)) => read(plane, &session, lane).await,
        Err(fault) => dropped(plane, &lane, &fault),
    }
}

async fn read(plane: &Arc<Plane>, session: &Arc<Session>, lane: IncomingLane) {
    let IncomingLane { session: id, from, lane, ticket, mut frames } = lane;
    if let Err(fault) = check_lane(plane, session, &ticket, &from, lane) {
        tracing::warn!(%from, ?lane, %fault, "a lane was dropped");
        return plane.count(&fault);
    }
    let reading = async {
        loop {
            let (culprit, fault) = match frames.next().await {
                Some(Ok(frame)) => {
                    let generation = frame.generation();
                    match take(plane, session, lane, frame).await {
                        Ok(()) => continue,
                        Err(fault) => (Some(generation), fault),
                    }
                }
                Some(Err(fault)) => (None, fault),
                None => (None, Fault::new(FaultCode::LinkLost, format!("{from} closed its {lane:?} lane"))),
            };
            return (culprit, fault);
        }
    };
    if let Some((culprit, fault)) = session.over.run_until_cancelled(reading).await {
        tracing::warn!(session = %id, %from, ?lane, %fault, "an incoming lane ended");
        // A generation of another session is not this neighbour's to break.
        let culprit = culprit.filter(|id| generation_in(plane, session, *id).is_some());
        plane.break_session(session, fault, culprit);
    }
}

fn not_open(id: SessionId) -> Fault {
    Fault::new(FaultCode::WrongSession, format!("session {id} is not open here"))
}

/// The lane's session, or why it will not be open here; `None` while it may come.
fn find(plane: &Plane, id: SessionId) -> Option<Result<Arc<Session>, Fault>> {
    match plane.session(id) {
        Some(session) => Some(Ok(session)),
        None => plane.departed.knows(id).then(|| Err(not_open(id))),
    }
}

/// Waits until the lane's session is open here, or is known not to come.
async fn session_of(plane: &Plane, id: SessionId) -> Result<Arc<Session>, Fault> {
    let mut arrivals = plane.arrivals.subscribe();
    loop {
        if let Some(found) = find(plane, id) {
            return found;
        }
        if arrivals.changed().await.is_err() {
            // The node ends, and this task with it.
            std::future::pending::<()>().await;
        }
    }
}

fn check_lane(plane: &Plane, session: &Session, ticket: &RouteTicket, from: &NodeId, lane: Lane) -> Result<(), Fault> {
    if *ticket != session.ticket {
        return Err(Fault::new(FaultCode::WrongSession, "the lane was opened under another ticket of this session"));
    }
    ticket.check_lane(&plane.me, from, lane)?;
    if !session.claim(lane) {
        return Err(Fault::new(FaultCode::ProtocolViolation, "the session has such a lane already"));
    }
    Ok(())
}

fn generation_in(plane: &Plane, session: &Session, id: GenerationId) -> Option<Arc<Generation>> {
    plane.generation(id).filter(|generation| generation.session.id == session.id)
}

/// Handles one frame; waits while there is no room for it.
async fn take(plane: &Arc<Plane>, session: &Arc<Session>, lane: Lane, frame: HopFrame) -> Result<(), Fault> {
    let id = frame.generation();
    let Some(generation) = generation_in(plane, session, id) else {
        // An abort may overtake the order to open, and anything may arrive late.
        if matches!(frame, HopFrame::Abort { .. }) || session.closed.knows(id) {
            return Ok(());
        }
        return Err(Fault::new(FaultCode::WrongSession, format!("generation {id} is not open in this session")));
    };
    match (frame, lane) {
        (HopFrame::Activation { position, sample, hidden, .. }, Lane::Prefill | Lane::Decode) => {
            check_hidden(&session.ticket, &hidden)?;
            let rows = hidden.rows();
            if generation.arrive(lane, position, rows, sample)? {
                let input = StepInput::Hidden(hidden);
                if lane == Lane::Prefill {
                    plane.step_of_prompt(&generation, position, sample, input).await;
                } else {
                    plane.step(&generation, position, sample, input).await;
                }
            }
        }
        (HopFrame::Token { position, id, .. }, Lane::Return) => {
            if generation.arrive(lane, position, 1, true)? {
                plane.step(&generation, position, true, StepInput::Tokens(vec![id])).await;
            }
        }
        (HopFrame::Abort { code, .. }, _) => {
            plane.fail(&generation, Fault::new(code, "a neighbour in the route gave the generation up"));
        }
        (HopFrame::Activation { .. } | HopFrame::Token { .. }, _) => {
            return Err(Fault::new(
                FaultCode::ProtocolViolation,
                format!("such a frame does not belong on the {lane:?} lane"),
            ));
        }
    }
    Ok(())
}

fn check_hidden(ticket: &RouteTicket, hidden: &Activation) -> Result<(), Fault> {
    let max_rows = ticket.limits.max_rows;
    if hidden.rows() > max_rows || hidden.hidden() != ticket.hidden || hidden.kind() != ticket.activation {
        return Err(Fault::new(
            FaultCode::WrongShape,
            format!(
                "expected up to {max_rows} rows of {} {:?}, got {} of {} {:?}",
                ticket.hidden,
                ticket.activation,
                hidden.rows(),
                hidden.hidden(),
                hidden.kind()
            ),
        ));
    }
    Ok(())
}
