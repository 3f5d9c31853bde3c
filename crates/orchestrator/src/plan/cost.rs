//! What a token costs on a route.
//!
//! A route is a ring of shards `1 … k` on machines `m₁ … m_k`, where shard `i` has `nᵢ` blocks. For one stream, the time
//! from one token to the next is what happens one after the other until the sampled token is back at the entry:
//!
//! ```text
//! token = Σᵢ ( nᵢ·layer(mᵢ) + step )  +  head(m_k)
//!       + Σᵢ₌₁ᵏ⁻¹ ( rtt(mᵢ,mᵢ₊₁)/2 + hidden·4 / throughput(mᵢ,mᵢ₊₁) + hop )
//!       + ( rtt(m_k,m₁)/2 + hop   if k > 1 )
//! ```
//!
//! `layer` and `head` are what the machine measured for the model's shapes, times how much slower it was seen to be.
//! `step` is what an engine's pipes and scheduling take for a step, `hop` what libp2p's encryption, framing and tasks take
//! for a message. The return carries four bytes, which cost nothing beside the way. It has the form of what public rings
//! publish of themselves: arithmetic, plus round trips and a constant for every further stage. The ring is why a round trip
//! `R` between neighbours costs `k` shards only `k·R/2`: each hop is half of one, and the sample goes straight back.
//!
//! The first token waits until the prompt is through. It travels in chunks of `c` rows, one behind the other like parts
//! on a belt, so that the whole takes as long as the first chunk needs for the way and the rest needs at the narrowest
//! point, be it a machine or a link (`P` rows in all; the last chunk may be a part of one):
//!
//! ```text
//! stage(i) = c·nᵢ·prefill(mᵢ) + step          wire(i) = c·hidden·4 / throughput(mᵢ,mᵢ₊₁) + hop
//! first    = Σᵢ stage(i) + Σᵢ₌₁ᵏ⁻¹ ( wire(i) + rtt/2 ) + (P/c − 1)·max( stage, wire ) + head(m_k)
//! ```
//!
//! with `c = min(chunk, P)`. Not in it: the client's own way to the orchestrator, opening a session, and waiting behind
//! others.

use computepool_core::LayerRange;
use computepool_core::ports::Pace;

use super::{Machine, Path, Paths, Problem};

/// What a token costs beside the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// What a step costs a shard beside its blocks, in nanoseconds: two pipes and the engine's loop.
    pub step_ns: u64,
    /// What a message between two machines costs beside the way, in nanoseconds. A hop with its step was measured at 250
    /// to 370 µs on one machine; libp2p alone echoes 16 KiB in 110 to 320 µs there and back.
    pub hop_ns: u64,
    /// Rows of a prompt that travel together.
    pub chunk_rows: u64,
    /// The prompt that a time to the first token is told for, in tokens, as in [`Pace`].
    pub prompt: u64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { step_ns: 130_000, hop_ns: 180_000, chunk_rows: 64, prompt: 128 }
    }
}

/// What is predicted of a route. Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// From one token to the next, for one stream.
    pub token_ns: u64,
    /// To the first token of a prompt of [`Costs::prompt`] tokens.
    pub first_ns: u64,
    /// The part of `token_ns` that each machine's arithmetic takes, entry first, as the machines say: before any
    /// correction.
    pub claimed_ns: Vec<u64>,
    /// The rest of `token_ns`: ways, messages and steps.
    pub wire_ns: u64,
    /// Whether all of the ways were measured; where not, `wire_ns` is a guess.
    pub surveyed: bool,
}

impl Prediction {
    /// The same in microseconds, for people.
    pub fn pace(&self) -> Pace {
        Pace { token_us: self.token_ns.div_ceil(1000), first_us: self.first_ns.div_ceil(1000) }
    }
}

