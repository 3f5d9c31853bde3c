//! What a server asks for, read with more patience than our own wire types have: other servers say other things besides.

use alloy_primitives::U256;
use computepool_core::ports::SessionTerms;
use computepool_core::{Account, Amount, ChainId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{PayError, Unfit, shown};
use crate::x402::{Bound, VERSION, decode};

/// No more of a body is looked at.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// No more ways to pay are looked at.
const MAX_OFFERS: usize = 32;

/// What a server asks for before it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Why an earlier payment did not do, in the server's words.
    pub error: Option<String>,
    /// The ways to pay in the server's order, and what cannot be read of those that cannot.
    pub offers: Vec<Result<Offer, Unfit>>,
    /// What is paid for, as the server says it and wants it said back.
    pub resource: Option<Value>,
}

/// One way to pay: scheme `exact`, EIP-3009.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// On which chain.
    pub chain: ChainId,
    /// Which token.
    pub contract: Account,
    /// Units of it.
    pub units: U256,
    /// Who is paid.
    pub pay_to: Account,
    /// Seconds that the payment has to hold.
    pub timeout_s: u64,
    /// The `name` of the token's EIP-712 domain, where it is said.
    pub name: Option<String>,
    /// The `version` of that domain, where it is said.
    pub version: Option<String>,
    /// The same as the server wrote it: it wants it back, to the last field.
    pub said: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    x402_version: u32,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    resource: Option<Value>,
    accepts: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOffer {
    network: String,
    amount: String,
    asset: String,
    pay_to: String,
    max_timeout_seconds: u64,
    #[serde(default)]
    extra: Option<Map<String, Value>>,
}

impl Demand {
    /// Reads an answer 402: its header `PAYMENT-REQUIRED`, or, where it has none, its body. There, it may stand by itself or
    /// under `payment`.
    pub fn read(header: Option<&str>, body: &[u8]) -> Result<Self, PayError> {
        let wire: Wire = match header {
            Some(header) => decode(header).map_err(PayError::Unreadable)?,
            None => from_body(body).ok_or(PayError::NotSaid)?,
        };
        if wire.x402_version != VERSION {
            return Err(PayError::Version { got: wire.x402_version });
        }
        let offers = wire.accepts.into_iter().take(MAX_OFFERS).map(Offer::read).collect();
        Ok(Self { error: wire.error.map(|text| shown(&text)), offers, resource: wire.resource })
    }
}

fn from_body(body: &[u8]) -> Option<Wire> {
    if body.len() > MAX_BODY_BYTES {
        return None;
    }
    let mut value: Value = serde_json::from_slice(body).ok()?;
    if let Some(inner) = value.get_mut("payment") {
        value = inner.take();
    }
    serde_json::from_value(value).ok()
}

impl Offer {
    fn read(said: Value) -> Result<Self, Unfit> {
        // By itself first: what belongs to another scheme may look quite different.
        let scheme = said.get("scheme").and_then(Value::as_str).unwrap_or_default();
        if scheme != "exact" {
            return Err(Unfit::Scheme(shown(scheme)));
        }
        let wire: WireOffer =
            serde_json::from_value(said.clone()).map_err(|error| Unfit::Unreadable(shown(&error.to_string())))?;
        let chain = ChainId::from_caip2(&wire.network).map_err(|_| Unfit::Network(shown(&wire.network)))?;
        let extra = |key: &str| wire.extra.as_ref()?.get(key)?.as_str().map(str::to_owned);
        if let Some(method) = extra("assetTransferMethod").filter(|method| method != "eip3009") {
            return Err(Unfit::Method(shown(&method)));
        }
        let account = |text: &str| text.parse::<Account>().map_err(|fault| Unfit::Unreadable(fault.message));
        let units = units(&wire.amount).ok_or_else(|| Unfit::Unreadable("its amount is no number".to_owned()))?;
        let pay_to = account(&wire.pay_to)?;
        if pay_to.is_zero() || wire.max_timeout_seconds == 0 {
            return Err(Unfit::Unreadable("it names nobody to be paid, or no time to do it in".to_owned()));
        }
        Ok(Self {
            chain,
            contract: account(&wire.asset)?,
            units,
            pay_to,
            timeout_s: wire.max_timeout_seconds,
            name: extra("name"),
            version: extra("version"),
            said,
        })
    }
}

