//! Asking peers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use computepool_core::{Fault, FaultCode, NodeId, Retry};
use tokio::time::{sleep, timeout};

use super::board::{Board, Lease};
use super::gauge::Gauge;
use super::{Supply, keep, named};
use crate::WeightsError;
use crate::block::{Block, Place};
use crate::shelf::Stored;

/// Failures in a row after which a peer is left.
const PATIENCE: u32 = 3;
/// How often a peer may be too busy in a row.
const BUSY: u32 = 20;
/// The longest pause before a busy peer is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Bytes a second that a peer must send, beside the time it may be silent.
const SLOWEST: u64 = 64 << 10;

/// What to do about a peer that did not send a block.
enum Verdict {
    Lacks,
    Again(Duration),
    Leave { offence: bool },
}

/// What went wrong with a peer in a row.
#[derive(Default)]
struct Patience {
    failures: u32,
    busy: u32,
}

impl Supply {
    /// Fetches from one peer until it has nothing more to give.
    pub(super) async fn ask_peer(&self, stored: &Arc<Stored>, board: &Board, gauge: &Gauge, peer: NodeId) {
        let mut patience = Patience::default();
        while let Some(mut lease) = board.next_of_peer(&peer).await {
            let Some(place) = lease.places().first().copied() else { continue };
            let Some(block) = place.of(stored.manifest()) else { continue };
            self.pace.wait(u64::from(block.length)).await;
            let fault = match self.ask(&peer, block).await {
                Ok(bytes) => match keep(stored, place, bytes, &named(&peer)).await {
                    Ok(()) => {
                        lease.done(place);
                        gauge.add(block.length, true);
                        patience = Patience::default();
                        continue;
                    }
                    Err(bad @ WeightsError::BadBlock { .. }) => Fault::from(bad),
                    Err(error) => {
                        board.give_up(error);
                        return;
                    }
                },
                Err(fault) => fault,
            };
            if !self.bear(board, &peer, place, lease, fault, &mut patience).await {
                return;
            }
        }
    }

    async fn ask(&self, peer: &NodeId, block: Block) -> Result<Bytes, Fault> {
        let Some(peers) = &self.peers else { return Err(Fault::new(FaultCode::Internal, "there are no peers")) };
        let limit = self.options.stall + Duration::from_secs(u64::from(block.length).div_ceil(SLOWEST));
        let late = |_| {
            let message = format!("no block of {} bytes within {} s", block.length, limit.as_secs_f32());
            Err(Fault::new(FaultCode::Stalled, message))
        };
        timeout(limit, peers.fetch(peer, block.hash, block.length)).await.unwrap_or_else(late)
    }

    /// Decides what becomes of a peer that failed, and says whether to go on with it. The block goes back first.
    async fn bear(
        &self,
        board: &Board,
        peer: &NodeId,
        place: Place,
        lease: Lease<'_>,
        fault: Fault,
        patience: &mut Patience,
    ) -> bool {
        match verdict(&fault, patience) {
            Verdict::Lacks => {
                tracing::debug!(%peer, ?place, "a peer does not have a block that it should have");
                board.disclaim(peer, place);
            }
            Verdict::Again(pause) => {
                drop(lease);
                sleep(pause).await;
            }
            Verdict::Leave { offence } => {
                tracing::warn!(%peer, code = %fault.code, offence, "a peer is asked no more: {}", fault.message);
                if offence {
                    self.offenders.add(peer.as_str());
                }
                let why = WeightsError::Source { from: named(peer), code: fault.code, reason: fault.message };
                board.leave_peer(peer, why);
                return false;
            }
        }
        true
    }
}

fn verdict(fault: &Fault, patience: &mut Patience) -> Verdict {
    match fault.code {
        FaultCode::ModelNotFound => Verdict::Lacks,
        FaultCode::BadBlock | FaultCode::BadFrame | FaultCode::OversizeFrame | FaultCode::ProtocolViolation => {
            Verdict::Leave { offence: true }
        }
        FaultCode::Stalled => Verdict::Leave { offence: false },
        FaultCode::NoCapacity if patience.busy < BUSY => {
            patience.busy += 1;
            let pause = match fault.retry {
                Retry::AfterMs(ms) => Duration::from_millis(ms),
                Retry::Never => Duration::from_millis(500),
            };
            Verdict::Again(pause.min(LONGEST_PAUSE))
        }
        _ if patience.failures + 1 < PATIENCE && fault.code != FaultCode::NoCapacity => {
            patience.failures += 1;
            Verdict::Again(Duration::from_millis(250) * patience.failures)
        }
        _ => Verdict::Leave { offence: false },
    }
}
