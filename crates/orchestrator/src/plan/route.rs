//! Which holder of each place serves a request.

use computepool_core::LayerRange;

use super::{Machine, Paths, Prediction, Problem, predict};

/// A machine that is ready to serve a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which, by its place in the list of machines.
    pub machine: usize,
    /// Generations it takes part in now.
    pub active: u32,
    /// It is to be used only where nobody else can be.
    pub avoid: bool,
}

/// A route through the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// For each place, which of its holders, by its place in their list.
    pub holders: Vec<usize>,
    /// What it is predicted to take a stream that is alone on it.
    pub prediction: Prediction,
    /// How many of its machines were to be avoided.
    pub avoided: usize,
}

/// Chooses a holder for every place, entry first; `None` where a place has none, or there is no place.
pub fn route(
    problem: &Problem,
    machines: &[Machine],
    paths: &Paths,
    places: &[(LayerRange, Vec<Holder>)],
) -> Option<Route> {
    let mut holders = Vec::new();
    let mut chosen = Vec::new();
    let mut avoided = 0;
    for (layers, ready) in places {
        let (index, holder) = ready.iter().enumerate().min_by_key(|(_, holder)| (holder.avoid, holder.active))?;
        avoided += usize::from(holder.avoid);
        holders.push(index);
        chosen.push((*layers, holder.machine));
    }
    let prediction = predict(problem, machines, paths, &chosen);
    (!chosen.is_empty()).then_some(Route { holders, prediction, avoided })
}
