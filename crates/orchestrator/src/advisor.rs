//! The split advisor: whether to split at all, said before anything is loaded.
//!
//! For one machine alone, for two and for three, the fastest placement is predicted with the cost model of
//! [`plan`](crate::plan); the best of them is the advice. Where one machine reads layers fastest and has room for all of
//! them, a split makes a single stream no faster: it only adds ways. It is for models that do not fit. Afterwards
//! [`compare`] sets what was measured beside what was predicted.

use computepool_core::LayerRange;
use computepool_core::ports::Pace;

use crate::plan::{Machine, Paths, Placement, Problem, Shards, place};

/// The most shards that the advisor looks at.
pub const ADVISED_SHARDS: usize = 3;

/// Advice is asked for often and needs no proof.
const ADVICE_EFFORT: usize = 10_000;

/// What to expect of a model on these machines.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Solo, over two, over three: each at its best.
    pub choices: Vec<Choice>,
    /// The fastest of `choices`, by its place in them; absent where nothing fits.
    pub best: Option<usize>,
    /// The advice in a sentence, for people.
    pub sentence: String,
}

/// One way to serve the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Over how many machines.
    pub shards: usize,
    /// Who would hold what; absent where it does not fit.
    pub placement: Option<Placement>,
    /// Bytes each shard takes, entry first: weights, KV and reserve. Of equal shares, where it does not fit.
    pub memory_bytes: Vec<u64>,
}

impl Choice {
    /// Whether there are machines for it.
    pub fn fits(&self) -> bool {
        self.placement.is_some()
    }

    /// What is predicted of it.
    pub fn pace(&self) -> Option<Pace> {
        self.placement.as_ref().map(|placement| placement.prediction.pace())
    }

    /// Tokens a second of one stream; 0 where it does not fit.
    pub fn tokens_per_second(&self) -> f64 {
        self.token_ns().map_or(0.0, |ns| 1e9 / ns.max(1) as f64)
    }

    fn token_ns(&self) -> Option<u64> {
        self.placement.as_ref().map(|placement| placement.prediction.token_ns)
    }
}

/// What was measured beside what was predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// What was predicted.
    pub predicted: Pace,
    /// What was measured.
    pub measured: Pace,
    /// `(predicted − measured) / measured` of the time from token to token: above 0 where it was faster than predicted.
    pub token_error: f64,
    /// The same of the time to the first token.
    pub first_error: f64,
}

/// What solo, two and three shards would be like. The problem's own number of shards and what is served now do not matter.
pub fn advise(problem: &Problem, machines: &[Machine], paths: &Paths) -> Advice {
    let most = ADVISED_SHARDS.min(problem.model.layer_count as usize);
    let choices: Vec<Choice> = (1..=most).map(|shards| choice(problem, machines, paths, shards)).collect();
    let fitting = choices.iter().enumerate().filter_map(|(at, choice)| Some((choice.token_ns()?, at)));
    let best = fitting.min().map(|(_, at)| at);
    let sentence = sentence(&choices, best, machines);
    Advice { choices, best, sentence }
}

/// Sets what was measured beside what was predicted.
pub fn compare(predicted: Pace, measured: Pace) -> Comparison {
    let error = |said: u64, seen: u64| (said as f64 - seen as f64) / seen.max(1) as f64;
    Comparison {
        predicted,
        measured,
        token_error: error(predicted.token_us, measured.token_us),
        first_error: error(predicted.first_us, measured.first_us),
    }
}

fn choice(problem: &Problem, machines: &[Machine], paths: &Paths, shards: usize) -> Choice {
    let effort = problem.effort.min(ADVICE_EFFORT);
    let problem = Problem { shards: Shards::Exactly(shards), current: Vec::new(), effort, ..problem.clone() };
    // Machines that insist on ranges may tile the model among themselves in another number of shards.
    let placement = place(&problem, machines, paths).ok().filter(|placement| placement.places.len() == shards);
    let memory_bytes = match &placement {
        Some(placement) => placement.places.iter().map(|place| problem.need_bytes(place.layers)).collect(),
        None => equal_shares(problem.model.layer_count, shards).map(|layers| problem.need_bytes(layers)).collect(),
    };
    Choice { shards, placement, memory_bytes }
}

fn equal_shares(layers: u32, shards: usize) -> impl Iterator<Item = LayerRange> {
    let cut = move |at: usize| (at as u64 * u64::from(layers) / shards as u64) as u32;
    (0..shards).filter_map(move |at| LayerRange::new(cut(at), cut(at + 1)).ok())
}

fn sentence(choices: &[Choice], best: Option<usize>, machines: &[Machine]) -> String {
    let largest = machines.iter().map(|machine| machine.memory_bytes).max().unwrap_or(0);
    let solo_needs = choices.first().and_then(|choice| choice.memory_bytes.first()).copied().unwrap_or(0);
    let missing = || match largest < solo_needs {
        true => format!("one machine would need {}, the largest here offers {}", gib(solo_needs), gib(largest)),
        false => "no machine here takes the whole of it".to_owned(),
    };
    let rate = |choice: &Choice| tokens(choice.tokens_per_second());
    let Some(best) = best.and_then(|at| choices.get(at)) else {
        return format!("It cannot be served over up to {} of these machines: {}.", choices.len(), missing());
    };
    let others = || choices.iter().filter(|choice| choice.shards > 1 && choice.fits());
    let solo = choices.iter().find(|choice| choice.shards == 1 && choice.fits());
    match solo {
        Some(solo) if best.shards == 1 => {
            let beside = others().max_by(|a, b| a.tokens_per_second().total_cmp(&b.tokens_per_second()));
            let beside =
                beside.map_or_else(String::new, |other| format!(", {} machines {}", other.shards, rate(other)));
            format!("Do not split: one machine alone gives {} tokens a second{beside}.", rate(solo))
        }
        Some(solo) => {
            let (shards, rate, alone) = (best.shards, rate(best), rate(solo));
            format!("Split it over {shards} machines: {rate} tokens a second; one alone gives {alone}.")
        }
        None => {
            format!("Split it over {} machines: {} tokens a second; {}.", best.shards, rate(best), missing())
        }
    }
}

fn tokens(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1_u32 << 30))
}
