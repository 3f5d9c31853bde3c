//! Worlds made by dice: machines of all kinds in cities of different distances, and what they would advertise.

use computepool_core::{ContentHash, LayerRange, LinkMeasure, ModelId, ModelSummary, NodeId, PathKind};
use computepool_orchestrator::plan::{Holding, Machine, Origin, Paths, Problem, Shards, Speed};

/// Numbers that are the same in every run (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `0..most`.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(most)) >> 64) as u64
    }

    /// `from..=to`, every order of magnitude as likely as the next.
    pub(crate) fn scale(&mut self, from: u64, to: u64) -> u64 {
        let (low, high) = ((from as f64).ln(), (to as f64).ln());
        (low + self.unit() * (high - low)).exp().round() as u64
    }

    /// `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

pub(crate) fn range(start: u32, end: u32) -> LayerRange {
    LayerRange::new(start, end).expect("not empty")
}

/// A model whose blocks take about `layer_bytes` each.
pub(crate) fn model(layers: u32, hidden: u32, layer_bytes: u64) -> ModelSummary {
    ModelSummary {
        id: ModelId::new("model").expect("an id"),
        hash: ContentHash([7; 32]),
        architecture: "llama".into(),
        layer_count: layers,
        hidden,
        vocabulary: 128_000,
        context: 8192,
        layer_bytes: vec![layer_bytes; layers as usize],
        embedding_bytes: layer_bytes,
        head_bytes: layer_bytes * 2,
        kv_bytes_per_token_layer: 4 * u64::from(hidden) / 8,
    }
}

/// Machines, and who has measured whom.
pub(crate) struct World {
    pub(crate) model: ModelSummary,
    pub(crate) machines: Vec<Machine>,
    pub(crate) links: Vec<Vec<LinkMeasure>>,
}

impl World {
    pub(crate) fn paths(&self) -> Paths {
        let said = self.machines.iter().zip(&self.links);
        Paths::measured(said.map(|(machine, links)| (&machine.node, links.as_slice())))
    }

    pub(crate) fn problem(&self) -> Problem<'_> {
        Problem::new(&self.model, 4096)
    }
}

/// How a world is made.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) machines: usize,
    pub(crate) layers: u32,
    /// Blocks that the smallest and the largest machine have room for.
    pub(crate) room: (u64, u64),
    /// Percent of machines that insist on a range.
    pub(crate) insisting: u64,
    /// Peers that each machine has measured; all where that is more than there are.
    pub(crate) measured: usize,
}

/// A world of machines that differ by a factor of ten in speed, in as many cities as fit, 1 to 120 ms apart.
pub(crate) fn world(dice: &mut Dice, recipe: Recipe) -> World {
    let mut model = model(recipe.layers, 4096, 200 << 20);
    for bytes in &mut model.layer_bytes {
        *bytes = *bytes * (90 + dice.below(21)) / 100;
    }
    let cities = 1 + dice.below(1 + recipe.machines as u64 / 4) as usize;
    let at: Vec<(f64, f64)> = (0..cities).map(|_| (dice.unit() * 60_000.0, dice.unit() * 60_000.0)).collect();
    let problem = Problem::new(&model, 4096);
    let block = problem.need_bytes(range(0, recipe.layers)) / u64::from(recipe.layers);
    let kinds = [200_000, 350_000, 500_000, 900_000, 2_000_000];
    let mut machines = Vec::with_capacity(recipe.machines);
    let mut homes = Vec::with_capacity(recipe.machines);
    for n in 0..recipe.machines {
        // Measurements of equal machines differ a little.
        let layer_ns = dice.pick(&kinds) * (95 + dice.below(11)) / 100;
        let speed = Speed {
            layer_ns,
            layer_ns_8: layer_ns * 3,
            prefill_ns: layer_ns / (2 + dice.below(20)),
            head_ns: layer_ns * 2,
            origin: Origin::Measured,
        };
        let insisted = dice.chance(recipe.insisting).then(|| {
            let start = dice.below(recipe.layers.into()) as u32;
            range(start, start + 1 + dice.below(u64::from(recipe.layers - start)) as u32)
        });
        machines.push(Machine {
            node: NodeId::new(format!("node-{n}")).expect("an id"),
            memory_bytes: block * dice.scale(recipe.room.0 * 10, recipe.room.1 * 10) / 10,
            insisted,
            holds: Holding::Whole,
            fetches: true,
            speed,
            slowness: 1000,
            upload_limit: None,
        });
        homes.push((dice.below(cities as u64) as usize, dice.scale(200, 5000)));
    }
    let mut links: Vec<Vec<LinkMeasure>> = vec![Vec::new(); recipe.machines];
    for from in 0..recipe.machines {
        let all = recipe.measured + 1 >= recipe.machines;
        let to = |n: usize, dice: &mut Dice| if all { n } else { dice.below(recipe.machines as u64) as usize };
        for n in 0..recipe.measured.min(recipe.machines) {
            let to = to(n, dice);
            if to == from || (all && to < from) {
                continue;
            }
            let ((here, mine), (there, theirs)) = (homes[from], homes[to]);
            let (a, b) = (at[here], at[there]);
            let far = ((a.0 - b.0).hypot(a.1 - b.1)) as u64;
            let relayed = here != there && dice.chance(20);
            let kind = match () {
                () if here == there => PathKind::Lan,
                () if relayed => PathKind::Relayed,
                () => PathKind::Direct,
            };
            links[from].push(LinkMeasure {
                peer: machines[to].node.clone(),
                kind,
                rtt_us: (if here == there { (mine + theirs) / 4 } else { far + mine + theirs })
                    * if relayed { 2 } else { 1 },
                up: Some(dice.scale(1 << 20, 100 << 20)),
                down: Some(dice.scale(1 << 20, 100 << 20)),
            });
        }
    }
    World { model, machines, links }
}

/// What settings may ask for.
pub(crate) fn shards(dice: &mut Dice, machines: usize, layers: u32) -> Shards {
    match dice.below(3) {
        0 => Shards::Exactly(1 + dice.below(machines.min(layers as usize) as u64) as usize),
        1 => Shards::AtMost(1 + dice.below(machines as u64) as usize),
        _ => Shards::AtMost(64),
    }
}
