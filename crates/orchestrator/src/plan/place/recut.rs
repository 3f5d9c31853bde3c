//! Where to cut, once it is known which machines follow each other.
//!
//! Machines that are about as fast as each other leave the cut open: it makes no difference from token to token who has
//! a few blocks more. It does to a prompt, which waits for the narrowest point. So of all cuts that are slower from token
//! to token by no more than [`Problem::indifference`], the one with the earliest first token is taken.
//!
//! Solved by dynamic programming over (shards done, blocks done), with all beginnings kept that are not worse than
//! another in all of: time per token, time that the first chunk needs, narrowest point.

use super::field::Field;
use super::search::{Found, Runs};
use crate::plan::cost::{belt_ns, limited, mul_div, stage_ns};
use crate::plan::{Machine, Paths, Problem};

/// Beginnings kept for each number of blocks done. Machines of few kinds have few that matter; where there are more, the
/// best by the time to the first token stay.
const MOST_KEPT: usize = 48;

/// The first part of a cut.
#[derive(Clone, Copy)]
struct Part {
    token: u64,
    fill: u64,
    narrowest: u64,
    /// Where its last run begins, and which of the parts that end there it goes on from.
    start: usize,
    parent: usize,
}

/// The cut of the same machines in the same order that has the earliest first token, among those that are not much
/// slower than `found`.
pub(super) fn recut(problem: &Problem, machines: &[Machine], paths: &Paths, field: &Field, found: &Found) -> Found {
    let limit = found.cost.saturating_add(mul_div(found.cost, problem.indifference.into(), 1000));
    let order: Vec<usize> = found.runs.iter().map(|(machine, _)| *machine).collect();
    let rows = problem.costs.chunk_rows.clamp(1, problem.costs.prompt.max(1));
    let rest = problem.costs.prompt.saturating_sub(rows);
    let named = |machine: usize| &machines[field.names[machine]];
    // What does not depend on the cut: steps, hops, the head, the way back; and the narrowest link.
    let (Some(&entry), Some(&exit)) = (order.first(), order.last()) else { return found.clone() };
    let pairs = || order.iter().zip(order.iter().skip(1));
    let hops = pairs()
        .fold(field.step + field.close(exit, entry), |sum, (from, to)| sum.saturating_add(field.arc(*from, *to)));
    let link = |(from, to): (&usize, &usize)| {
        let path = paths.between(field.names[*from], field.names[*to]);
        belt_ns(problem, limited(path, named(*from)), rows)
    };
    let narrowest_link = pairs().map(link).max().unwrap_or(0);
    // Where a link is the narrowest point, shares are still the better the more even they are.
    let rank = |part: &Part| {
        let narrowest = part.narrowest.max(narrowest_link);
        (part.fill.saturating_add(mul_div(narrowest, rest, rows)), part.narrowest, part.token)
    };
    let mut done = vec![vec![Vec::new(); field.layers + 1]];
    done[0][0].push(Part { token: hops, fill: 0, narrowest: 0, start: 0, parent: 0 });
    // What the machines that are still to come take at least: one block each, and the others at the best rate.
    for (place, &machine) in order.iter().enumerate() {
        let after = &order[place + 1..];
        let rate = after.iter().map(|machine| field.rate[*machine]).min().unwrap_or(0);
        let last = &done[place];
        let mut next = vec![Vec::new(); field.layers + 1];
        for (start, parts) in last.iter().enumerate() {
            for (parent, part) in parts.iter().enumerate() {
                for end in field.ends(machine, start) {
                    let left = (field.layers - end) as u64;
                    if (left < after.len() as u64) || (after.is_empty() && left > 0) {
                        continue;
                    }
                    let token = part.token.saturating_add(field.run(machine, end - start));
                    if token.saturating_add(rate.saturating_mul(left)) > limit {
                        continue;
                    }
                    let stage = stage_ns(problem, named(machine), (end - start) as u32, rows);
                    let fill = part.fill.saturating_add(stage);
                    keep(&mut next[end], Part { token, fill, narrowest: part.narrowest.max(stage), start, parent });
                }
            }
        }
        for parts in &mut next {
            parts.sort_by_key(rank);
            parts.truncate(MOST_KEPT);
        }
        done.push(next);
    }
    let ends = &done[order.len()][field.layers];
    let Some(best) = (0..ends.len()).min_by_key(|at| rank(&ends[*at])) else {
        return found.clone();
    };
    let cost = ends[best].token;
    let (mut runs, mut end, mut at) = (Runs::new(), field.layers, best);
    for (place, &machine) in order.iter().enumerate().rev() {
        runs.push((machine, end));
        let part: &Part = &done[place + 1][end][at];
        (end, at) = (part.start, part.parent);
    }
    runs.reverse();
    Found { cost, runs }
}

/// Adds a part unless another is as good in everything, and drops those that are now no better in anything.
fn keep(parts: &mut Vec<Part>, new: Part) {
    let as_good = |a: &Part, b: &Part| a.token <= b.token && a.fill <= b.fill && a.narrowest <= b.narrowest;
    if parts.iter().any(|old| as_good(old, &new)) {
        return;
    }
    parts.retain(|old| !as_good(&new, old));
    parts.push(new);
}
