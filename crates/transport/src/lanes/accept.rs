//! The acceptor: who may open a lane to this node.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::{Clock, IncomingLane};
use computepool_core::{Fault, FaultCode, Lane, NodeId, RouteTicket};
use futures::stream::{self, BoxStream};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::AcceptLimits;
use super::reader::LaneReader;
use super::registry::{HelloPlace, LanePlace, Registry};
use crate::PeerVerifier;
use crate::frame::{self, FrameLimits, PREFIX_BYTES};
use crate::hello::{self, Hello};
use crate::swarm::{Inbound, Ledger, Network, Refusal, Stream, authenticated};

/// Accepted lanes that wait to be taken.
const ACCEPTED: usize = 16;

/// How long telling a neighbour why it is turned away may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Starts the acceptor of `network`.
pub(super) async fn start(
    network: &Network,
    trusted: NodeId,
    clock: Arc<dyn Clock>,
    limits: AcceptLimits,
) -> Result<BoxStream<'static, IncomingLane>, Fault> {
    let inbound = network.accept(frame::PROTOCOL).await?;
    let (lanes, accepted) = mpsc::channel(ACCEPTED);
    let me = network.node().clone();
    let span = tracing::info_span!("lanes", node = %me);
    let gate = Arc::new(Gate { me, trusted, clock, limits, registry: Registry::new(limits), lanes });
    let acceptor = Acceptor { inbound, gate, hellos: JoinSet::new(), refusals: network.ledger() };
    tokio::spawn(acceptor.run().instrument(span));
    let taken = stream::unfold(accepted, |mut accepted| async move { Some((accepted.recv().await?, accepted)) });
    Ok(taken.boxed())
}

struct Acceptor {
    inbound: mpsc::Receiver<Inbound>,
    gate: Arc<Gate>,
    hellos: JoinSet<()>,
    refusals: Arc<Ledger>,
}

impl Acceptor {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.gate.lanes.closed() => break,
                Some(done) = self.hellos.join_next() => {
                    if let Err(error) = done {
                        tracing::error!(%error, "a hello was not seen through");
                    }
                }
                inbound = self.inbound.recv() => match inbound {
                    Some(inbound) => self.handle_inbound(inbound),
                    None => break,
                },
            }
        }
    }

    fn handle_inbound(&mut self, Inbound { peer, stream }: Inbound) {
        let Some(peer) = authenticated(&peer) else { return };
        match self.gate.registry.hello(&peer) {
            Some(place) => {
                let gate = Arc::clone(&self.gate);
                self.hellos.spawn(async move { gate.greet(stream, peer, place).await }.in_current_span());
            }
            // Dropping the stream resets it. A named refusal would cost what the limit is there to save.
            None => self.refusals.refused(Refusal::Stream, &format_args!("{peer} says too many hellos at once")),
        }
    }
}

/// What every hello is checked against.
struct Gate {
    me: NodeId,
    trusted: NodeId,
    clock: Arc<dyn Clock>,
    limits: AcceptLimits,
    registry: Arc<Registry>,
    lanes: mpsc::Sender<IncomingLane>,
}

/// A hello that was found good.
struct Admitted {
    lane: Lane,
    ticket: RouteTicket,
    place: LanePlace,
}

impl Gate {
    async fn greet(&self, mut stream: Stream, peer: NodeId, place: HelloPlace) {
        let late = || {
            let seconds = self.limits.hello_timeout.as_secs_f32();
            Fault::new(FaultCode::Stalled, format!("no complete hello within {seconds} s"))
        };
        let admitted = async {
            let limit = self.limits.hello_timeout;
            let hello = timeout(limit, read_hello(&mut stream)).await.unwrap_or_else(|_| Err(late()))?;
            // The place in the queue comes first: a lane that nobody will take must not be confirmed.
            let permit = match timeout(limit, self.lanes.reserve()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) => return Err(Fault::new(FaultCode::Draining, "this node takes no more lanes")),
                Err(_) => {
                    let busy = Fault::new(FaultCode::NoCapacity, "this node is too busy to take a lane");
                    return Err(busy.retry_after_ms(1_000));
                }
            };
            let admitted = self.admit(&peer, &hello)?;
            timeout(FAREWELL, confirm(&mut stream)).await.unwrap_or_else(|_| Err(late()))?;
            Ok((permit, admitted))
        };
        match admitted.await {
            Ok((permit, Admitted { lane, ticket, place: lane_place })) => {
                tracing::debug!(%peer, ?lane, session = %ticket.session, "a lane was opened");
                let limits = FrameLimits::of(&ticket, lane, self.limits.max_activation_bytes);
                let clock = Arc::clone(&self.clock);
                let reader = LaneReader::new(stream, limits, ticket.expires_ms, clock, lane_place);
                let session = ticket.session;
                permit.send(IncomingLane { session, from: peer, lane, ticket, frames: reader.frames() });
            }
            Err(fault) => {
                tracing::info!(%peer, code = %fault.code, "a lane was refused: {}", fault.message);
                tell(stream, &fault).await;
            }
        }
        drop(place);
    }

    fn admit(&self, peer: &NodeId, hello: &Hello) -> Result<Admitted, Fault> {
        let ticket = hello.ticket.open(&self.trusted, &PeerVerifier, self.clock.now_ms())?;
        ticket.check_lane(&self.me, peer, hello.lane)?;
        let place = self.registry.lane((ticket.session, peer.clone(), hello.lane))?;
        Ok(Admitted { lane: hello.lane, ticket, place })
    }
}

async fn read_hello(stream: &mut Stream) -> Result<Hello, Fault> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await.map_err(|error| lost(&error))?;
    let mut body = vec![0; hello::announced(&prefix)?];
    stream.read_exact(&mut body).await.map_err(|error| lost(&error))?;
    Ok(hello::parse(&body)?)
}

async fn confirm(stream: &mut Stream) -> Result<(), Fault> {
    stream.write_all(&hello::encode_reply(None)?).await.map_err(|error| lost(&error))?;
    stream.flush().await.map_err(|error| lost(&error))
}

/// Tells the neighbour why its lane ends, and ends it.
pub(super) async fn tell(mut stream: Stream, fault: &Fault) {
    let farewell = async {
        let reply = hello::encode_reply(Some(fault)).map_err(|error| error.to_string())?;
        stream.write_all(&reply).await.map_err(|error| error.to_string())?;
        stream.close().await.map_err(|error| error.to_string())
    };
    match timeout(FAREWELL, farewell).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error, "the neighbour was not told"),
        Err(_) => tracing::debug!("the neighbour did not listen"),
    }
}

fn lost(error: &std::io::Error) -> Fault {
    Fault::new(FaultCode::LinkLost, format!("the stream broke during its hello: {error}"))
}
