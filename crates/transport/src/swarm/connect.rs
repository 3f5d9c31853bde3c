//! Getting to a peer: directly where that is possible, through a relay where it is not.
//!
//! A peer may have addresses on its local network, public ones, and circuits through relays. All direct ones are dialled
//! first; the circuits follow after [`HEAD_START`] where none of them has answered by then. A connection through a relay
//! is then given a moment in which a punch may succeed (see [`PUNCH`]), so that lanes need not move afterwards.
//!
//! What would be nice to have (TCP beside QUIC, a direct connection beside a relayed one) is dialled only where an
//! address promises it, for a bounded time, and not again soon where it failed.

use std::time::Duration;

use computepool_core::{Fault, FaultCode, NodeId, PathKind};
use futures::TryFutureExt as _;
use futures::future::{Either, select};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::actor::Command;
use super::peers::{PeerPath, Prefer, Transport, Way};
use super::stream::Stream;
use super::{Network, addresses, paths, stopped};
use crate::identity::peer_of;

/// How often a broken attempt to open a stream is made again: peers that dial each other in the same instant can
/// break each other's connection.
const ATTEMPTS: u32 = 3;

/// How long direct addresses are tried before circuits are dialled too.
const HEAD_START: Duration = Duration::from_millis(250);

/// How long after a relayed connection was made a better one is waited for. A punch that succeeds takes a few round
/// trips.
pub(super) const PUNCH: Duration = Duration::from_secs(1);

/// How long a stream waits for a dial that would be nice to succeed. The dial goes on: the next stream may have it.
const NICE_TO_HAVE: Duration = Duration::from_millis(500);

impl Network {
    /// Connects to `node` at one of `addresses`, unless it is connected already. Fails with `link_lost` when none of
    /// them answers as `node`, `invalid_request` when none of them is a multiaddress.
    pub async fn dial(&self, node: &NodeId, addresses: &[String]) -> Result<(), Fault> {
        self.reach_out(self.other(node)?, addresses).await
    }

    /// Connects to `node` and waits for the best path there is to be had: where only a relay leads to it, for a punch
    /// to succeed or fail, for at most a second. Fails like [`Network::dial`].
    pub async fn connect(&self, node: &NodeId, addresses: &[String]) -> Result<PeerPath, Fault> {
        let peer = self.other(node)?;
        self.reach_out(peer, addresses).await?;
        self.settle(peer, addresses).await;
        self.inner.peers.path(&peer).ok_or_else(|| unreached(&peer))
    }

