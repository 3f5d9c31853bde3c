//! Writing an outgoing lane.

use std::sync::Arc;
use std::time::Instant;

use computepool_core::ports::LaneSender;
use computepool_core::{HopFrame, Lane};
use tokio::sync::mpsc;

use crate::generation::{Generation, Room};
use crate::plane::Plane;
use crate::session::Session;

/// A frame on its way out, with what becomes free when it is written.
pub(crate) struct Outgoing {
    pub(crate) frame: HopFrame,
    pub(crate) generation: Arc<Generation>,
    pub(crate) room: Option<Room>,
}

/// Bytes that a receipt claims for a frame: the numbers of an activation, the id of a token.
fn payload(frame: &HopFrame) -> u64 {
    match frame {
        HopFrame::Activation { hidden, .. } => hidden.data().len() as u64,
        HopFrame::Token { .. } => 4,
        HopFrame::Abort { .. } => 0,
    }
}

/// Writes until the session ends or the link fails.
pub(crate) async fn write(
    plane: Arc<Plane>,
    session: Arc<Session>,
    lane: Lane,
    mut sender: Box<dyn LaneSender>,
    mut queue: mpsc::Receiver<Outgoing>,
) {
    let writing = async {
        while let Some(Outgoing { frame, generation, room }) = queue.recv().await {
            match &frame {
                HopFrame::Abort { .. } => {}
                _ if generation.is_over() => continue,
                // Said before the neighbour can have it: the answer may be back before this task runs again.
                HopFrame::Activation { position, hidden, .. } => generation.depart(position + hidden.rows()),
                HopFrame::Token { .. } => {}
            }
            generation.sending(payload(&frame));
            let started = Instant::now();
            sender.send(frame).await?;
            generation.sent(started.elapsed());
            drop(room);
        }
        Ok(())
    };
    if let Some(Err(fault)) = session.over.run_until_cancelled(writing).await {
        tracing::warn!(session = %session.id, ?lane, %fault, "an outgoing lane broke");
        plane.break_session(&session, fault, None);
    }
}
