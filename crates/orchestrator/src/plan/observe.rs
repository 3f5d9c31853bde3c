//! How much slower machines are than they say, from what routes really take.
//!
//! What a machine says of itself is its own measurement; what it really takes shows only in sums, since a route's time
//! from token to token is made of all of its machines. With `xᵢ` the claimed arithmetic of machine `i` on the route and
//! `w` everything else, a route says one linear equation about the slownesses `sᵢ`:
//!
//! ```text
//! measured ≈ w + Σ sᵢ·xᵢ
//! ```
//!
//! Each observation moves the estimate a part of the way towards the nearest point that satisfies its equation. That is
//! Kaczmarz's projection, or the normalised least mean squares of adaptive filters, with step `μ`:
//!
//! ```text
//! r  = measured − w − Σ sᵢ·xᵢ
//! sᵢ ← sᵢ + μ · r·xᵢ / Σ xⱼ²
//! ```
//!
//! For `0 < μ < 2` the distance to any solution of consistent equations never grows, and where routes differ enough to tell
//! machines apart it goes to zero; with noise it stays within `μ / (2 − μ)` of the noise's power (Strohmer and Vershynin
//! 2009; Haykin, *Adaptive Filter Theory*). A liar that is on several routes with different neighbours is thus found out,
//! and its neighbours are cleared again; as long as it is seen with the same neighbours only, blame is shared by claimed
//! time. What cannot be told apart makes no difference to a route of the same machines.
//!
//! Waiting behind others also slows a route. Observe those that were alone, or take the fastest tokens of a while: a
//! machine is not slow because it is popular.

use super::Prediction;

/// No machine is believed to be more than four times as fast as it says, in thousandths.
pub const LEAST_SLOWNESS: u32 = 250;
/// No machine is believed to be more than twenty times as slow as it says, in thousandths.
pub const MOST_SLOWNESS: u32 = 20_000;

/// `μ`: four observations take away 94 % of an error, and one that is wrong by a half moves nobody by more than that.
const STEP: f64 = 0.5;
/// A route that stood still says nothing about arithmetic: no single observation counts for more than so many times the
/// arithmetic it was predicted to take.
const FURTHEST: f64 = 20.0;

/// Corrects what is believed of a route's machines by what it took from token to token, in nanoseconds.
///
/// `slowness` is what is believed of them so far, entry first, in thousandths; the answer is what to believe from now on,
/// between [`LEAST_SLOWNESS`] and [`MOST_SLOWNESS`]. Machines that the prediction does not name keep theirs.
pub fn observe(prediction: &Prediction, slowness: &[u32], measured_ns: u64) -> Vec<u32> {
    let claimed = || prediction.claimed_ns.iter().map(|ns| *ns as f64);
    let believed: f64 = claimed().zip(slowness).map(|(claimed, factor)| claimed * f64::from(*factor) / 1000.0).sum();
    let square: f64 = claimed().map(|claimed| claimed * claimed).sum();
    let seen = (measured_ns.saturating_sub(prediction.wire_ns) as f64).min(claimed().sum::<f64>() * FURTHEST);
    let pull = if square > 0.0 { STEP * (seen - believed) / square } else { 0.0 };
    let corrected = |(place, factor): (usize, &u32)| {
        let claimed = prediction.claimed_ns.get(place).map_or(0.0, |ns| *ns as f64);
        let factor = f64::from(*factor) + 1000.0 * pull * claimed;
        (factor.round() as u32).clamp(LEAST_SLOWNESS, MOST_SLOWNESS)
    };
    slowness.iter().enumerate().map(corrected).collect()
}
