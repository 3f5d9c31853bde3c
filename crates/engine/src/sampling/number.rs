//! Numbers that are the same on every machine: a counter-based uniform and an exponential.

/// SplitMix64's increment, 2⁶⁴ divided by the golden ratio.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014; the
/// constants are David Stafford's mix 13).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The random number of a seed and a position, in `0..1` with 53 bits: output number `position` of SplitMix64 started at
/// `mix(seed)`. This definition never changes: it is what makes a seeded answer repeatable.
pub fn uniform(seed: u64, position: u32) -> f64 {
    let state = mix(seed).wrapping_add(GAMMA.wrapping_mul(u64::from(position) + 1));
    (mix(state) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// `eˣ` for `x ≤ 0`, to about 11 digits; 0 below -700.
///
/// `x` is split into a multiple of ln 2, which becomes the exponent, and a rest of at most half of that, for which eleven
/// terms of the Taylor series are summed by Horner's rule. No fused operations, no library and no branch: the same bits
/// everywhere, several at a time.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    /// ln 2 in two parts: the first has 21 trailing zero bits, so that its product with a small integer is exact.
    const LN2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
    const LN2_LOW: f64 = std::f64::consts::LN_2 - LN2_HIGH;
    /// Added to a number, 1.5 · 2⁵² rounds it to an integer that then stands in the lowest bits of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// 1 / k! from 10 down to 0.
    const TERMS: [f64; 11] = [
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let within = if x < -700.0 { -700.0 } else { x };
    let shifted = within * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (within - n * LN2_HIGH) - n * LN2_LOW;
    let mut sum = 0.0;
    for term in TERMS {
        sum = sum * r + term;
    }
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    if x < -700.0 { 0.0 } else { sum * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniforms_never_change() {
        // With seed 0, `mix(0) = 0`: the published outputs of SplitMix64 started at 0.
        for (position, output) in
            [0xE220_A839_7B1D_CDAFu64, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F].iter().enumerate()
        {
            assert_eq!(uniform(0, position as u32), (output >> 11) as f64 / (1u64 << 53) as f64);
        }
        assert_eq!(uniform(42, 7).to_bits(), uniform(42, 7).to_bits());
        assert_ne!(uniform(42, 7), uniform(43, 7));
        assert_ne!(uniform(42, 7), uniform(42, 8));
        assert!((0.0..1.0).contains(&uniform(u64::MAX, u32::MAX)));
    }

    #[test]
    fn neighbouring_seeds_and_positions_are_independent() {
        // χ² over 64 cells of pairs (u(seed, p), u(seed + 1, p)); 63 degrees of freedom, 99.9 % quantile 103.
        let mut cells = [0u32; 64];
        for seed in 0..200 {
            for position in 0..100 {
                let (a, b) = (uniform(seed, position), uniform(seed + 1, position));
                cells[(a * 8.0) as usize * 8 + (b * 8.0) as usize] += 1;
            }
        }
        let expected = 20_000.0 / 64.0;
        let chi2: f64 = cells.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        assert!(chi2 < 103.0, "{chi2}");
    }

    #[test]
    fn exponentials_agree_with_the_library() {
        for step in 0..=70_000 {
            let x = -f64::from(step) / 100.0;
            let (ours, library) = (exp(x), x.exp());
            assert!((ours - library).abs() <= 1e-11 * library, "exp({x}) = {ours}, not {library}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e300), 0.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
    }
}
