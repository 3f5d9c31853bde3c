//! Which machine holds which range.

use computepool_core::LayerRange;

use super::{Machine, Paths, PlanError, Prediction, Problem, Shards, predict};

/// How a model is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The places, entry first.
    pub places: Vec<Placed>,
    /// What it is predicted to take.
    pub prediction: Prediction,
    /// How good it is known to be.
    pub proof: Proof,
    /// Whether the current cut was kept, with whoever holds a place of it.
    pub kept: bool,
}

/// One place of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which blocks.
    pub layers: LayerRange,
    /// On which machine, by its place in the list.
    pub machine: usize,
}

/// How good a placement is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing is faster from token to token.
    Exact,
    /// Nothing is faster by more than these thousandths of its time from token to token.
    Within(u32),
    /// Found by rule of thumb.
    Heuristic,
}

/// Chooses who holds which range.
pub fn place(problem: &Problem, machines: &[Machine], paths: &Paths) -> Result<Placement, PlanError> {
    let layers = problem.model.layer_count;
    let most = match problem.shards {
        Shards::Exactly(shards) | Shards::AtMost(shards) => shards.min(layers as usize),
    };
    let counts = match problem.shards {
        Shards::Exactly(_) => most..=most,
        Shards::AtMost(_) => 1..=most,
    };
    for count in counts {
        let cut: Vec<LayerRange> = (0..count as u32)
            .filter_map(|i| LayerRange::new(i * layers / count as u32, (i + 1) * layers / count as u32).ok())
            .collect();
        let mut left: Vec<usize> = (0..machines.len()).collect();
        let mut places = Vec::new();
        for layers in cut {
            let Some(taker) = left.iter().position(|index| problem.suits(layers, &machines[*index])) else { break };
            places.push(Placed { layers, machine: left.remove(taker) });
        }
        if places.len() == count {
            let route: Vec<_> = places.iter().map(|place| (place.layers, place.machine)).collect();
            let prediction = predict(problem, machines, paths, &route);
            return Ok(Placement { places, prediction, proof: Proof::Heuristic, kept: false });
        }
    }
    Err(PlanError::TooFew { present: machines.len(), needed: most })
}
