//! Scalar functions whose bits do not depend on the system's math library.

/// How many lanes every reduction uses.
pub(crate) const LANES: usize = 8;

/// Sums eight lanes in the one order that all kernels use: halves, quarters, pair.
#[inline(always)]
pub(crate) fn lane_sum(lanes: [f32; LANES]) -> f32 {
    let quarter = [lanes[0] + lanes[4], lanes[1] + lanes[5], lanes[2] + lanes[6], lanes[3] + lanes[7]];
    (quarter[0] + quarter[2]) + (quarter[1] + quarter[3])
}

/// `e^x` within 2 units in the last place; 0 below -87.3, infinity above 88.7, NaN for NaN.
///
/// Range reduction by Cody and Waite, then the Taylor polynomial of degree 7 on |r| ≤ ln 2 / 2, in fused multiply-adds.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5 · 2^23 rounds to the nearest integer in every vector unit alike.
    const ROUNDER: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.4, 88.8);
    let shifted = clamped.mul_add(LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = n.mul_add(-LN2_HIGH, clamped);
    let r = n.mul_add(-LN2_LOW, r);
    let mut p = 1.0 / 5040.0;
    p = r.mul_add(p, 1.0 / 720.0);
    p = r.mul_add(p, 1.0 / 120.0);
    p = r.mul_add(p, 1.0 / 24.0);
    p = r.mul_add(p, 1.0 / 6.0);
    p = r.mul_add(p, 0.5);
    p = r.mul_add(p, 1.0);
    p = r.mul_add(p, 1.0);
    // 2^n in two factors, so that neither leaves the range of exponents.
    let whole = n as i32;
    let half = whole >> 1;
    let power = |e: i32| f32::from_bits(((e + 127) << 23) as u32);
    let value = p * power(half) * power(whole - half);
    if x > 88.722_84 {
        f32::INFINITY
    } else if x < -87.336_55 {
        0.0
    } else {
        value
    }
}

/// `x · sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The tanh form of GELU: `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`, with `1 + tanh(t) = 2 / (1 + e^-2t)`.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    let t = ROOT * x * (0.044_715 * x).mul_add(x, 1.0);
    x / (1.0 + exp(-2.0 * t))
}

/// `cap · tanh(x / cap)`.
#[inline(always)]
pub(crate) fn softcap(x: f32, cap: f32) -> f32 {
    cap * (2.0 / (1.0 + exp(-2.0 * x / cap)) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_of_the_double_precision_one() {
        let mut worst = 0;
        for i in -870_000..887_000 {
            let x = i as f32 * 1e-4;
            let right = (f64::from(x)).exp() as f32;
            let off = (exp(x).to_bits() as i64 - right.to_bits() as i64).abs();
            worst = worst.max(off);
        }
        assert!(worst <= 2, "{worst}");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn activations_match_double_precision() {
        for i in -2000..2000 {
            let x = i as f32 * 0.01;
            let d = f64::from(x);
            let right = d / (1.0 + (-d).exp());
            assert!((f64::from(silu(x)) - right).abs() < 1e-6 * (1.0 + right.abs()), "{x}");
            let right = 0.5 * d * (1.0 + (0.797_884_560_802_865 * (d + 0.044715 * d * d * d)).tanh());
            assert!((f64::from(gelu_tanh(x)) - right).abs() < 2e-6 * (1.0 + right.abs()), "{x}");
            let right = 30.0 * (d / 30.0).tanh();
            assert!((f64::from(softcap(x, 30.0)) - right).abs() < 1e-5, "{x}");
        }
    }
}
