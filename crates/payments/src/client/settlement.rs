//! What became of a payment, as the server says it.

use alloy_primitives::U256;
use computepool_core::{Account, TxHash};
use serde_json::{Map, Value};

use super::demand::units;
use super::draft::Payment;
use super::error::{PayError, shown};
use crate::x402::{SettlementResponse, decode};

/// What became of a payment, as the server says it. Whether it is so, only the chain knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Whether the payment was taken.
    pub taken: bool,
    /// The transaction that executes it; none where there is none, or none yet: servers may answer before it is sent.
    pub transaction: Option<TxHash>,
    /// Units of the token that were taken, where the server says so.
    pub units: Option<U256>,
    /// Why it was not taken, by x402's names.
    pub reason: Option<String>,
    /// What the server says besides.
    pub extensions: Map<String, Value>,
}

impl Settlement {
    /// Reads the header `PAYMENT-RESPONSE` that came for a payment.
    pub fn read(header: &str, payment: &Payment) -> Result<Self, PayError> {
        let said: SettlementResponse = decode(header).map_err(PayError::Unreadable)?;
        if said.success && said.network != payment.token.chain.caip2() {
            return Err(PayError::OtherPayment("it is on another chain"));
        }
        let payer = said.payer.as_deref().and_then(|text| text.parse::<Account>().ok());
        if payer.is_some_and(|payer| payer != payment.authorization.from) {
            return Err(PayError::OtherPayment("somebody else paid it"));
        }
        let transaction = match said.transaction.as_str() {
            "" => None,
            hash => Some(hash.parse().map_err(|_| PayError::OtherPayment("its transaction is none"))?),
        };
        Ok(Self {
            taken: said.success,
            transaction,
            units: said.amount.as_deref().and_then(units),
            reason: said.error_reason.map(|reason| shown(&reason)),
            extensions: said.extensions.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use computepool_core::ports::{Authorization, TokenDomain};
    use computepool_core::{Amount, Asset, ChainId};
    use serde_json::json;

    use super::*;
    use crate::x402::encode;

    fn payment() -> Payment {
        let token = TokenDomain {
            asset: Asset::Usdc,
            name: "USD Coin".into(),
            version: "2".into(),
            chain: ChainId(8453),
            contract: Account::new([2; 20]),
        };
        let authorization = Authorization {
            from: Account::new([1; 20]),
            to: Account::new([4; 20]),
            value: Amount::usdc(5),
            valid_after: 0,
            valid_before: 9,
            nonce: [7; 32].into(),
        };
        Payment { token, authorization, session: None, signature: vec![7; 65].into(), header: "secret".into() }
    }

    fn read(value: &Value) -> Result<Settlement, PayError> {
        Settlement::read(&encode(value), &payment())
    }

    #[test]
    fn what_servers_say_is_held_against_the_payment() {
        let payer = payment().authorization.from.to_string().to_lowercase();
        let hash = format!("0x{}", "ab".repeat(32));
        let said = |more: Value| {
            let mut all = json!({ "success": true, "transaction": hash, "network": "eip155:8453", "payer": payer });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(&all)
        };
        let whole = said(json!({ "amount": "5", "errorMessage": null, "extra": {} })).unwrap();
        assert_eq!((whole.taken, whole.transaction, whole.units), (true, hash.parse().ok(), Some(U256::from(5))));
        let pending = said(json!({ "transaction": "", "extensions": { "computepool": { "settlement": "pending" } } }));
        let pending = pending.unwrap();
        assert!(pending.taken && pending.transaction.is_none() && pending.extensions.contains_key("computepool"));
        let refused = said(json!({ "success": false, "network": "", "transaction": "", "errorReason": "no\u{1b}[2J" }));
        assert_eq!(refused.unwrap().reason.as_deref(), Some("no[2J"));
        for more in [
            json!({ "network": "eip155:1" }),
            json!({ "payer": "0x0404040404040404040404040404040404040404" }),
            json!({ "transaction": "0xab" }),
        ] {
            assert!(matches!(said(more.clone()), Err(PayError::OtherPayment(_))), "{more}");
        }
        assert!(!format!("{:?}", payment()).contains("secret"));
    }
}
