//! A payment before and after it is signed.

use std::fmt;

use alloy_primitives::{B256, Bytes, Signature};
use computepool_core::ports::{Authorization, Purpose, SessionTerms, SigningContent, SigningRequest, TokenDomain};
use computepool_core::{Account, Amount};
use serde_json::{Value, json};

use super::demand::{Demand, Offer};
use crate::x402::{AuthorizationText, ExactPayload, VERSION, encode};

/// An authorization holds from so many seconds ago: the clock of a chain without traffic stands at its newest block.
pub const LEAD_S: u64 = 600;
/// An authorization never holds for longer, in seconds, whatever a server asks for.
pub const LONGEST_S: u64 = 3_600;

/// A payment that nobody has signed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The token, as the payer knows it.
    pub token: TokenDomain,
    /// What is to be signed.
    pub authorization: Authorization,
    session: Option<SessionTerms>,
    /// The offer as its server wrote it.
    accepted: Value,
    resource: Option<Value>,
}

/// A signed payment: whoever has it can have it executed, once, to the account that it names.
#[derive(Clone, PartialEq)]
pub struct Payment {
    /// The token.
    pub token: TokenDomain,
    /// What was signed.
    pub authorization: Authorization,
    /// The terms of the session that it opens, where it opens one of ours.
    pub session: Option<SessionTerms>,
    /// The signature.
    pub signature: Bytes,
    /// The value of `PAYMENT-SIGNATURE`.
    pub header: String,
}

impl Draft {
    /// Takes an offer of a demand. `now_s` are Unix seconds; `nonce` makes the payment single and must be new.
    pub fn new(demand: &Demand, offer: &Offer, token: &TokenDomain, account: Account, now_s: u64, nonce: B256) -> Self {
        let authorization = Authorization {
            from: account,
            to: offer.pay_to,
            value: Amount::new(offer.units, token.asset),
            valid_after: now_s.saturating_sub(LEAD_S),
            valid_before: now_s.saturating_add(offer.timeout_s.min(LONGEST_S)),
            nonce,
        };
        let (accepted, resource) = (offer.said.clone(), demand.resource.clone());
        let session = offer.session(authorization.value);
        Self { token: token.clone(), authorization, session, accepted, resource }
    }

    /// What a vault is asked.
    pub fn request(&self) -> SigningRequest {
        let content = SigningContent::Authorization { token: self.token.clone(), authorization: self.authorization };
        SigningRequest { account: self.authorization.from, purpose: Purpose::Voucher, content }
    }

    /// The payment, with its signature.
    pub fn signed(self, signature: &Signature) -> Payment {
        let Authorization { from, to, value, valid_after, valid_before, nonce } = self.authorization;
        let payload = ExactPayload {
            signature: format!("0x{}", hex::encode(signature.as_bytes())),
            authorization: AuthorizationText {
                from: from.to_string(),
                to: to.to_string(),
                value: value.units.to_string(),
                valid_after: valid_after.to_string(),
                valid_before: valid_before.to_string(),
                nonce: format!("0x{}", hex::encode(nonce)),
            },
        };
        let mut said = json!({ "x402Version": VERSION, "accepted": self.accepted, "payload": payload });
        if let Some(resource) = self.resource {
            said["resource"] = resource;
        }
        Payment {
            token: self.token,
            authorization: self.authorization,
            session: self.session,
            signature: signature.as_bytes().to_vec().into(),
            header: encode(&said),
        }
    }
}

impl fmt::Debug for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payment").field("authorization", &self.authorization).finish_non_exhaustive()
    }
}
