//! Another route goes on where one was lost.

use super::ring::{Ring, after, ids, requests};
use crate::cpu::Cpu;

#[test]
fn whoever_goes_on_after_any_token_gives_exactly_the_rest() {
    for cut in [&["0..4"][..], &["0..1", "1..3", "3..4"]] {
        let mut ring = Ring::load(|| Cpu::new(1), cut, 4096);
        for request in requests() {
            let whole = ring.whole(&request);
            for made in 1..whole.len() {
                let rest = after(&request, &ids(&whole[..made]));
                ring.open(2, &rest, None);
                // Indices, ids, log-probabilities and the end: equal to the last bit.
                assert_eq!(ring.tokens(2, &rest, 0, usize::MAX), whole[made..], "after {made} tokens of {request:?}");
                ring.close(2);
            }
        }
    }
}

#[test]
fn it_goes_on_however_often() {
    let mut ring = Ring::load(|| Cpu::new(1), &["0..2", "2..4"], 4096);
    for request in requests() {
        let whole = ring.whole(&request);
        let mut told = Vec::new();
        while told.len() < whole.len() {
            let rest = after(&request, &ids(&told));
            ring.open(2, &rest, None);
            told.extend(ring.tokens(2, &rest, 0, 3));
            ring.close(2);
        }
        assert_eq!(told, whole);
    }
}