impl Offer {
    /// The terms of the session that is offered for `amount`, where one of ours is.
    pub fn session(&self, amount: Amount) -> Option<SessionTerms> {
        let bound = self.said.get("extra")?.get("computepool")?;
        <Bound as Deserialize>::deserialize::<&Value>(bound).ok()?.terms(amount).ok()
    }
}

/// Units from their digits, and from nothing else.
pub(super) fn units(text: &str) -> Option<U256> {
    let digits = (1..=78).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| U256::from_str_radix(text, 10).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::x402::encode;

    fn accepts(more: &Value) -> Value {
        let mut offer = json!({
            "scheme": "exact", "network": "eip155:8453", "amount": "10000",
            "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            "payTo": "0x209693bc6afc0c5328ba36faf03c514ef312287c",
            "maxTimeoutSeconds": 60, "extra": { "name": "USD Coin", "version": "2" },
        });
        for (key, value) in more.as_object().unwrap() {
            offer[key] = value.clone();
        }
        offer
    }

    fn read(value: &Value) -> Result<Demand, PayError> {
        Demand::read(Some(&encode(value)), b"")
    }

    fn offered(more: &Value) -> Result<Offer, Unfit> {
        let required = json!({ "x402Version": 2, "resource": { "url": "http://x/" }, "accepts": [accepts(more)] });
        read(&required).unwrap().offers.remove(0)
    }

    #[test]
    fn other_peoples_demands_are_read_and_kept_word_for_word() {
        let strange = json!({ "extra": { "name": "USDC", "paymentFlow": { "x": [1] } }, "outputSchema": null });
        let offer = offered(&strange).unwrap();
        assert_eq!(offer.said, accepts(&strange));
        assert_eq!((offer.chain, offer.units, offer.timeout_s), (ChainId(8453), U256::from(10_000), 60));
        assert_eq!((offer.name.as_deref(), offer.version), (Some("USDC"), None));
        assert!(offered(&json!({ "extra": null })).is_ok(), "the payer knows its tokens");
    }

    #[test]
    fn what_does_not_fit_is_called_by_its_name() {
        let scheme = |more| matches!(offered(&more), Err(Unfit::Scheme(_)));
        assert!(scheme(json!({ "scheme": "upto", "amount": 7 })) && scheme(json!({ "scheme": null })));
        assert!(matches!(offered(&json!({ "network": "solana:5eykt" })), Err(Unfit::Network(_))));
        let permit2 = json!({ "extra": { "assetTransferMethod": "permit2" } });
        assert!(matches!(offered(&permit2), Err(Unfit::Method(_))));
        let unreadable = [
            json!({ "amount": "-1" }),
            json!({ "amount": "0x10" }),
            json!({ "amount": "1e6" }),
            json!({ "amount": "" }),
            json!({ "amount": "9".repeat(78) }),
            json!({ "amount": 10_000 }),
            json!({ "payTo": "0x0000000000000000000000000000000000000000" }),
            json!({ "payTo": "everybody" }),
            json!({ "asset": "USDC" }),
            json!({ "maxTimeoutSeconds": 0 }),
            json!({ "maxTimeoutSeconds": -5 }),
        ];
        for more in unreadable {
            assert!(matches!(offered(&more), Err(Unfit::Unreadable(_))), "{more}");
        }
    }

    #[test]
    fn the_body_serves_where_there_is_no_header() {
        let required = json!({ "x402Version": 2, "error": "not yet", "accepts": [accepts(&json!({}))] });
        for body in [required.clone(), json!({ "error": { "code": "payment_required" }, "payment": required })] {
            let demand = Demand::read(None, body.to_string().as_bytes()).unwrap();
            assert_eq!((demand.error.as_deref(), demand.offers.len()), (Some("not yet"), 1));
        }
        for body in ["", "{}", "[1]", "Payment Required", "{\"payment\":7}"] {
            assert!(matches!(Demand::read(None, body.as_bytes()), Err(PayError::NotSaid)), "{body}");
        }
        assert!(matches!(read(&json!({ "x402Version": 1, "accepts": [] })), Err(PayError::Version { got: 1 })));
        assert!(matches!(Demand::read(Some("?"), b"{}"), Err(PayError::Unreadable(_))));
        let many = json!({ "x402Version": 2, "accepts": vec![json!(0); 1_000] });
        assert_eq!(read(&many).unwrap().offers.len(), MAX_OFFERS);
    }
}