/// Predicts what a route of these shards takes, entry first; machines by their place in the list.
///
/// # Panics
///
/// Where a machine is not in the list.
pub fn predict(problem: &Problem, machines: &[Machine], paths: &Paths, route: &[(LayerRange, usize)]) -> Prediction {
    let Costs { step_ns, chunk_rows, prompt, .. } = problem.costs;
    let (mut claimed_ns, mut token_ns, mut wire_ns) = (Vec::with_capacity(route.len()), 0_u64, 0_u64);
    let (mut first_ns, mut narrowest, mut surveyed) = (0_u64, 0_u64, true);
    let rows = chunk_rows.clamp(1, prompt.max(1));
    for &(layers, index) in route {
        let machine = &machines[index];
        let exit = layers.is_exit(problem.model.layer_count);
        let head = |ns: u64| if exit { ns } else { 0 };
        let blocks = u64::from(layers.len());
        let speed = &machine.speed;
        claimed_ns.push(speed.layer_ns.saturating_mul(blocks).saturating_add(head(speed.head_ns)));
        let head_ns = head(machine.believed(speed.head_ns));
        token_ns = token_ns.saturating_add(machine.believed(speed.layer_ns).saturating_mul(blocks));
        token_ns = token_ns.saturating_add(head_ns);
        wire_ns = wire_ns.saturating_add(step_ns);
        let stage = stage_ns(problem, machine, layers.len(), rows);
        narrowest = narrowest.max(stage);
        first_ns = first_ns.saturating_add(stage).saturating_add(head_ns);
    }
    for (&(_, from), &(_, to)) in route.iter().zip(route.iter().skip(1)) {
        let path = limited(paths.between(from, to), &machines[from]);
        surveyed &= path.kind.is_some();
        wire_ns = wire_ns.saturating_add(hop_ns(problem, path));
        let wire = belt_ns(problem, path, rows);
        narrowest = narrowest.max(wire);
        first_ns = first_ns.saturating_add(wire).saturating_add(path.rtt_us.saturating_mul(500));
    }
    if let (Some(&(_, entry)), Some(&(_, exit)), true) = (route.first(), route.last(), route.len() > 1) {
        let path = paths.between(exit, entry);
        surveyed &= path.kind.is_some();
        wire_ns = wire_ns.saturating_add(return_ns(problem, path));
    }
    let rest = prompt.saturating_sub(rows);
    first_ns = first_ns.saturating_add(mul_div(narrowest, rest, rows));
    Prediction { token_ns: token_ns.saturating_add(wire_ns), first_ns, claimed_ns, wire_ns, surveyed }
}

/// A path as its sender's owner lets it be used.
pub(crate) fn limited(path: Path, sender: &Machine) -> Path {
    let bytes_per_second = path.bytes_per_second.min(sender.upload_limit.unwrap_or(u64::MAX)).max(1);
    Path { bytes_per_second, ..path }
}

/// One hidden state from one shard to the next, in nanoseconds.
pub(crate) fn hop_ns(problem: &Problem, path: Path) -> u64 {
    path.rtt_us.saturating_mul(500).saturating_add(belt_ns(problem, path, 1))
}

/// One token from the exit back to the entry, in nanoseconds.
pub(crate) fn return_ns(problem: &Problem, path: Path) -> u64 {
    path.rtt_us.saturating_mul(500).saturating_add(problem.costs.hop_ns)
}

/// How long `rows` hidden states occupy a path, in nanoseconds.
pub(crate) fn belt_ns(problem: &Problem, path: Path, rows: u64) -> u64 {
    let bytes = u64::from(problem.model.hidden).saturating_mul(4).saturating_mul(rows);
    mul_div(bytes, 1_000_000_000, path.bytes_per_second).saturating_add(problem.costs.hop_ns)
}

/// How long `rows` rows of a prompt occupy a machine that has so many blocks, in nanoseconds.
pub(crate) fn stage_ns(problem: &Problem, machine: &Machine, blocks: u32, rows: u64) -> u64 {
    let block = machine.believed(machine.speed.prefill_ns).saturating_mul(rows);
    block.saturating_mul(u64::from(blocks)).saturating_add(problem.costs.step_ns)
}

/// `a × b / c`, as far as it fits.
pub(crate) fn mul_div(a: u64, b: u64, c: u64) -> u64 {
    u64::try_from(u128::from(a) * u128::from(b) / u128::from(c.max(1))).unwrap_or(u64::MAX)
}
