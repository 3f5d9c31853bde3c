//! The wire types. Numbers that are money or time are text there, and have no sign, no point and no zeros in front.

use computepool_core::ports::{CoalitionId, SessionTerms};
use computepool_core::{Account, Amount};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Reason;
use crate::voucher;

/// The version of x402 spoken here.
pub const VERSION: u32 = 2;

/// What a server asks for, in `PAYMENT-REQUIRED`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequired {
    /// [`VERSION`].
    pub x402_version: u32,
    /// Why an earlier payment does not do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is paid for.
    pub resource: Resource,
    /// The ways to pay.
    pub accepts: Vec<Requirements>,
}

/// What is paid for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Its address.
    pub url: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it answers with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
}

/// One way to pay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirements {
    /// `exact`.
    pub scheme: String,
    /// The chain's CAIP-2 name.
    pub network: String,
    /// Units of the token.
    pub amount: String,
    /// The token's contract.
    pub asset: String,
    /// Who is paid.
    pub pay_to: String,
    /// How long the payment has to hold.
    pub max_timeout_seconds: u64,
    /// The token's domain, and the terms that `payTo` binds.
    pub extra: Extra,
}

/// What a way to pay says besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extra {
    /// The `name` of the token's EIP-712 domain.
    pub name: String,
    /// The `version` of that domain.
    pub version: String,
    /// `eip3009`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_transfer_method: Option<String>,
    /// The terms of the session.
    pub computepool: Bound,
}

/// The terms of a session as far as the rest of the requirements does not say them. With them anybody can compute
/// `payTo`, and check that nothing else is bound by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// Who alone can pay, and gets the rest back; whoever does where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    /// The coalition's id, `0x` and 64 hex digits.
    pub coalition: String,
    /// Seconds that the session may last.
    pub lifetime: u32,
    /// Unix seconds until which it may be opened.
    pub expires: u64,
    /// The salt of `payTo`, `0x` and 64 hex digits.
    pub salt: String,
    /// What the salt was made of besides, 32 hex digits.
    pub nonce: String,
    /// USDCx wei a second while tokens come.
    pub rate: String,
}

impl Bound {
    /// The same as one value; `amount` is what stands beside it.
    pub fn terms(&self, amount: Amount) -> Result<SessionTerms, Reason> {
        let payer = self.payer.as_deref().map(str::parse::<Account>).transpose().map_err(|_| Reason::Payload)?;
        // Nobody is named by nothing, and not by a name.
        if payer.is_some_and(|payer| payer.is_zero()) {
            return Err(Reason::Payload);
        }
        Ok(SessionTerms {
            coalition: CoalitionId(voucher::word(&self.coalition)?),
            amount,
            lifetime_s: self.lifetime,
            expires_s: self.expires,
            payer: payer.unwrap_or(Account::ZERO),
            salt: voucher::word(&self.salt)?,
        })
    }
}

/// What a client pays with, in `PAYMENT-SIGNATURE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentPayload {
    /// [`VERSION`].
    pub x402_version: u32,
    /// What it is for; the server knows that by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// The way to pay that was chosen, as the server gave it.
    pub accepted: Requirements,
    /// The payment.
    pub payload: ExactPayload,
    /// Not used here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Map<String, Value>>,
}

/// The payment of scheme `exact` with EIP-3009.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExactPayload {
    /// `0x` and the signature in hex.
    pub signature: String,
    /// What was signed.
    pub authorization: AuthorizationText,
}

/// The fields of `TransferWithAuthorization`, as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationText {
    /// Who pays.
    pub from: String,
    /// Who is paid.
    pub to: String,
    /// Units of the token.
    pub value: String,
    /// Unix seconds.
    pub valid_after: String,
    /// Unix seconds.
    pub valid_before: String,
    /// `0x` and 64 hex digits.
    pub nonce: String,
}

/// How a payment went, in `PAYMENT-RESPONSE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettlementResponse {
    /// Whether it was taken.
    pub success: bool,
    /// The transaction's hash; empty while there is none.
    pub transaction: String,
    /// The chain's CAIP-2 name.
    pub network: String,
    /// Who paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    /// What is wrong, where it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Units of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// The session that was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Map<String, Value>>,
}
