//! The split advisor: whether to split at all, said before anything is loaded.

use computepool_core::ports::Pace;

use crate::plan::{Machine, Paths, Placement, Problem, Shards, place};

/// What to expect of a model on these machines.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Solo, over two, over three: what can be had of these, each at its best.
    pub choices: Vec<Choice>,
    /// The best of `choices`, by its place in them; absent where nothing fits.
    pub best: Option<usize>,
    /// The advice in a sentence, for people.
    pub sentence: String,
}

/// One way to serve the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Over how many machines.
    pub shards: usize,
    /// Who would hold what, where it fits.
    pub placement: Option<Placement>,
    /// Bytes each shard takes, entry first.
    pub memory_bytes: Vec<u64>,
}

impl Choice {
    /// Tokens a second of one stream; 0 where it does not fit.
    pub fn tokens_per_second(&self) -> f64 {
        let token_ns = self.placement.as_ref().map(|placement| placement.prediction.token_ns);
        token_ns.map_or(0.0, |ns| 1e9 / (ns.max(1) as f64))
    }
}

/// How far a prediction was from what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// What was predicted.
    pub predicted: Pace,
    /// What was measured.
    pub measured: Pace,
    /// `|predicted − measured| / measured` from token to token.
    pub token_error: f64,
    /// The same of the time to the first token.
    pub first_error: f64,
}

/// What solo, two and three shards would be like.
pub fn advise(problem: &Problem, machines: &[Machine], paths: &Paths) -> Advice {
    let choice = |shards: usize| {
        let problem = Problem { shards: Shards::Exactly(shards), current: Vec::new(), ..problem.clone() };
        let placement = place(&problem, machines, paths).ok();
        let places = placement.iter().flat_map(|placement| &placement.places);
        let memory_bytes = places.map(|place| problem.need_bytes(place.layers)).collect();
        Choice { shards, placement, memory_bytes }
    };
    let choices: Vec<Choice> = (1..=3).map(choice).collect();
    let time = |choice: &Choice| choice.placement.as_ref().map(|placement| placement.prediction.token_ns);
    let best = (0..choices.len()).filter(|i| time(&choices[*i]).is_some()).min_by_key(|i| time(&choices[*i]));
    Advice { choices, best, sentence: String::new() }
}

/// Sets what was measured beside what was predicted.
pub fn compare(predicted: Pace, measured: Pace) -> Comparison {
    let error = |said: u64, seen: u64| said.abs_diff(seen) as f64 / seen.max(1) as f64;
    Comparison {
        predicted,
        measured,
        token_error: error(predicted.token_us, measured.token_us),
        first_error: error(predicted.first_us, measured.first_us),
    }
}
