//! The fastest route over a few machines, with proof.

use super::Proof;
use super::bound::{Bound, Count};
use super::field::{Field, NEVER};
use super::search::{Found, beam, best_first};

/// How many beginnings the first guess keeps for each block, and how many the second, which knows prices.
const BEAM: usize = 3;
const PRICED_BEAM: usize = 8;
/// Labels that are looked at before prices are worth their while; no prices are raised for who wants no more.
const PLAIN: usize = 20_000;
/// Rounds of raising prices: for all entries together, and then for each.
const ROUNDS: usize = 60;
const ROUNDS_EACH: usize = 12;

/// The cheapest route on the field, if there is one, and how sure that is after looking at about `effort` labels.
///
/// A beam finds a good route. For every machine as the entry, the bound of the empty route says whether it could be
/// beaten from there; the entries that are left are searched, first without prices, then with.
pub(super) fn cheapest(field: &Field, counted: Count, effort: usize) -> Option<(Found, Proof)> {
    let counted = counted.among(field.machines());
    let any = Bound::new(field, counted, None, vec![0; field.machines()]);
    let mut best = beam(field, counted, &any, BEAM);
    let known = |best: &Option<Found>| best.as_ref().map_or(NEVER, |found| found.cost);
    let (mut least, found) = searched(field, counted, &any, known(&best), effort.min(PLAIN), 0);
    best = found.or(best);
    if least < known(&best) && effort > PLAIN {
        let any = any.raised(field, known(&best), ROUNDS);
        best = [best, beam(field, counted, &any, PRICED_BEAM)].into_iter().flatten().min_by_key(|found| found.cost);
        let (priced, found) = searched(field, counted, &any, known(&best), effort, ROUNDS_EACH);
        best = found.or(best);
        least = least.max(priced);
    }
    let best = best?;
    let proof = match best.cost.saturating_sub(least) {
        0 => Proof::Exact,
        gap => Proof::Within(u32::try_from((gap.saturating_mul(1000)).div_ceil(best.cost.max(1))).unwrap_or(u32::MAX)),
    };
    Some((best, proof))
}

/// Looks at every entry from which the cheapest route could begin, in the light of the prices of `any`. Answers what every
/// route costs at least, and one that is cheaper than `known`.
fn searched(
    field: &Field,
    counted: Count,
    any: &Bound,
    known: u64,
    effort: usize,
    rounds: usize,
) -> (u64, Option<Found>) {
    let promising = |bound: &Bound, entry: usize| bound.whole(field, entry) < known;
    let bound = |entry: usize| {
        if field.ends(entry, 0).is_empty() || !promising(any, entry) {
            return None;
        }
        let bound = any.from(field, entry);
        let bound = if promising(&bound, entry) { bound.raised(field, known, rounds) } else { bound };
        promising(&bound, entry).then_some(bound)
    };
    let bounds: Vec<Option<Bound>> = (0..field.machines()).map(bound).collect();
    best_first(field, counted, &bounds, known, effort)
}
