//! The payer's side of x402 version 2, for any server that asks for scheme `exact` with EIP-3009 on an EVM chain.
//!
//! ```text
//! answer 402 ─→ Demand ─→ Offer ─→ Draft ─→ a vault signs ─→ Payment ─→ PAYMENT-SIGNATURE
//!                  Means ──┘                                    └─ PAYMENT-RESPONSE ─→ Settlement
//! ```
//!
//! Nothing here is sent, and neither clock nor dice are read: [`pay`] does all from the answer 402 to the header, and
//! whoever calls it asks again with that header. A server is believed nothing that is not checked against what the payer
//! knows ([`Means`]): which tokens there are, and what one payment may cost.
//!
//! Source: the specification at <https://github.com/coinbase/x402>, and what the official packages 2.27 do.

mod demand;
mod draft;
mod error;
mod means;
mod settlement;

pub use demand::{Demand, MAX_BODY_BYTES, Offer};
pub use draft::{Draft, LEAD_S, LONGEST_S, Payment};
pub use error::{PayError, Unfit};
pub use means::{Escrow, Means};
pub use settlement::Settlement;

use computepool_core::money::B256;
use computepool_core::ports::Vault;

/// Pays what a server asks for, by the cheapest way that the payer's means allow.
///
/// `now_s` are Unix seconds; `nonce` are 32 bytes from good dice, new for each payment.
pub async fn pay(
    vault: &dyn Vault,
    means: &Means,
    demand: &Demand,
    now_s: u64,
    nonce: B256,
) -> Result<Payment, PayError> {
    let (offer, token) = means.choose(demand)?;
    let draft = Draft::new(demand, offer, token, means.account, now_s, nonce);
    let signature = vault.sign(&draft.request()).await.map_err(PayError::NotSigned)?;
    Ok(draft.signed(&signature))
}
