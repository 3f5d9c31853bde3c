//! One connection's raw streams.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use computepool_core::{Fault, FaultCode};
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound, StreamUpgradeError,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use libp2p::{PeerId, StreamProtocol};

use super::Inbound;
use super::stream::{Stream, Uses};
use super::streams::{Acceptors, OpenStream, Opened};

/// Streams that wait to be opened on one connection; more are refused.
const MAX_QUEUED: usize = 128;

pub(super) struct StreamHandler {
    peer: PeerId,
    acceptors: Acceptors,
    uses: Uses,
    queued: VecDeque<OpenStream>,
}

impl StreamHandler {
    pub(super) fn new(peer: PeerId, acceptors: Acceptors, uses: Uses) -> Self {
        Self { peer, acceptors, uses, queued: VecDeque::new() }
    }

    fn failed(&self, error: StreamUpgradeError<Infallible>) -> Fault {
        let peer = self.peer;
        match error {
            StreamUpgradeError::NegotiationFailed => {
                Fault::new(FaultCode::InvalidRequest, format!("{peer} does not offer this protocol now"))
                    .hint("it may run another version, or may not be ready yet")
                    .retry_after_ms(500)
            }
            StreamUpgradeError::Timeout => {
                Fault::new(FaultCode::Stalled, format!("{peer} did not open the stream in time"))
            }
            StreamUpgradeError::Io(error) => {
                Fault::new(FaultCode::LinkLost, format!("the connection to {peer} broke: {error}"))
            }
            StreamUpgradeError::Apply(never) => match never {},
        }
    }
}

impl ConnectionHandler for StreamHandler {
    type FromBehaviour = OpenStream;
    type ToBehaviour = Infallible;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opened;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer, ()> {
        SubstreamProtocol::new(Offer(self.acceptors.protocols()), ())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Offer, Opened, Infallible>> {
        // The connection polls again after every event it hands in, so nothing needs waking here.
        let Some(OpenStream { protocol, reply }) = self.queued.pop_front() else { return Poll::Pending };
        let protocol = SubstreamProtocol::new(Offer(vec![protocol]), reply);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, request: OpenStream) {
        if self.queued.len() < MAX_QUEUED {
            self.queued.push_back(request);
            return;
        }
        let fault = Fault::new(FaultCode::NoCapacity, format!("too many streams to {} are being opened", self.peer));
        if request.reply.send(Err(fault.retry_after_ms(1_000))).is_err() {
            tracing::debug!(peer = %self.peer, "the opener of a stream is gone");
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Offer, (), Opened>) {
        let (reply, result) = match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (stream, name), info: () }) => {
                let stream = Stream::new(stream, self.uses.clone());
                self.acceptors.deliver(&name, Inbound { peer: self.peer, stream });
                return;
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (stream, _), info }) => {
                (info, Ok(Stream::new(stream, self.uses.clone())))
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => (info, Err(self.failed(error))),
            _ => return,
        };
        if reply.send(result).is_err() {
            tracing::debug!(peer = %self.peer, "the opener of a stream is gone");
        }
    }
}

/// Offers protocol names, and hands over the stream as it is.
#[derive(Debug)]
pub(super) struct Offer(Vec<StreamProtocol>);

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<libp2p::Stream> for Offer {
    type Output = (libp2p::Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, name)))
    }
}

impl OutboundUpgrade<libp2p::Stream> for Offer {
    type Output = (libp2p::Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: libp2p::Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, name)))
    }
}
