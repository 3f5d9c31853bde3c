//! Ids that follow from others, so that the state machine needs no source of chance.

use computepool_core::{GenerationId, SessionId};

/// The id under which leg `number` of a generation goes on the wire. The first goes under the generation's own.
pub(super) fn leg_id(generation: GenerationId, number: u32) -> GenerationId {
    if number == 0 { generation } else { GenerationId(derived(generation.0, u64::from(number))) }
}

/// The id of the `number`th session that is opened in place of another. The first goes under its own.
pub(super) fn session_id(first: SessionId, number: u32) -> SessionId {
    if number == 0 { first } else { SessionId(derived(first.0, u64::from(number) | 1 << 32)) }
}

/// Mixes `number` into both halves of a random id. Each half is a bijection of what it was, so that two ids that differ
/// stay different under the same number.
fn derived(id: [u8; 16], number: u64) -> [u8; 16] {
    let all = u128::from_le_bytes(id);
    let (low, high) = (all as u64, (all >> 64) as u64);
    let low = mixed(low.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let high = mixed(high.wrapping_add(low));
    ((u128::from(high) << 64) | u128::from(low)).to_le_bytes()
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn legs_and_sessions_of_neighbouring_ids_never_meet() {
        let mut seen = BTreeSet::new();
        for first in 0..50_u8 {
            let mut id = [0; 16];
            id[(first % 16) as usize] = 1 + first / 16;
            for number in 0..50 {
                assert!(seen.insert(leg_id(GenerationId(id), number).0), "{first} {number}");
                assert!(number == 0 || seen.insert(session_id(SessionId(id), number).0), "{first} {number}");
            }
        }
        assert_eq!(leg_id(GenerationId([7; 16]), 0), GenerationId([7; 16]));
    }
}
