//! The side that is measured.

use computepool_core::Fault;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::PeerId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::budget::{Budget, Place};
use super::chunks::{self, Asked, MeasureError, REQUEST_BYTES};
use super::{PATIENCE, PROTOCOL};
use crate::swarm::{Inbound, Network, Stream};

/// Echoes on one stream.
const MAX_ECHOES: usize = 16;

/// Lets peers measure their paths to `network`, until it is shut down.
pub(crate) async fn serve(network: &Network) -> Result<(), Fault> {
    let inbound = network.accept(PROTOCOL).await?;
    let span = tracing::info_span!("measured", node = %network.node());
    tokio::spawn(take(inbound).instrument(span));
    Ok(())
}

async fn take(mut inbound: mpsc::Receiver<Inbound>) {
    let budget = Budget::new(Instant::now());
    let mut measuring = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(done) = measuring.join_next() => {
                if let Err(error) = done {
                    tracing::error!(%error, "a measurement was not seen through");
                }
            }
            next = inbound.recv() => {
                let Some(Inbound { peer, mut stream }) = next else { return };
                let Some(place) = budget.place(peer) else {
                    refuse(&mut stream, peer);
                    continue;
                };
                measuring.spawn(async move {
                    let outcome = timeout(PATIENCE, answer(&mut stream, &place)).await;
                    // The place is given back before the peer sees the end of the stream, and may come again.
                    drop(place);
                    match outcome {
                        Ok(Ok(())) => {
                            if let Err(error) = stream.close().await {
                                tracing::trace!(%peer, %error, "the peer did not wait for the end");
                            }
                        }
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "a measurement ended early"),
                        Err(_) => tracing::debug!(%peer, "a measurement took too long"),
                    }
                }.in_current_span());
            }
        }
    }
}

/// Says no as far as that costs nothing: eight bytes fit into any stream that was just opened.
fn refuse(stream: &mut Stream, peer: PeerId) {
    let request = Asked::Refused.request();
    let said = futures::FutureExt::now_or_never(async {
        stream.write_all(&request).await?;
        stream.close().await
    });
    tracing::debug!(%peer, said = matches!(said, Some(Ok(()))), "a measurement was refused: enough are under way");
}

/// Answers requests until the peer closes the stream.
async fn answer(stream: &mut Stream, place: &Place) -> Result<(), MeasureError> {
    let (mut echoes, mut ways) = (0, Vec::new());
    loop {
        let mut request = [0; REQUEST_BYTES];
        if stream.read(&mut request[..1]).await? == 0 {
            return Ok(());
        }
        stream.read_exact(&mut request[1..]).await?;
        match Asked::parse(&request)? {
            Asked::Echo if echoes < MAX_ECHOES => {
                echoes += 1;
                stream.write_all(&request).await?;
                stream.flush().await?;
            }
            way @ (Asked::Down | Asked::Up) if !ways.contains(&way) => {
                ways.push(way);
                if !place.spend(Instant::now()) {
                    stream.write_all(&Asked::Refused.request()).await?;
                    stream.close().await?;
                    return Err(MeasureError::Refused);
                }
                measure(stream, way).await?;
            }
            _ => return Err(MeasureError::TooOften),
        }
    }
}

async fn measure(stream: &mut Stream, way: Asked) -> Result<(), MeasureError> {
    if way == Asked::Down {
        return Ok(chunks::write(stream).await?);
    }
    let rate = chunks::read(stream).await?;
    for part in [rate.bytes, rate.nanos] {
        stream.write_all(&part.to_le_bytes()).await?;
    }
    stream.flush().await?;
    Ok(())
}
