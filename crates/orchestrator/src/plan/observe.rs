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
//! Each observation turns all of its machines' slownesses by the same factor, a part of the way to where the equation
//! holds:
//!
//! ```text
//! sᵢ ← sᵢ · ( (measured − w) / Σ sⱼxⱼ )^μ
//! ```
//!
//! In the times `yᵢ = sᵢ·xᵢ` that machines really take, every equation is a plain sum, and this is the multiplicative
//! algebraic reconstruction technique (Gordon, Bender and Herman 1970). Where machines keep their ranges and the equations
//! are consistent, it converges for `0 < μ ≤ 1`, and of all solutions to the one that is closest to the claims in relative
//! entropy (Lent 1977): one that changes a few machines by much rather than many by a little. That is how lies are. A liar
//! on several routes with different neighbours is multiplied up by each of them and its neighbours are brought down again
//! by the routes that it is not on; as long as it is seen with the same neighbours only, blame is shared. What cannot be
//! told apart makes no difference to a route of the same machines.
//!
//! Projecting onto each equation instead (Kaczmarz, or normalised least mean squares) blames each by its `xᵢ`, most whoever
//! claims to take long. A liar claims to take little: in the simulated day that finds half of them, this four of five.
//!
//! Nothing is learnt from a route with ways that nobody has measured: what is guessed of them would be believed of the
//! machines. Waiting behind others also slows a route. Observe those that were alone, or take the fastest tokens of a while: a
//! machine is not slow because it is popular.

use super::Prediction;

/// No machine is believed to be more than four times as fast as it says, in thousandths.
pub const LEAST_SLOWNESS: u32 = 250;
/// No machine is believed to be more than twenty times as slow as it says, in thousandths.
pub const MOST_SLOWNESS: u32 = 20_000;

/// `μ`: four observations take away all but a sixteenth of an error's logarithm; of noise, a third of the power stays.
const STEP: f64 = 0.5;
/// A route that stood still says little about arithmetic: no observation says that it took more than so many times as
/// long as it was believed to take, or less than that part of it.
const FURTHEST: f64 = 20.0;

/// Corrects what is believed of a route's machines by what it took from token to token, in nanoseconds.
///
/// `slowness` is what is believed of them so far, entry first, in thousandths; the answer is what to believe from now on,
/// between [`LEAST_SLOWNESS`] and [`MOST_SLOWNESS`]. Machines of which the prediction claims nothing keep theirs, and all
/// do where it is not [`surveyed`](Prediction::surveyed).
pub fn observe(prediction: &Prediction, slowness: &[u32], measured_ns: u64) -> Vec<u32> {
    let times = prediction.claimed_ns.iter().zip(slowness);
    let believed: f64 = times.map(|(claimed, factor)| *claimed as f64 * f64::from(*factor) / 1000.0).sum();
    let seen = measured_ns.saturating_sub(prediction.wire_ns) as f64;
    let turn = if prediction.surveyed && believed > 0.0 {
        (seen / believed).clamp(1.0 / FURTHEST, FURTHEST).powf(STEP)
    } else {
        1.0
    };
    let corrected = |(place, factor): (usize, &u32)| {
        let claims = prediction.claimed_ns.get(place).is_some_and(|claimed| *claimed > 0);
        let factor = f64::from(*factor) * if claims { turn } else { 1.0 };
        (factor.round() as u32).clamp(LEAST_SLOWNESS, MOST_SLOWNESS)
    };
    slowness.iter().enumerate().map(corrected).collect()
}
