//! Quotes: what a session costs, for whom it is made, and that a voucher answers one.
//!
//! Nothing is remembered of a quote. `payTo` is the account of a session with the quoted terms, and the salt in these
//! terms is a MAC of everything that was quoted, the resource included: a voucher made out to that account answers this
//! quote and no other.

use alloy_primitives::B256;
use computepool_core::ports::{Asked, Chain, CoalitionId, CoalitionOffer, SessionTerms};
use computepool_core::{Account, Amount, Asset, ModelId};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::voucher;
use crate::x402::{Bound, Extra, PaymentRequired, Reason, Requirements, Resource, VERSION};

const DOMAIN: &[u8] = b"computepool/quote/1\n";
const SCHEME: &str = "exact";
const TRANSFER_METHOD: &str = "eip3009";

/// What a model's sessions cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// Which model.
    pub model: ModelId,
    /// Who serves it and is paid.
    pub coalition: CoalitionId,
    /// What a session is opened with, in USDC.
    pub amount: Amount,
    /// Seconds that a session may last.
    pub lifetime_s: u32,
}

/// The key of the MACs. Quotes outlive a restart if the key does.
pub struct QuoteKey([u8; 32]);

impl QuoteKey {
    /// Takes 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn salt(&self, asked: &Asked, terms: &SessionTerms, nonce: &[u8; 16]) -> B256 {
        let mut salt = [0; 32];
        // HMAC takes keys of any length.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(DOMAIN);
            for text in [asked.model.as_str(), &asked.resource] {
                mac.update(&(text.len() as u64).to_be_bytes());
                mac.update(text.as_bytes());
            }
            mac.update(terms.coalition.0.as_slice());
            mac.update(&terms.amount.units.to_be_bytes::<32>());
            mac.update(&terms.lifetime_s.to_be_bytes());
            mac.update(&terms.expires_s.to_be_bytes());
            mac.update(terms.payer.0.as_slice());
            mac.update(nonce);
            salt.copy_from_slice(&mac.finalize().into_bytes());
        }
        B256::from(salt)
    }
}

impl std::fmt::Debug for QuoteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QuoteKey(…)")
    }
}

/// How long quotes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Seconds that a client has to make its voucher hold.
    pub voucher_s: u64,
    /// Seconds more in which its session may be opened; clocks may differ by that much, too.
    pub grace_s: u64,
}

impl Default for Validity {
    fn default() -> Self {
        Self { voucher_s: 300, grace_s: 120 }
    }
}

/// What makes a quote unlike the one before.
pub(crate) struct Fresh<'a> {
    pub(crate) validity: Validity,
    pub(crate) now_s: u64,
    pub(crate) nonce: [u8; 16],
    /// Why an earlier payment does not do.
    pub(crate) error: Option<&'a str>,
}

/// Makes a quote.
pub(crate) fn make(
    key: &QuoteKey,
    chain: &dyn Chain,
    asked: &Asked,
    tariff: &Tariff,
    offer: &CoalitionOffer,
    fresh: Fresh<'_>,
) -> PaymentRequired {
    let Fresh { validity, now_s, nonce, error } = fresh;
    let mut terms = SessionTerms {
        coalition: tariff.coalition,
        amount: tariff.amount,
        lifetime_s: tariff.lifetime_s,
        expires_s: now_s.saturating_add(validity.voucher_s).saturating_add(validity.grace_s),
        payer: asked.payer.unwrap_or(Account::ZERO),
        salt: B256::ZERO,
    };
    terms.salt = key.salt(asked, &terms, &nonce);
    let token = chain.token();
    let requirements = Requirements {
        scheme: SCHEME.into(),
        network: chain.id().caip2(),
        amount: terms.amount.units.to_string(),
        asset: token.contract.to_string(),
        pay_to: chain.session_account(&terms).to_string(),
        max_timeout_seconds: validity.voucher_s,
        extra: Extra {
            name: token.name,
            version: token.version,
            asset_transfer_method: Some(TRANSFER_METHOD.into()),
            computepool: Bound {
                payer: asked.payer.map(|payer| payer.to_string()),
                coalition: prefixed(terms.coalition.0),
                lifetime: terms.lifetime_s,
                expires: terms.expires_s,
                salt: prefixed(terms.salt),
                nonce: hex::encode(nonce),
                rate: offer.rate.units.to_string(),
            },
        },
    };
    PaymentRequired {
        x402_version: VERSION,
        error: error.map(str::to_owned),
        resource: Resource {
            url: asked.resource.clone(),
            description: Some(format!(
                "A session with {}: {} at most, {} a second while tokens come; the rest goes back",
                asked.model, terms.amount, offer.rate
            )),
            mime_type: Some("application/json".into()),
        },
        accepts: vec![requirements],
    }
}

/// The terms that were quoted, if what a client accepted is a quote of ours for what it asks.
pub(crate) fn check(
    key: &QuoteKey,
    chain: &dyn Chain,
    asked: &Asked,
    accepted: &Requirements,
) -> Result<SessionTerms, Reason> {
    let token = chain.token();
    if accepted.scheme != SCHEME
        || accepted.extra.asset_transfer_method.as_deref().is_some_and(|method| method != TRANSFER_METHOD)
    {
        return Err(Reason::Scheme);
    }
    if accepted.network != chain.id().caip2() {
        return Err(Reason::Network);
    }
    if accepted.asset.parse() != Ok(token.contract) {
        return Err(Reason::Asset);
    }
    if accepted.extra.name != token.name || accepted.extra.version != token.version {
        return Err(Reason::Requirements);
    }
    let bound = &accepted.extra.computepool;
    let terms = bound.terms(voucher::units(&accepted.amount)?)?;
    let mut nonce = [0; 16];
    hex::decode_to_slice(&bound.nonce, &mut nonce).map_err(|_| Reason::Payload)?;
    let salt = key.salt(asked, &terms, &nonce);
    if !bool::from(salt.as_slice().ct_eq(terms.salt.as_slice())) {
        return Err(Reason::Requirements);
    }
    if accepted.pay_to.parse() != Ok(chain.session_account(&terms)) {
        return Err(Reason::Recipient);
    }
    Ok(terms)
}

/// Milliseconds of service that an amount pays beside what has to stay in the account.
pub(crate) fn budget_ms(amount: Amount, offer: &CoalitionOffer) -> u64 {
    let Ok(spendable) = amount.convert(Asset::Usdcx).and_then(|wei| wei.less(offer.reserve)) else { return 0 };
    // The contract counts whole seconds, begun ones as well.
    let seconds = spendable.units.checked_div(offer.rate.units).unwrap_or_default();
    u64::try_from(seconds).unwrap_or(u64::MAX).saturating_mul(1000)
}

fn prefixed(word: B256) -> String {
    format!("0x{}", hex::encode(word))
}
