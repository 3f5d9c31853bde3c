//! The machines of a day: where they are, what they say, and what is true.

use computepool_core::advert::MAX_ADVERT_MS;
use computepool_core::ports::{Signer, Verifier};
use computepool_core::{
    Advert, ContentHash, HeldModel, LayerRange, LinkMeasure, ModelSpeed, ModelSummary, NodeId, PathKind, Reach, Sealed,
};
use computepool_orchestrator::PoolSettings;
use computepool_orchestrator::plan::{Holder, Holding, Machine, Paths, Prediction, Problem, Speed, predict, route};

use crate::worlds::Dice;

/// Links that a node keeps in its advert; older ones make room.
const LINKS: usize = 40;

/// One machine.
pub(crate) struct Machinery {
    pub(crate) id: NodeId,
    at: (f64, f64),
    memory_bytes: u64,
    models: Vec<ContentHash>,
    claims: Vec<ModelSpeed>,
    /// How many times slower it is than it says, in thousandths.
    pub(crate) truth: u32,
    links: Vec<LinkMeasure>,
}

/// All machines, up or not.
pub(crate) struct Fleet {
    pub(crate) machines: Vec<Machinery>,
}

impl Fleet {
    /// So many machines in a country 40 ms wide; `liars` percent claim 3 to 10 times their speed.
    pub(crate) fn new(dice: &mut Dice, machines: usize, liars: u64, models: &[&ModelSummary]) -> Self {
        let one = |(n, dice): (usize, &mut Dice)| {
            let truth = if dice.chance(liars) { 3000 + dice.below(7001) as u32 } else { 950 + dice.below(101) as u32 };
            let real_ns = dice.scale(400_000, 2_000_000);
            let layer_ns = real_ns * 1000 / u64::from(truth);
            let speed = |model: &&ModelSummary| ModelSpeed {
                model: model.hash,
                layer_ns,
                layer_ns_8: layer_ns * 3,
                prefill_ns: layer_ns / 8,
                head_ns: layer_ns * 2,
            };
            Machinery {
                id: NodeId::new(format!("node-{n}")).expect("an id"),
                at: (dice.unit() * 40_000.0, dice.unit() * 40_000.0),
                memory_bytes: dice.scale(4 << 30, 12 << 30),
                models: models.iter().filter(|_| dice.chance(90)).map(|model| model.hash).collect(),
                claims: models.iter().map(speed).collect(),
                truth,
                links: Vec::new(),
            }
        };
        Self { machines: (0..machines).map(|n| one((n, dice))).collect() }
    }

    pub(crate) fn is_liar(&self, machine: usize) -> bool {
        self.machines[machine].truth >= 3000
    }

    pub(crate) fn named(&self, id: &NodeId) -> Option<usize> {
        id.as_str().strip_prefix("node-")?.parse().ok()
    }

    /// The path between two machines, as either measures it.
    fn link(&self, from: usize, to: usize) -> LinkMeasure {
        let (a, b) = (self.machines[from].at, self.machines[to].at);
        let rtt_us = (a.0 - b.0).hypot(a.1 - b.1) as u64 + 2_000;
        let rate = Some(4_000_000 + 1_000_000 * ((from + to) % 20) as u64);
        let kind = if (from * 7 + to * 7) % 10 < 2 { PathKind::Relayed } else { PathKind::Direct };
        LinkMeasure { peer: self.machines[to].id.clone(), kind, rtt_us, up: rate, down: rate }
    }

    /// A machine measures the paths to some others.
    pub(crate) fn probe(&mut self, machine: usize, peers: impl Iterator<Item = usize>) {
        for peer in peers.filter(|peer| *peer != machine).collect::<Vec<_>>() {
            let link = self.link(machine, peer);
            let links = &mut self.machines[machine].links;
            links.retain(|old| old.peer != link.peer);
            links.push(link);
            if links.len() > LINKS {
                links.remove(0);
            }
        }
    }

