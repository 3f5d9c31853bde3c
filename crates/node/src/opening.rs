//! Opening a session: the ticket, then the lanes to the next places.

use std::sync::Arc;

use computepool_core::control::NodeMessage;
use computepool_core::{Fault, FaultCode, Lane, NodeId, SessionId, SignedTicket};
use tokio::sync::mpsc;

use crate::lane_out::{self, Outgoing};
use crate::plane::Plane;
use crate::session::{OutLanes, Session};

/// Admits the session and opens its lanes in a task of its own; the orchestrator hears how it went.
pub(crate) fn open(plane: &Arc<Plane>, signed: SignedTicket) {
    let session = match admit(plane, &signed) {
        Ok(session) => session,
        Err((Some(session), fault)) => {
            plane.count(&fault);
            plane.depart(session);
            return plane.outbox.say(NodeMessage::SessionRefused { session, fault });
        }
        Err((None, fault)) => {
            plane.count(&fault);
            return tracing::warn!(%fault, "the orchestrator sent a ticket that names no session");
        }
    };
    let plane = plane.clone();
    let tasks = plane.tasks.clone();
    tasks.spawn(async move {
        let Some(opened) = session.over.run_until_cancelled(lanes(&plane, &session, &signed)).await else { return };
        match opened {
            Ok(lanes) => {
                if session.opened(lanes) {
                    plane.outbox.say(NodeMessage::SessionOpened { session: session.id });
                }
            }
            Err(fault) => {
                plane.count(&fault);
                plane.close_session(session.id);
                plane.outbox.say(NodeMessage::SessionRefused { session: session.id, fault });
            }
        }
    });
}

/// Checks everything a ticket promises against what this node is and has.
fn admit(plane: &Arc<Plane>, signed: &SignedTicket) -> Result<Arc<Session>, (Option<SessionId>, Fault)> {
    let ticket = match signed.open(&plane.issuer, &*plane.verifier, plane.clock.now_ms()) {
        Ok(ticket) => ticket,
        Err(error) => {
            // Only to answer about the right session; nothing else is believed of it.
            return Err((signed.claimed_session(), error.into()));
        }
    };
    let id = ticket.session;
    let refuse = |code, what: String| Err((Some(id), Fault::new(code, what)));
    let Some(place) = ticket.place_of(&plane.me) else {
        return refuse(FaultCode::NotInTicket, format!("{} has no place in this route", plane.me));
    };
    let hop = ticket.hops[place].clone();
    if plane.is_draining() {
        return refuse(FaultCode::Draining, "this node is leaving".to_owned());
    }
    let Some(shard) = plane.engine.shard() else {
        let fault = Fault::new(FaultCode::EngineLost, "no shard is loaded on this node").retry_after_ms(1000);
        return Err((Some(id), fault));
    };
    if ticket.model != shard.model || hop.layers != shard.layers {
        return refuse(
            FaultCode::ModelNotFound,
            format!(
                "the ticket wants layers {} of {}, loaded are {} of {}",
                hop.layers, ticket.model, shard.layers, shard.model
            ),
        );
    }
    if ticket.hidden != shard.hidden || ticket.activation != shard.activation {
        return refuse(
            FaultCode::WrongShape,
            format!(
                "the ticket wants hidden states of {} {:?}, this shard has {} {:?}",
                ticket.hidden, ticket.activation, shard.hidden, shard.activation
            ),
        );
    }
    let options = &plane.options;
    let session =
        Session::new(ticket, place, hop, options.prefill_rows, options.max_generations, plane.stop.child_token());
    plane.add_session(session).map_err(|fault| (Some(id), fault))
}

/// Opens the lanes that the node's place asks for, all at once.
async fn lanes(plane: &Arc<Plane>, session: &Arc<Session>, signed: &SignedTicket) -> Result<OutLanes, Fault> {
    let entry = session.ticket.hops.first().map(|hop| hop.node.clone());
    let next = session.next().map(|hop| hop.node.clone());
    let back = if session.is_exit() && !session.is_entry() { entry } else { None };
    // One activation and one abort of each generation, and those of generations that were just closed.
    let small = 2 * session.max_generations as usize + 16;
    let (prefill, decode, back) = futures::try_join!(
        lane(plane, session, signed, next.as_ref(), Lane::Prefill, session.capacity()),
        lane(plane, session, signed, next.as_ref(), Lane::Decode, small),
        lane(plane, session, signed, back.as_ref(), Lane::Return, small),
    )?;
    Ok(OutLanes { prefill, decode, back })
}

async fn lane(
    plane: &Arc<Plane>,
    session: &Arc<Session>,
    signed: &SignedTicket,
    to: Option<&NodeId>,
    lane: Lane,
    places: usize,
) -> Result<Option<mpsc::Sender<Outgoing>>, Fault> {
    let Some(to) = to else { return Ok(None) };
    let opening = plane.links.open(signed, &session.ticket, to, lane);
    let sender = tokio::time::timeout(plane.options.lane_patience, opening).await.unwrap_or_else(|_| {
        Err(Fault::new(FaultCode::Stalled, format!("the {lane:?} lane to {to} did not open in time")))
    })?;
    let (queue, frames) = mpsc::channel(places);
    plane.tasks.spawn(lane_out::write(plane.clone(), session.clone(), lane, sender, frames));
    Ok(Some(queue))
}
