//! Which spare machine doubles which place.
//!
//! A route is lost when all holders of one of its places are. If every machine is lost with the same small chance `p`
//! before the place is filled again, a place with `h` holders is lost with `pʰ`, and the loss to be expected is
//!
//! ```text
//! Σ over places of pʰ
//! ```
//!
//! One more holder takes `pʰ·(1 − p)` off it, which is the more the fewer there are. The sum is separable and convex, and
//! the numbers of holders that spares can give form a polymatroid (each spare serves one of the places it fits), so the
//! greedy choice is the best there is: always one more for the weakest place that can have one, *after moving spares that
//! were given elsewhere where that makes room*. Which spare takes a place is then free to choose: one that already has the
//! weights, then one that fits the fewest places, then the one that is fastest there.

use std::cmp::Reverse;
use std::collections::VecDeque;

use computepool_core::LayerRange;

use super::cost::{hop_ns, limited};
use super::{Machine, Paths, Problem};

/// A place and who fills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Which blocks.
    pub layers: LayerRange,
    /// The machines that hold it or are about to, by their place in the list.
    pub holders: Vec<usize>,
}

/// Gives spare machines places to double, so that the loss to be expected is least: answers `(spare, place)` pairs, in the
/// order in which they were given.
///
/// `most` is how many holders a place may have. Spares that fit nowhere, or are not needed, are left out.
///
/// # Panics
///
/// Where a spare or a holder is not in the list of machines.
pub fn spread(
    problem: &Problem,
    machines: &[Machine],
    paths: &Paths,
    places: &[Filled],
    spares: &[usize],
    most: usize,
) -> Vec<(usize, usize)> {
    let fits = |place: usize, spare: usize| problem.suits(places[place].layers, &machines[spare]);
    let cost = |place: usize, spare: usize| standing(problem, machines, paths, places, place, spare);
    let choices: Vec<usize> =
        spares.iter().map(|it| (0..places.len()).filter(|place| fits(*place, *it)).count()).collect();
    let mut queues: Vec<VecDeque<usize>> = (0..places.len())
        .map(|place| {
            let mut queue: Vec<usize> = (0..spares.len()).filter(|at| fits(place, spares[*at])).collect();
            queue.sort_by_cached_key(|at| {
                let holds = machines[spares[*at]].holds.covers(places[place].layers);
                (Reverse(holds), choices[*at], cost(place, spares[*at]), *at)
            });
            queue.into()
        })
        .collect();
    let mut given = Given { places: vec![None; spares.len()], order: Vec::new() };
    let mut counts: Vec<usize> = places.iter().map(|place| place.holders.len()).collect();
    let mut open: Vec<usize> = (0..places.len()).filter(|place| counts[*place] < most).collect();
    while let Some(weakest) = open.iter().copied().min_by_key(|place| counts[*place]) {
        if given.add(weakest, &mut queues, &|place, at| fits(place, spares[at])) {
            counts[weakest] += 1;
        } else {
            // What cannot have one more now never can: giving only uses spares up.
            open.retain(|place| *place != weakest);
        }
        open.retain(|place| counts[*place] < most);
    }
    let pairs = given.order.into_iter().filter_map(|at| Some((spares[at], given.places[at]?)));
    pairs.collect()
}

/// What a place costs on a spare, in nanoseconds a token: its arithmetic, and the shortest ways from the place before and
/// to the place after.
fn standing(
    problem: &Problem,
    machines: &[Machine],
    paths: &Paths,
    places: &[Filled],
    place: usize,
    spare: usize,
) -> u64 {
    let machine = &machines[spare];
    let work = machine.believed(machine.speed.layer_ns).saturating_mul(places[place].layers.len().into());
    let way = |from: usize, to: usize| hop_ns(problem, limited(paths.between(from, to), &machines[from]));
    let before = place.checked_sub(1).and_then(|before| places[before].holders.iter().map(|it| way(*it, spare)).min());
    let after = places.get(place + 1).and_then(|after| after.holders.iter().map(|it| way(spare, *it)).min());
    work.saturating_add(before.unwrap_or(0)).saturating_add(after.unwrap_or(0))
}

/// Which place each spare was given, and in which order they were.
struct Given {
    places: Vec<Option<usize>>,
    order: Vec<usize>,
}

impl Given {
    /// Gives `weakest` one more spare: a free one, or one from a place that another spare can take over, and so on
    /// (an augmenting path, found breadth first). `false` where there is none.
    fn add(&mut self, weakest: usize, queues: &mut [VecDeque<usize>], fits: &dyn Fn(usize, usize) -> bool) -> bool {
        // By place: from where it was reached, and with which spare it would pay for that.
        let mut reached: Vec<Option<(usize, usize)>> = vec![None; queues.len()];
        let mut waiting = VecDeque::from([weakest]);
        while let Some(place) = waiting.pop_front() {
            while queues[place].front().is_some_and(|at| self.places[*at].is_some()) {
                queues[place].pop_front();
            }
            if let Some(free) = queues[place].pop_front() {
                self.order.push(free);
                self.places[free] = Some(place);
                let mut place = place;
                while let Some((towards, spare)) = reached[place].filter(|_| place != weakest) {
                    self.places[spare] = Some(towards);
                    place = towards;
                }
                return true;
            }
            for at in self.order.iter().copied() {
                let Some(other) = self.places[at] else { continue };
                if other != weakest && reached[other].is_none() && fits(place, at) {
                    reached[other] = Some((place, at));
                    waiting.push_back(other);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spare 0 fits both places, spare 1 only the first: the second can have one only if spare 0 moves.
    #[test]
    fn a_spare_moves_where_that_makes_room() {
        let mut given = Given { places: vec![None; 2], order: Vec::new() };
        let fits = |place: usize, spare: usize| place == 0 || spare == 0;
        let mut queues = vec![VecDeque::from([0, 1]), VecDeque::from([0])];
        assert!(given.add(0, &mut queues, &fits));
        assert_eq!(given.places, [Some(0), None]);
        assert!(given.add(1, &mut queues, &fits));
        assert_eq!(given.places, [Some(1), Some(0)]);
        assert!(!given.add(1, &mut queues, &fits), "there are no more");
    }
}