    pub(crate) fn advert(&self, machine: usize, now_ms: u64) -> Sealed {
        let it = &self.machines[machine];
        let advert = Advert {
            node: it.id.clone(),
            issued_ms: now_ms,
            expires_ms: now_ms + MAX_ADVERT_MS,
            name: it.id.as_str().to_owned(),
            addresses: vec!["/ip4/192.0.2.1/udp/4001/quic-v1".into()],
            reach: Reach::Punchable,
            device: "simulated".into(),
            memory_bytes: it.memory_bytes,
            disk_bytes: 0,
            models: it.models.iter().map(|model| HeldModel { model: *model, layers: None }).collect(),
            speeds: it.claims.clone(),
            links: it.links.clone(),
            layers: None,
            price_per_hour: 0,
            operator: None,
            upload_limit: None,
        };
        Sealed::seal(&advert, &Checksum(it.id.clone())).expect("an advert")
    }

    /// Machines and paths as they really are.
    fn truth(&self, settings: &PoolSettings, machines: &[usize]) -> (Vec<Machine>, Paths) {
        let links = |from: &usize| machines.iter().map(|to| self.link(*from, *to)).collect::<Vec<LinkMeasure>>();
        let links: Vec<Vec<LinkMeasure>> = machines.iter().map(links).collect();
        let ids = machines.iter().map(|machine| &self.machines[*machine].id);
        let paths = Paths::measured(ids.zip(links.iter().map(Vec::as_slice)));
        let real = |machine: &usize| {
            let it = &self.machines[*machine];
            let claim = it.claims.iter().find(|claim| claim.model == settings.summary.hash);
            Machine {
                node: it.id.clone(),
                memory_bytes: it.memory_bytes,
                insisted: None,
                holds: Holding::Whole,
                fetches: false,
                speed: claim.map_or_else(|| Speed::assumed(&settings.summary), Speed::measured),
                slowness: it.truth,
                upload_limit: None,
            }
        };
        (machines.iter().map(real).collect(), paths)
    }

    /// What a route really takes.
    pub(crate) fn real(&self, settings: &PoolSettings, hops: &[(LayerRange, usize)]) -> Prediction {
        let names: Vec<usize> = hops.iter().map(|(_, machine)| *machine).collect();
        let (machines, paths) = self.truth(settings, &names);
        let hops: Vec<(LayerRange, usize)> = hops.iter().enumerate().map(|(at, (layers, _))| (*layers, at)).collect();
        predict(&Problem::of(settings), &machines, &paths, &hops)
    }

    /// What the best route over these holders of the places would really take.
    pub(crate) fn best(&self, settings: &PoolSettings, places: &[(LayerRange, Vec<usize>)]) -> Option<Prediction> {
        let names: Vec<usize> = places.iter().flat_map(|(_, holders)| holders.iter().copied()).collect();
        let (machines, paths) = self.truth(settings, &names);
        let mut at = 0;
        let mut next = |_: &usize| {
            at += 1;
            Holder { machine: at - 1, active: 0, avoid: false }
        };
        let places: Vec<(LayerRange, Vec<Holder>)> =
            places.iter().map(|(layers, holders)| (*layers, holders.iter().map(&mut next).collect())).collect();
        Some(route(&Problem::of(settings), &machines, &paths, &places)?.prediction)
    }
}

/// "Signs" with a checksum over name and bytes.
pub(crate) struct Checksum(pub(crate) NodeId);
/// Checks such signatures.
pub(crate) struct Checksums;

fn checksum(node: &NodeId, bytes: &[u8]) -> Vec<u8> {
    let all = node.as_str().bytes().chain(bytes.iter().copied());
    all.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)).to_le_bytes().to_vec()
}

impl Signer for Checksum {
    fn node(&self) -> NodeId {
        self.0.clone()
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        checksum(&self.0, bytes)
    }
}

impl Verifier for Checksums {
    fn verify(&self, node: &NodeId, bytes: &[u8], signature: &[u8]) -> bool {
        checksum(node, bytes) == signature
    }
}
