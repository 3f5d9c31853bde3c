//! Machines, as far as planning cares.

use computepool_core::{Advert, LayerRange, ModelSpeed, ModelSummary, NodeId};

/// A machine that could serve a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Whose.
    pub node: NodeId,
    /// Bytes it offers for weights and KV together.
    pub memory_bytes: u64,
    /// The only range it will serve.
    pub insisted: Option<LayerRange>,
    /// What it has of the model's weights.
    pub holds: Holding,
    /// Whether it may be given weights that it does not have.
    pub fetches: bool,
    /// How fast it says it is.
    pub speed: Speed,
    /// How much slower it was seen to be than it says, in thousandths; 1000 is as it says.
    pub slowness: u32,
    /// The most bytes a second that it may send.
    pub upload_limit: Option<u64>,
}

/// What a machine has of a model's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holding {
    /// Nothing.
    #[default]
    Nothing,
    /// These blocks, with what goes with them.
    Range(LayerRange),
    /// All of it.
    Whole,
}

impl Holding {
    /// Whether `layers` could be loaded without fetching anything.
    pub fn covers(self, layers: LayerRange) -> bool {
        match self {
            Self::Nothing => false,
            Self::Range(held) => held.start() <= layers.start() && layers.end() <= held.end(),
            Self::Whole => true,
        }
    }
}

/// How fast a machine runs one model. Times in nanoseconds, as in [`ModelSpeed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    /// One position through one block.
    pub layer_ns: u64,
    /// Eight positions of eight sequences through one block, together.
    pub layer_ns_8: u64,
    /// One position of a long prompt through one block.
    pub prefill_ns: u64,
    /// One position through the final norm, the output head and the sampler.
    pub head_ns: u64,
    /// Where the figures come from.
    pub origin: Origin,
}

/// Where a [`Speed`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Measured with this model's shapes.
    Measured,
    /// Measured with another model's shapes, and scaled by the bytes of a block.
    Scaled,
    /// Not measured at all.
    Assumed,
}

/// Weights that a machine nobody has measured is taken to read in a nanosecond, in bytes, when it decodes. One thread
/// of a small server reads 7 (a 135M model in 8 bits at 48 tokens a second, measured with llama.cpp's peers); a weaker
/// machine must not look better than it is only because it keeps silent.
const ASSUMED_BYTES_PER_NS: u64 = 4;
/// How many times faster a position of a prompt is than a decoded one on such a machine: prompts read the weights once
/// for many rows, but a CPU is soon bound by arithmetic. The same measurements say 2.
const ASSUMED_PREFILL_GAIN: u64 = 2;
/// How many times longer eight sequences take than one on such a machine.
const ASSUMED_BATCH_COST: u64 = 5;

impl Speed {
    /// What is assumed of a machine that has not measured anything: it decodes at the rate at which it reads weights.
    pub fn assumed(model: &ModelSummary) -> Self {
        let layer_ns = (mean_layer_bytes(model) / ASSUMED_BYTES_PER_NS).max(1);
        Self {
            layer_ns,
            layer_ns_8: layer_ns.saturating_mul(ASSUMED_BATCH_COST),
            prefill_ns: (layer_ns / ASSUMED_PREFILL_GAIN).max(1),
            head_ns: (model.head_bytes / ASSUMED_BYTES_PER_NS).max(1),
            origin: Origin::Assumed,
        }
    }

    /// What was measured with this very model.
    pub fn measured(speed: &ModelSpeed) -> Self {
        Self {
            layer_ns: speed.layer_ns,
            layer_ns_8: speed.layer_ns_8,
            prefill_ns: speed.prefill_ns,
            head_ns: speed.head_ns,
            origin: Origin::Measured,
        }
    }

    /// What `speed`, measured with `from`, says of `to`: every time in proportion to the bytes that are read for it.
    pub fn scaled(speed: &ModelSpeed, from: &ModelSummary, to: &ModelSummary) -> Self {
        let by_layer = |ns: u64| scale(ns, mean_layer_bytes(to), mean_layer_bytes(from));
        Self {
            layer_ns: by_layer(speed.layer_ns),
            layer_ns_8: by_layer(speed.layer_ns_8),
            prefill_ns: by_layer(speed.prefill_ns),
            head_ns: scale(speed.head_ns, to.head_bytes, from.head_bytes),
            origin: Origin::Scaled,
        }
    }
}

