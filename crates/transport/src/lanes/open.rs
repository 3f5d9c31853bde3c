//! The opener's side of a lane's first moments.

use computepool_core::ports::LaneSender;
use computepool_core::{Fault, FaultCode, Lane, NodeId, RouteTicket, SignedTicket};
use futures::AsyncWriteExt as _;
use tokio::time::timeout;

use super::LaneOptions;
use super::reply::Reply;
use super::sender::StreamSender;
use crate::swarm::{Network, Prefer, Stream, Transport};
use crate::{frame, hello};

pub(super) async fn open(
    network: &Network,
    options: LaneOptions,
    signed: &SignedTicket,
    ticket: &RouteTicket,
    to: &NodeId,
    lane: Lane,
) -> Result<Box<dyn LaneSender>, Fault> {
    // What the other side would refuse is not even tried.
    ticket.check_lane(to, network.node(), lane)?;
    let addresses = ticket.place_of(to).map(|place| ticket.hops[place].addresses.as_slice()).unwrap_or_default();
    let prefer = if lane == Lane::Prefill { Prefer::Over(Transport::Tcp) } else { Prefer::Nearest };
    let mut stream = network.open(to, addresses, frame::PROTOCOL, prefer).await?;

    let late = |_| {
        let seconds = options.open_timeout.as_secs_f32();
        Fault::new(FaultCode::Stalled, format!("{to} did not answer the {lane:?} lane's hello within {seconds} s"))
    };
    timeout(options.open_timeout, greet(&mut stream, signed, to, lane)).await.map_err(late)??;
    let mut sender = StreamSender::new(stream, to.clone(), lane, options.stall);
    if lane != Lane::Return && options.warm_bytes > 0 {
        sender.write(&frame::warm(options.warm_bytes)?, &[]).await?;
    }
    Ok(Box::new(sender))
}

async fn greet(stream: &mut Stream, signed: &SignedTicket, to: &NodeId, lane: Lane) -> Result<(), Fault> {
    let hello = hello::encode(lane, signed)?;
    let written = async {
        stream.write_all(&hello).await?;
        stream.flush().await
    };
    // A refusal may arrive while the hello is still being written, and the write then fails: the reply says why.
    let written = written.await;
    match Reply::default().read(stream).await {
        Ok(None) => written.map_err(|error| broken(to, lane, &error)),
        Ok(Some(fault)) => {
            let message = format!("{to} refused the {lane:?} lane: {}", fault.message);
            Err(Fault { message, ..fault })
        }
        Err(fault) => Err(Fault { message: format!("{to}: {}", fault.message), ..fault }),
    }
}

pub(super) fn broken(peer: &NodeId, lane: Lane, error: &std::io::Error) -> Fault {
    Fault::new(FaultCode::LinkLost, format!("the {lane:?} lane to {peer} broke: {error}"))
}
