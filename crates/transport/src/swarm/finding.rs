//! Finding others, and being found: the table of nodes, the local network, and what this node knows of its own standing.

use std::time::Duration;

use computepool_core::{Fault, NodeId, Reach};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::actor::Command;
use super::preflight::Preflight;
use super::refusals::Refusals;
use super::{Network, addresses, table};
use crate::identity::{node_of, peer_of};

/// How long an answer from the table is waited for; a query itself takes no longer than [`table::QUERY`].
const ANSWER: Duration = table::QUERY.saturating_add(Duration::from_secs(1));

impl Network {
    /// How this node can be reached, and every change of that.
    pub fn reach(&self) -> watch::Receiver<Reach> {
        self.inner.reach.clone()
    }

    /// What this node knows by now of how it stands in its network.
    pub fn preflight(&self) -> Preflight {
        self.inner.surroundings.borrow().preflight()
    }

    /// Every address there is, as text and without this node's peer id: listeners, on every interface; public addresses,
    /// said by the owner, confirmed by AutoNAT or mapped by the router; circuits, as `RELAY/p2p/ID/p2p-circuit`.
    pub fn addresses(&self) -> Vec<String> {
        self.inner.surroundings.borrow().addresses()
    }

    /// The addresses that are of use to others, twelve at most, for adverts and route tickets: public ones first, then
    /// those of its local network, then circuits. Unspecified addresses never, loopback ones only where there is nothing
    /// else.
    pub fn dialable_addresses(&self) -> Vec<String> {
        self.inner.surroundings.borrow().dialable()
    }

    /// Wakes whenever an address or anything else in [`Network::preflight`] has changed.
    pub fn surroundings(&self) -> watch::Receiver<()> {
        self.inner.changes.clone()
    }

    /// Keeps reservations at these relays too; each address ends in `/p2p/ID`. Fails with `invalid_request` when one
    /// does not, and then none is used.
    pub async fn use_relays(&self, relays: &[String]) -> Result<(), Fault> {
        let mut addresses = relays.iter().map(|text| addresses::relay(text)).collect::<Result<Vec<_>, _>>()?;
        addresses.retain(|(relay, _)| *relay != self.inner.me);
        self.command(Command::Relays { addresses }).await
    }

    /// The nodes of the local network that mDNS found, with their addresses.
    pub fn lan_peers(&self) -> Vec<(NodeId, Vec<String>)> {
        let known = self.inner.surroundings.borrow();
        let named = known.lan.iter().filter_map(|(peer, addresses)| Some((node_of(peer).ok()?, texts(addresses))));
        named.collect()
    }

    /// Tells the table that this node has `key`, now and again until [`Network::stop_providing`]. Fails with
    /// `invalid_request` when it takes no part in the table, `no_capacity` when it provides too much already.
    pub async fn provide(&self, key: [u8; 32]) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Provide { key, reply }).await?;
        answer.await.map_err(|_| super::stopped())?
    }

    /// Tells the table no longer that this node has `key`. What it was told counts for up to a quarter of an hour.
    pub async fn stop_providing(&self, key: [u8; 32]) -> Result<(), Fault> {
        self.command(Command::StopProviding { key }).await
    }

    /// Who said that they have `key`, 64 nodes at most and this one not among them; empty when nobody did, when the
    /// table does not answer within some seconds, or when this node takes no part in it.
    pub async fn providers(&self, key: [u8; 32]) -> Vec<NodeId> {
        let (reply, answer) = oneshot::channel();
        let found: Vec<PeerId> = self.ask(Command::Providers { key, reply }, answer).await;
        found.iter().filter(|peer| **peer != self.inner.me).filter_map(|peer| node_of(peer).ok()).collect()
    }

    /// Where `node` can be dialled: what the local network and the table say, by the node's own signature. Empty when
    /// neither knows it, or does not answer within some seconds.
    pub async fn find(&self, node: &NodeId) -> Vec<String> {
        let Ok(peer) = peer_of(node) else { return Vec::new() };
        let near = self.inner.surroundings.borrow().lan.get(&peer).map(|near| texts(near)).unwrap_or_default();
        let (reply, answer) = oneshot::channel();
        let told: Vec<Multiaddr> = self.ask(Command::Find { peer, reply }, answer).await;
        let mut all = near;
        all.extend(texts(&told).into_iter().filter(|address| !all.contains(address)).collect::<Vec<_>>());
        all
    }

    /// How much this node has turned away since it started.
    pub fn refusals(&self) -> Refusals {
        self.inner.refusals.counts()
    }

    async fn ask<T: Default>(&self, command: Command, answer: oneshot::Receiver<T>) -> T {
        if self.command(command).await.is_err() {
            return T::default();
        }
        timeout(ANSWER, answer).await.ok().and_then(Result::ok).unwrap_or_default()
    }
}

fn texts(addresses: &[Multiaddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}
