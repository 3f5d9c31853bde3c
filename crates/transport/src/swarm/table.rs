//! The table of nodes and of who has what: Kademlia, under a protocol name of its own.
//!
//! Two things are kept in it. **Providers**: a 32-byte key, such as the hash that names a model's layer, and the peers
//! that said they have it; a peer can say so of itself only. **Whereabouts**: where a node can be dialled, as libp2p's
//! signed peer record under a key made of its peer id; a record that another key signed is refused by whoever is asked
//! to keep it, and by whoever finds it. Both are kept for a quarter of an hour and told again every five minutes, since
//! homes come and go.

use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::core::{PeerRecord, SignedEnvelope};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, ProviderRecord, Record, RecordKey};
use libp2p::{Multiaddr, PeerId, StreamProtocol};

use super::addresses::{MAX_ADDRESSES, without_peer};
use super::peers::Transport;

/// The libp2p protocol name of the table.
pub(super) const PROTOCOL: &str = "/computepool/kad/1";

/// How long a query may take.
pub(super) const QUERY: Duration = Duration::from_secs(5);

/// How long what was said counts.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// How often it is said again.
const REPEATED: Duration = Duration::from_secs(5 * 60);

/// Keys that have providers, kept for others and for this node together.
const MAX_KEYS: usize = 8 * 1024;

/// Providers kept of one key.
const MAX_PROVIDERS: usize = 16;

/// Whereabouts kept for others.
const MAX_RECORDS: usize = 4 * 1024;

/// Longest whereabouts, in bytes.
const MAX_RECORD_BYTES: usize = 2 * 1024;

/// Requests to one peer at a time.
const PARALLELISM: usize = 3;

/// What the keys of whereabouts start with.
const WHEREABOUTS: &[u8] = b"/computepool/node/";

pub(super) type Kad = kad::Behaviour<MemoryStore>;

/// The behaviour. It asks and does not answer, until it is made a server.
pub(super) fn behaviour(me: PeerId) -> Kad {
    let store = MemoryStoreConfig {
        max_records: MAX_RECORDS,
        max_value_bytes: MAX_RECORD_BYTES,
        max_providers_per_key: MAX_PROVIDERS,
        max_provided_keys: MAX_KEYS,
    };
    let mut config = kad::Config::new(StreamProtocol::new(PROTOCOL));
    config
        .set_query_timeout(QUERY)
        .set_record_ttl(Some(KEPT))
        .set_publication_interval(Some(REPEATED))
        .set_replication_interval(None)
        .set_provider_record_ttl(Some(KEPT))
        .set_provider_publication_interval(Some(REPEATED))
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_caching(kad::Caching::Disabled);
    if let Some(parallelism) = NonZeroUsize::new(PARALLELISM) {
        config.set_parallelism(parallelism);
    }
    let mut kad = kad::Behaviour::with_config(me, MemoryStore::with_config(me, store), config);
    kad.set_mode(Some(kad::Mode::Client));
    kad
}

/// The key of a node's whereabouts.
pub(super) fn whereabouts_key(peer: &PeerId) -> RecordKey {
    RecordKey::new(&[WHEREABOUTS, &peer.to_bytes()].concat())
}

/// This node's whereabouts, signed.
pub(super) fn whereabouts(keys: &Keypair, addresses: Vec<Multiaddr>) -> Option<Record> {
    let signed = PeerRecord::new_interop(keys, addresses).ok()?;
    let value = signed.into_signed_envelope().into_protobuf_encoding();
    Some(Record::new(whereabouts_key(&keys.public().to_peer_id()), value))
}

/// Where a record says that a peer can be dialled, and how new it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whereabouts {
    pub(super) peer: PeerId,
    /// Grows from record to record of one peer.
    pub(super) number: u64,
    pub(super) addresses: Vec<Multiaddr>,
}

/// Why a record is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// Neither whereabouts nor something that could be provided.
    #[error("a key of {0} bytes names nothing that is kept here")]
    Key(usize),
    /// The record is not signed, or by another than its key names.
    #[error("the whereabouts are not signed by the node they are of")]
    Signature,
    /// There are more addresses than a node can have.
    #[error("{0} addresses are more than a node has")]
    Addresses(usize),
    /// A newer one is here.
    #[error("newer whereabouts are known")]
    Stale,
}