    /// Opens a stream of `protocol` to `node`, dialling if needed.
    pub(crate) async fn open(
        &self,
        node: &NodeId,
        addresses: &[String],
        protocol: &'static str,
        prefer: Prefer,
    ) -> Result<Stream, Fault> {
        let peer = self.other(node)?;
        let mut attempt = 1;
        loop {
            match self.try_open(peer, addresses, protocol, prefer).await {
                Err(fault) if fault.code == FaultCode::LinkLost && attempt < ATTEMPTS && !self.is_stopped() => {
                    tracing::debug!(%node, attempt, %fault, "opening a stream again");
                    // Two peers that collided must not collide again: the one with the smaller id goes first.
                    let turn = if self.inner.me < peer { 1 } else { 3 };
                    sleep(Duration::from_millis(40) * turn * attempt).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_open(
        &self,
        peer: PeerId,
        addresses: &[String],
        protocol: &'static str,
        prefer: Prefer,
    ) -> Result<Stream, Fault> {
        self.reach_out(peer, addresses).await?;
        self.settle(peer, addresses).await;
        if let Prefer::Over(transport) = prefer {
            self.dial_beside(peer, addresses, transport).await;
        }
        let connection = self.inner.peers.choose(&peer, prefer).ok_or_else(|| unreached(&peer))?;
        self.open_on(peer, connection, StreamProtocol::new(protocol)).await
    }

    async fn open_on(&self, peer: PeerId, connection: ConnectionId, protocol: StreamProtocol) -> Result<Stream, Fault> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Open { peer, connection, protocol, reply }).await?;
        let lost =
            |_| Fault::new(FaultCode::LinkLost, format!("the connection to {peer} closed before a stream opened"));
        answer.map_err(lost).await?
    }

    /// The peer id of somebody else.
    fn other(&self, node: &NodeId) -> Result<PeerId, Fault> {
        let peer = peer_of(node)?;
        if peer == self.inner.me {
            return Err(Fault::new(FaultCode::InvalidRequest, "a node does not dial itself"));
        }
        Ok(peer)
    }

    /// Makes sure that `peer` is connected somehow.
    async fn reach_out(&self, peer: PeerId, texts: &[String]) -> Result<(), Fault> {
        if self.is_stopped() {
            return Err(stopped());
        }
        if self.inner.peers.is_connected(&peer, Way::Any) {
            return Ok(());
        }
        let all = addresses::dialable(&peer, texts)?;
        let direct = addresses::leading(&all, Way::Direct);
        let circuits = all[direct.len()..].to_vec();
        if circuits.is_empty() || direct.is_empty() {
            return self.dial_way(peer, all, Way::Any).await;
        }
        let near = Box::pin(self.dial_way(peer, direct, Way::Direct));
        let far = || Box::pin(self.dial_way(peer, circuits, Way::Any));
        let near = match select(near, Box::pin(sleep(HEAD_START))).await {
            Either::Left((Ok(()), _)) => return Ok(()),
            Either::Left((Err(fault), _)) => {
                tracing::debug!(%peer, %fault, "no direct address answers; going through a relay");
                return far().await;
            }
            Either::Right(((), near)) => near,
        };
        tracing::debug!(%peer, "no direct address has answered yet; trying a relay beside them");
        match select(near, far()).await {
            Either::Left((Ok(()), _)) | Either::Right((Ok(()), _)) => Ok(()),
            Either::Left((Err(_), other)) => other.await,
            Either::Right((Err(_), other)) => other.await,
        }
    }

    /// Gives a connection that leads through a relay the time to be replaced by a better one.
    async fn settle(&self, peer: PeerId, texts: &[String]) {
        let mut changes = self.inner.peers.changes();
        if self.inner.peers.is_connected(&peer, Way::Direct) {
            return;
        }
        let since = self.inner.peers.only_relayed_since(&peer);
        let until = since.map_or_else(Instant::now, |since| since + PUNCH);
        let dialled = self.dial_nice(peer, texts, Way::Direct, until);
        let hopeful = self.inner.nat && !self.inner.futile.is_known(peer, Way::Direct, Instant::now());
        let punched = async {
            while let Some(since) = self.inner.peers.only_relayed_since(&peer).filter(|_| hopeful) {
                if timeout_at(since + PUNCH, changes.changed()).await.is_err() {
                    tracing::debug!(%peer, "no punch came through in time; staying with the relay");
                    self.inner.peers.stays_relayed(&peer);
                    self.inner.futile.remember(peer, Way::Direct, Instant::now());
                }
            }
        };
        futures::join!(dialled, punched);
    }

    /// Dials `peer` over another transport beside the one there is, where that promises something.
    async fn dial_beside(&self, peer: PeerId, texts: &[String], transport: Transport) {
        if self.inner.peers.is_connected(&peer, Way::Direct) {
            self.dial_nice(peer, texts, Way::Over(transport), Instant::now() + NICE_TO_HAVE).await;
        }
    }

    /// Dials `peer` and waits for that until a moment, which may have passed.
    async fn dial_nice(&self, peer: PeerId, texts: &[String], way: Way, until: Instant) {
        if self.inner.peers.is_connected(&peer, way) || self.inner.futile.is_known(peer, way, Instant::now()) {
            return;
        }
        let Ok(all) = addresses::dialable(&peer, texts) else { return };
        let mut worth = addresses::leading(&all, way);
        let path = self.inner.peers.path(&peer).map(|path| path.kind);
        let listeners = self.inner.surroundings.borrow().listeners.clone();
        worth.retain(|address| match (paths::kind_of(address), path) {
            // Whoever was met over the internet is not on this local network; whoever was met through a relay may be.
            (PathKind::Lan, Some(PathKind::Direct)) => false,
            (PathKind::Lan, Some(PathKind::Relayed)) => listeners.iter().any(|own| paths::same_network(own, address)),
            _ => true,
        });
        if worth.is_empty() {
            return;
        }
        let dialled = timeout_at(until, self.dial_way(peer, worth, way)).await;
        if !matches!(dialled, Ok(Ok(()))) && !self.inner.peers.is_connected(&peer, way) {
            tracing::debug!(%peer, ?way, "staying on the connection there is");
            self.inner.futile.remember(peer, way, Instant::now());
        }
    }

    async fn dial_way(&self, peer: PeerId, addresses: Vec<Multiaddr>, way: Way) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Dial { peer, addresses, way, reply }).await?;
        let late = |_| {
            let seconds = self.inner.dial_timeout.as_secs_f32();
            Fault::new(FaultCode::LinkLost, format!("{peer} did not answer within {seconds} s"))
        };
        timeout_at(Instant::now() + self.inner.dial_timeout, answer).await.map_err(late)?.map_err(|_| stopped())?
    }
}

fn unreached(peer: &PeerId) -> Fault {
    Fault::new(FaultCode::LinkLost, format!("{peer} is no longer connected"))
}
