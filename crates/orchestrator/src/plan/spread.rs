//! Which spare machine doubles which place.

use computepool_core::LayerRange;

use super::{Machine, Paths, Problem};

/// A place and who fills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Which blocks.
    pub layers: LayerRange,
    /// The machines that hold it or are about to, by their place in the list.
    pub holders: Vec<usize>,
}

/// Gives spare machines places to double, so that the loss to be expected is least: answers `(spare, place)` pairs.
///
/// `most` is how many holders a place may have. Spares that fit nowhere are left out.
pub fn spread(
    problem: &Problem,
    machines: &[Machine],
    _paths: &Paths,
    places: &[Filled],
    spares: &[usize],
    most: usize,
) -> Vec<(usize, usize)> {
    let mut counts: Vec<usize> = places.iter().map(|place| place.holders.len()).collect();
    let mut given = Vec::new();
    for &spare in spares {
        let weakest = (0..places.len())
            .filter(|place| counts[*place] < most && problem.suits(places[*place].layers, &machines[spare]))
            .min_by_key(|place| counts[*place]);
        if let Some(place) = weakest {
            counts[place] += 1;
            given.push((spare, place));
        }
    }
    given
}
