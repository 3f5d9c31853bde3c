//! The table of nodes: what this node tells it, asks it, and keeps for others.

use computepool_core::{Fault, FaultCode, Reach};
use libp2p::kad::store::RecordStore as _;
use libp2p::kad::{self, InboundRequest, ProviderRecord, Record, RecordKey};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, identify};

use super::{Reply, SwarmActor, answer};
use crate::swarm::addresses::{MAX_ADDRESSES, without_peer};
use crate::swarm::paths::{ip_of, is_circuit, is_global};
use crate::swarm::peers::Transport;
use crate::swarm::queries::Query;
use crate::swarm::refusals::Refusal;
use crate::swarm::table;

/// Keys that are told to the table in one go.
const TOLD_AT_ONCE: usize = 16;

/// Keys that one node may provide.
const MAX_PROVIDED: usize = 4096;

impl SwarmActor {
    /// Notes that this node has `key`; the table is told in the next moments, and whenever somebody new joins it.
    pub(super) fn provide(&mut self, key: [u8; 32]) -> Result<(), Fault> {
        if !self.swarm.behaviour().kad.is_enabled() {
            return Err(no_table());
        }
        if self.tabling.provided.len() >= MAX_PROVIDED && !self.tabling.provided.contains(&key) {
            return Err(Fault::new(FaultCode::NoCapacity, format!("a node provides at most {MAX_PROVIDED} keys")));
        }
        if self.tabling.provided.insert(key) {
            self.tabling.untold.insert(key);
        }
        Ok(())
    }

    pub(super) fn stop_providing(&mut self, key: [u8; 32]) {
        self.tabling.untold.remove(&key);
        if self.tabling.provided.remove(&key)
            && let Some(kad) = self.swarm.behaviour_mut().kad.as_mut()
        {
            kad.stop_providing(&RecordKey::new(&key));
        }
    }

    pub(super) fn ask_providers(&mut self, key: [u8; 32], reply: Reply<Vec<PeerId>>) {
        match self.swarm.behaviour_mut().kad.as_mut() {
            Some(kad) if !self.tabling.queries.is_full() => {
                let id = kad.get_providers(RecordKey::new(&key));
                self.tabling.queries.ask(id, Query::Providers { found: Default::default(), reply });
            }
            _ => answer(reply, Vec::new()),
        }
    }

    pub(super) fn ask_whereabouts(&mut self, peer: PeerId, reply: Reply<Vec<Multiaddr>>) {
        match self.swarm.behaviour_mut().kad.as_mut() {
            Some(kad) if !self.tabling.queries.is_full() => {
                let id = kad.get_record(table::whereabouts_key(&peer));
                self.tabling.queries.ask(id, Query::Whereabouts { peer, newest: None, reply });
            }
            _ => answer(reply, Vec::new()),
        }
    }

    /// Tells the table what it does not know yet: a few keys at a time, and where this node is when that has changed.
    pub(super) fn tell_table(&mut self) {
        let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() else { return };
        if std::mem::take(&mut self.tabling.fresh) {
            self.tabling.untold.clone_from(&self.tabling.provided);
            self.tabling.told.clear();
        }
        for _ in 0..TOLD_AT_ONCE {
            let Some(key) = self.tabling.untold.pop_first() else { break };
            if let Err(error) = kad.start_providing(RecordKey::new(&key)) {
                tracing::warn!(%error, "the table cannot be told what this node has");
            }
        }
        let texts = self.boards.surroundings.borrow().dialable();
        if texts == self.tabling.told {
            return;
        }
        let addresses = texts.iter().filter_map(|text| text.parse().ok()).take(MAX_ADDRESSES).collect();
        self.tabling.told = texts;
        if let Some(record) = table::whereabouts(&self.setup.keys, addresses)
            && let Err(error) = kad.put_record(record, kad::Quorum::One)
        {
            tracing::warn!(%error, "the table cannot be told where this node is");
        }
    }

    /// A node that anybody can reach answers the table's queries, any other only asks.
    pub(super) fn set_table_mode(&mut self) {
        let serves = self.setup.serve_table || *self.boards.reach.borrow() == Reach::Public;
        if let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() {
            kad.set_mode(Some(if serves { kad::Mode::Server } else { kad::Mode::Client }));
        }
    }

    /// Lets the table know a peer that answers its queries, and where it listens.
    pub(super) fn introduce_to_table(&mut self, peer: PeerId, connection: ConnectionId, info: &identify::Info) {
        let dialled = self.setup.peers.dialled(&peer, connection);
        let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() else { return };
        if !info.protocols.iter().any(|protocol| protocol.as_ref() == table::PROTOCOL) {
            return;
        }
        // Of a peer on the internet its private addresses are of no use.
        let global = dialled.as_ref().and_then(ip_of).is_some_and(is_global);
        let useful = |address: &Multiaddr| {
            let reached = !global || ip_of(address).is_none_or(is_global);
            reached && !is_circuit(address) && Transport::of(address).is_some()
        };
        let listening = info.listen_addrs.iter().filter_map(|address| without_peer(address.clone(), &peer));
        let dialled = dialled.and_then(|address| without_peer(address, &peer));
        for address in dialled.into_iter().chain(listening).filter(useful).take(MAX_ADDRESSES) {
            kad.add_address(&peer, address);
        }
    }

    pub(super) fn handle_table(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.tabling.queries.progressed(id, result, step.last);
            }
            kad::Event::RoutingUpdated { peer, is_new_peer: true, .. } => {
                tracing::debug!(%peer, "is in the table");
                self.tabling.fresh = true;
            }
            kad::Event::InboundRequest { request: InboundRequest::PutRecord { source, record: Some(record), .. } } => {
                self.keep_record(source, record);
            }
            kad::Event::InboundRequest { request: InboundRequest::AddProvider { record: Some(record) } } => {
                self.keep_provider(record);
            }
            _ => {}
        }
    }

    fn keep_record(&mut self, from: PeerId, record: Record) {
        let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() else { return };
        let kept = kad.store_mut().get(&record.key).and_then(|kept| table::read(&kept).ok());
        let refused = match table::check(&record, kept.map(|kept| kept.number)) {
            Ok(()) => kad.store_mut().put(record).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = refused {
            self.setup.refusals.refused(Refusal::Record, &format_args!("one of {from}: {error}"));
        }
    }

    fn keep_provider(&mut self, mut record: ProviderRecord) {
        let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() else { return };
        let from = record.provider;
        if record.addresses.is_empty() {
            // libp2p names nobody without an address, and a node of a local network has none that it would say. Its
            // whereabouts are asked for by its peer id anyhow.
            record.addresses.push(Protocol::P2p(from).into());
        }
        let refused = match table::check_provider(&record) {
            Ok(()) => kad.store_mut().add_provider(record).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = refused {
            self.setup.refusals.refused(Refusal::Record, &format_args!("one of {from}: {error}"));
        }
    }
}

/// The fault of a node that takes no part in the table.
fn no_table() -> Fault {
    Fault::new(FaultCode::InvalidRequest, "this node takes no part in the table of nodes")
        .hint("it is set up without Kademlia")
}
