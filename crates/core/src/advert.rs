//! Adverts: what a node says of itself, signed, for a while.

use serde::{Deserialize, Serialize};

use crate::money::Account;
use crate::sealed::Statement;
use crate::{ContentHash, Fault, FaultCode, LayerRange, NodeId};

/// A node's account of its machine. What can be measured was measured, on the machine itself; an orchestrator that
/// sees otherwise believes its own eyes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advert {
    /// Whose.
    pub node: NodeId,
    /// Unix milliseconds when it was made; a later one replaces it.
    pub issued_ms: u64,
    /// Unix milliseconds after which it counts for nothing.
    pub expires_ms: u64,
    /// What the owner calls the machine.
    pub name: String,
    /// Where neighbours can dial it (multiaddresses as text), relayed ones included.
    pub addresses: Vec<String>,
    /// How it can be reached.
    pub reach: Reach,
    /// The device it computes on, for people.
    pub device: String,
    /// Bytes it offers for weights and KV together.
    pub memory_bytes: u64,
    /// Bytes of disk it offers for weights it does not have yet; 0 where it fetches none.
    pub disk_bytes: u64,
    /// Weights on its disk.
    pub models: Vec<HeldModel>,
    /// How fast it runs layers, as it measured.
    pub speeds: Vec<ModelSpeed>,
    /// How it reaches others, as it measured.
    pub links: Vec<LinkMeasure>,
    /// The only layer range it will serve, where its owner insists on one.
    pub layers: Option<LayerRange>,
    /// What its owner asks for an hour of serving, in millionths of a US dollar; 0 where there is no asking price.
    pub price_per_hour: u64,
    /// The most bytes a second that it may send, where its owner set a limit.
    pub upload_limit: Option<u64>,
    /// Who is to be paid for its work; nobody where its owner lends it.
    pub operator: Option<Account>,
}

/// How a node can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Not known yet.
    #[default]
    Unknown,
    /// Anybody can dial it.
    Public,
    /// Behind a NAT that keeps one outside port: a punch usually succeeds.
    Punchable,
    /// Behind a NAT that takes another outside port for every peer: through a relay, or by dialling public peers.
    Relayed,
}

/// Weights on a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldModel {
    /// Of which model.
    pub model: ContentHash,
    /// Which blocks, with what goes with them; all when absent.
    pub layers: Option<LayerRange>,
}

/// How fast a node runs a model's layers. Times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSpeed {
    /// Which model's shapes and storage.
    pub model: ContentHash,
    /// One position through one block.
    pub layer_ns: u64,
    /// Eight positions of eight sequences through one block, together.
    pub layer_ns_8: u64,
    /// One position of a long prompt through one block.
    pub prefill_ns: u64,
    /// One position through the final norm, the output head and the sampler.
    pub head_ns: u64,
}

/// One path to another node, as measured from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMeasure {
    /// To whom.
    pub peer: NodeId,
    /// What lies between.
    pub kind: PathKind,
    /// Round trip time in microseconds.
    pub rtt_us: u64,
    /// Bytes a second that arrived there.
    pub up: Option<u64>,
    /// Bytes a second that arrived here.
    pub down: Option<u64>,
}

/// What lies between two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// The same machine or local network.
    Lan,
    /// The internet, without anybody between.
    Direct,
    /// A relay.
    Relayed,
}

/// The longest an advert may count, in milliseconds.
pub const MAX_ADVERT_MS: u64 = 60 * 60_000;
/// The most addresses, models, speeds and links in an advert.
pub const MAX_ADVERT_ENTRIES: usize = 256;

impl Statement for Advert {
    const DOMAIN: &'static [u8] = b"computepool/advert/2\n";
    const NAME: &'static str = "advert";
    const MAX_BYTES: usize = 64 * 1024;

    fn check(&self, by: &NodeId) -> Result<(), Fault> {
        let refuse = |what: String| Err(Fault::new(FaultCode::InvalidRequest, format!("an advert {what}")));
        if &self.node != by {
            return refuse(format!("of {} was signed by {by}", self.node));
        }
        let lasts = self.expires_ms.saturating_sub(self.issued_ms);
        if lasts == 0 || lasts > MAX_ADVERT_MS {
            return refuse(format!("counts for 1 to {MAX_ADVERT_MS} ms, not {lasts}"));
        }
        let lists = [
            ("addresses", self.addresses.len()),
            ("models", self.models.len()),
            ("speeds", self.speeds.len()),
            ("links", self.links.len()),
        ];
        match lists.iter().find(|(_, length)| *length > MAX_ADVERT_ENTRIES) {
            Some((what, length)) => refuse(format!("names at most {MAX_ADVERT_ENTRIES} {what}, not {length}")),
            None => Ok(()),
        }
    }
}