impl Machine {
    /// A machine by its advert. `known` are other models whose speeds may stand in for one that is not there; `fetches`
    /// says whether there is a source for weights it lacks; `slowness` in thousandths, as observed.
    pub fn advertised(
        advert: &Advert,
        model: &ModelSummary,
        known: &[&ModelSummary],
        fetches: bool,
        slowness: u32,
    ) -> Self {
        let held = advert.models.iter().filter(|held| held.model == model.hash);
        let holds = held.fold(Holding::Nothing, |best, held| match (best, held.layers) {
            (Holding::Whole, _) | (_, None) => Holding::Whole,
            (Holding::Range(old), Some(new)) if old.len() >= new.len() => best,
            (_, Some(new)) => Holding::Range(new),
        });
        let own = advert.speeds.iter().find(|speed| speed.model == model.hash).map(Speed::measured);
        let other = || {
            advert.speeds.iter().find_map(|speed| {
                let from = known.iter().find(|from| from.hash == speed.model)?;
                Some(Speed::scaled(speed, from, model))
            })
        };
        Self {
            node: advert.node.clone(),
            memory_bytes: advert.memory_bytes,
            insisted: advert.layers,
            holds,
            fetches: fetches && advert.disk_bytes > 0,
            speed: own.or_else(other).unwrap_or_else(|| Speed::assumed(model)),
            slowness,
            upload_limit: advert.upload_limit,
        }
    }

    /// A claimed time as it is believed: corrected by what was observed. Never 0, so that work is never free.
    pub(crate) fn believed(&self, claimed_ns: u64) -> u64 {
        (claimed_ns.saturating_mul(u64::from(self.slowness)) / 1000).max(1)
    }
}

fn mean_layer_bytes(model: &ModelSummary) -> u64 {
    let total = model.layer_bytes.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    (total / u64::from(model.layer_count.max(1))).max(1)
}

/// `ns × to / from`, at least 1.
fn scale(ns: u64, to: u64, from: u64) -> u64 {
    let scaled = u128::from(ns) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use computepool_core::{ContentHash, HeldModel, ModelId, Reach};

    use super::*;

    fn model(hash: u8, layer_bytes: u64) -> ModelSummary {
        ModelSummary {
            id: ModelId::new(format!("model-{hash}")).unwrap(),
            hash: ContentHash([hash; 32]),
            architecture: "llama".into(),
            layer_count: 4,
            hidden: 64,
            vocabulary: 100,
            context: 128,
            layer_bytes: vec![layer_bytes; 4],
            embedding_bytes: 10,
            head_bytes: 8 * layer_bytes,
            kv_bytes_per_token_layer: 1,
        }
    }

    fn advert(speeds: Vec<ModelSpeed>, models: Vec<HeldModel>) -> Advert {
        Advert {
            node: NodeId::new("a").unwrap(),
            issued_ms: 0,
            expires_ms: 1,
            name: String::new(),
            addresses: Vec::new(),
            reach: Reach::Unknown,
            device: String::new(),
            memory_bytes: 1,
            disk_bytes: 1,
            models,
            speeds,
            links: Vec::new(),
            layers: None,
            price_per_hour: 0,
            operator: None,
            upload_limit: None,
        }
    }

    #[test]
    fn speeds_are_measured_or_scaled_or_assumed() {
        let (wanted, other) = (model(1, 3000), model(2, 1000));
        let speed = |hash| ModelSpeed {
            model: ContentHash([hash; 32]),
            layer_ns: 100,
            layer_ns_8: 300,
            prefill_ns: 50,
            head_ns: 700,
        };
        let machine = |speeds| Machine::advertised(&advert(speeds, Vec::new()), &wanted, &[&other], true, 1000);
        let measured = machine(vec![speed(2), speed(1)]).speed;
        assert_eq!((measured.layer_ns, measured.origin), (100, Origin::Measured));
        let scaled = machine(vec![speed(9), speed(2)]).speed;
        assert_eq!((scaled.layer_ns, scaled.prefill_ns, scaled.head_ns), (300, 150, 2100));
        assert_eq!(scaled.origin, Origin::Scaled);
        let assumed = machine(vec![speed(9)]).speed;
        assert_eq!((assumed.layer_ns, assumed.head_ns, assumed.origin), (750, 6000, Origin::Assumed));
    }

    #[test]
    fn the_widest_holding_counts() {
        let wanted = model(1, 100);
        let range = |text: &str| text.parse::<LayerRange>().unwrap();
        let held = |layers| HeldModel { model: wanted.hash, layers };
        let of = |models| Machine::advertised(&advert(Vec::new(), models), &wanted, &[], true, 1000).holds;
        assert_eq!(of(vec![]), Holding::Nothing);
        let wide = of(vec![held(Some(range("0..1"))), held(Some(range("1..4")))]);
        assert_eq!(wide, Holding::Range(range("1..4")));
        assert!(wide.covers(range("2..4")) && !wide.covers(range("0..2")));
        assert_eq!(of(vec![held(Some(range("0..1"))), held(None)]), Holding::Whole);
    }
}
