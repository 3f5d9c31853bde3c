//! The reading end of a lane.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::Clock;
use computepool_core::{Fault, FaultCode, HopFrame};
use futures::stream::{self, BoxStream};
use futures::{AsyncReadExt as _, StreamExt as _};
use tokio::time::sleep;
use tracing::Instrument as _;

use super::accept::tell;
use super::registry::LanePlace;
use crate::frame::{Decoder, FrameLimits};
use crate::swarm::Stream;

/// How often an idle lane looks at the clock, which is not the timer's.
const CLOCK_CHECK: Duration = Duration::from_millis(250);

/// Reads, checks and hands out frames. It reads only while it is polled.
pub(super) struct LaneReader {
    stream: Stream,
    decoder: Decoder,
    expires_ms: u64,
    clock: Arc<dyn Clock>,
    place: LanePlace,
}

impl LaneReader {
    pub(super) fn new(
        stream: Stream,
        limits: FrameLimits,
        expires_ms: u64,
        clock: Arc<dyn Clock>,
        place: LanePlace,
    ) -> Self {
        Self { stream, decoder: Decoder::new(limits), expires_ms, clock, place }
    }

    /// The frames; ends after the first error.
    pub(super) fn frames(self) -> BoxStream<'static, Result<HopFrame, Fault>> {
        stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(frame)) => Some((Ok(frame), Some(reader))),
                Ok(None) => None,
                Err(fault) => {
                    reader.end(fault.clone());
                    Some((Err(fault), None))
                }
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<HopFrame>, Fault> {
        loop {
            let left = self.time_left()?;
            tokio::select! {
                biased;
                () = self.place.replaced.cancelled() => {
                    return Err(Fault::new(FaultCode::LinkLost, "a newer stream took this lane over"));
                }
                read = self.stream.read(self.decoder.space()) => match read {
                    Ok(0) => {
                        self.decoder.end()?;
                        return Ok(None);
                    }
                    Ok(n) => {
                        if let Some(frame) = self.decoder.filled(n)? {
                            return Ok(Some(frame));
                        }
                    }
                    Err(error) => {
                        return Err(Fault::new(FaultCode::LinkLost, format!("the lane broke: {error}")));
                    }
                },
                () = sleep(left.min(CLOCK_CHECK)) => {}
            }
        }
    }

    /// Time until the ticket ends; at least a millisecond, or `ticket_expired`.
    fn time_left(&self) -> Result<Duration, Fault> {
        let now_ms = self.clock.now_ms();
        if now_ms > self.expires_ms {
            let message = format!("the route ticket ended at {}, now is {now_ms}", self.expires_ms);
            return Err(Fault::new(FaultCode::TicketExpired, message));
        }
        Ok(Duration::from_millis(self.expires_ms - now_ms + 1))
    }

    /// Frees the place at once, and tells the neighbour in the background: it may be slow to listen.
    fn end(self, fault: Fault) {
        let Self { stream, place, .. } = self;
        drop(place);
        tracing::info!(code = %fault.code, "a lane was ended: {}", fault.message);
        tokio::spawn(async move { tell(stream, &fault).await }.in_current_span());
    }
}