/// Reads whereabouts, and checks whose they are.
pub(super) fn read(record: &Record) -> Result<Whereabouts, RecordError> {
    let key = record.key.as_ref();
    let named = key.strip_prefix(WHEREABOUTS).and_then(|bytes| PeerId::from_bytes(bytes).ok());
    let peer = named.ok_or(RecordError::Key(key.len()))?;
    let envelope = SignedEnvelope::from_protobuf_encoding(&record.value).map_err(|_| RecordError::Signature)?;
    let signed = PeerRecord::from_signed_envelope_interop(envelope).map_err(|_| RecordError::Signature)?;
    if signed.peer_id() != peer {
        return Err(RecordError::Signature);
    }
    if signed.addresses().len() > MAX_ADDRESSES {
        return Err(RecordError::Addresses(signed.addresses().len()));
    }
    let own = signed.addresses().iter().filter_map(|address| without_peer(address.clone(), &peer));
    let addresses = own.filter(|address| Transport::of(address).is_some()).collect();
    Ok(Whereabouts { peer, number: signed.seq(), addresses })
}

/// Checks a record that a peer wants kept; `newest` is the number of the one that is kept already.
pub(super) fn check(record: &Record, newest: Option<u64>) -> Result<(), RecordError> {
    let offered = read(record)?;
    if newest.is_some_and(|newest| newest > offered.number) { Err(RecordError::Stale) } else { Ok(()) }
}

/// Checks what a peer says it has; libp2p has checked that it speaks for itself.
pub(super) fn check_provider(record: &ProviderRecord) -> Result<(), RecordError> {
    let key = record.key.as_ref();
    if key.len() != 32 {
        return Err(RecordError::Key(key.len()));
    }
    if record.addresses.len() > 2 * MAX_ADDRESSES {
        return Err(RecordError::Addresses(record.addresses.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whereabouts_are_believed_of_their_signer_alone() {
        let (alice, bob) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let me = alice.public().to_peer_id();
        let address: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
        let record = whereabouts(&alice, vec![address.clone().with_p2p(me).unwrap(), address.clone()]).unwrap();
        let read_back = read(&record).unwrap();
        assert_eq!((read_back.peer, read_back.addresses), (me, vec![address.clone(), address.clone()]));

        let forged = Record { key: record.key.clone(), ..whereabouts(&bob, vec![address.clone()]).unwrap() };
        assert_eq!(read(&forged), Err(RecordError::Signature));
        let mut bent = record.clone();
        *bent.value.last_mut().unwrap() ^= 1;
        assert_eq!(read(&bent), Err(RecordError::Signature));
        assert_eq!(read(&Record { value: Vec::new(), ..record.clone() }), Err(RecordError::Signature));
        assert_eq!(read(&Record::new(vec![0; 32], record.value.clone())), Err(RecordError::Key(32)));
        let many = whereabouts(&alice, vec![address; MAX_ADDRESSES + 1]).unwrap();
        assert_eq!(read(&many), Err(RecordError::Addresses(MAX_ADDRESSES + 1)));
    }

    #[test]
    fn newer_whereabouts_are_not_replaced_by_older_ones() {
        let record = whereabouts(&Keypair::generate_ed25519(), Vec::new()).unwrap();
        let number = read(&record).unwrap().number;
        assert_eq!(check(&record, Some(number + 1)), Err(RecordError::Stale));
        assert_eq!(check(&record, Some(number)), Ok(()), "the same one is said again");
        assert_eq!(check(&record, Some(number - 1)), Ok(()));
        assert_eq!(check(&record, None), Ok(()));
    }

    #[test]
    fn only_keys_of_32_bytes_have_providers() {
        let provider = |key: Vec<u8>, addresses| ProviderRecord::new(key, PeerId::random(), addresses);
        assert_eq!(check_provider(&provider(vec![1; 32], Vec::new())), Ok(()));
        assert_eq!(check_provider(&provider(vec![1; 33], Vec::new())), Err(RecordError::Key(33)));
        let crowd = vec![Multiaddr::empty(); 33];
        assert_eq!(check_provider(&provider(vec![1; 32], crowd)), Err(RecordError::Addresses(33)));
    }
}
