//! Records to keep.

use computepool_core::ports::{NodeRecord, PlaceRecord, Record, SessionRecord};
use computepool_core::{
    Advert, ClientId, ContentHash, FaultCode, GenerationId, LayerRange, NodeId, Reach, Sealed, SessionId,
};

pub(crate) fn peer(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn advert(node: &str) -> Advert {
    Advert {
        node: peer(node),
        issued_ms: 1_000,
        expires_ms: 61_000,
        name: format!("{node}'s machine"),
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
        reach: Reach::Punchable,
        device: "NVIDIA GeForce RTX 3060".to_owned(),
        memory_bytes: 12 << 30,
        disk_bytes: 0,
        models: Vec::new(),
        speeds: Vec::new(),
        links: Vec::new(),
        layers: None,
        price_per_hour: 150_000,
        upload_limit: None,
        operator: None,
    }
}

pub(crate) fn node_with(advert: &Advert) -> NodeRecord {
    let body = advert_bytes(advert);
    let advert = Sealed { body, by: advert.node.clone(), signature: vec![0, 1, 254, 255] };
    NodeRecord { advert, seen_ms: 2_000, strikes: 3, slowness: 1_250 }
}

fn advert_bytes(advert: &Advert) -> Vec<u8> {
    postcard::to_allocvec(advert).unwrap()
}

pub(crate) fn node(name: &str) -> Record {
    Record::Node(node_with(&advert(name)))
}

pub(crate) fn model(number: u8) -> ContentHash {
    ContentHash([number; 32])
}

pub(crate) fn place(start: u32, end: u32, holders: &[(&str, u64)]) -> PlaceRecord {
    let holders = holders.iter().map(|(node, assignment)| (peer(node), *assignment)).collect();
    PlaceRecord { layers: LayerRange::new(start, end).unwrap(), holders }
}

pub(crate) fn session(number: u8) -> Record {
    Record::Session(SessionRecord {
        session: SessionId([number; 16]),
        client: ClientId::new("local").unwrap(),
        model: model(1),
        expires_ms: 600_000,
    })
}

/// A generation's id, from two numbers.
pub(crate) fn generation(group: u32, member: u32) -> GenerationId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&group.to_be_bytes());
    id[4..8].copy_from_slice(&member.to_be_bytes());
    GenerationId(id)
}

pub(crate) fn began(id: GenerationId, session: u8, at_ms: u64) -> Record {
    Record::GenerationBegan { generation: id, session: SessionId([session; 16]), at_ms }
}

pub(crate) fn ended(id: GenerationId, at_ms: u64, tokens: u32, fault: Option<FaultCode>) -> Record {
    Record::GenerationEnded { generation: id, at_ms, tokens, fault }
}

/// The ids of the generations among `records`, in order.
pub(crate) fn generations(records: &[Record]) -> Vec<GenerationId> {
    let ids = records.iter().filter_map(|record| match record {
        Record::GenerationBegan { generation, .. } => Some(*generation),
        _ => None,
    });
    ids.collect()
}
