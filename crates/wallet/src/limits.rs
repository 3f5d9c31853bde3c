//! How much may be spent, on what, in which time.

use computepool_core::ports::Purpose;
use computepool_core::{Amount, Asset, ChainId};
use serde::{Deserialize, Serialize};

const MAX_LIMITS: usize = 256;
const MAX_SIGNATURES: u32 = 10_000;
/// The most characters that a file of limits has.
pub(crate) const MAX_TEXT: usize = 256 * 1024;

/// The owner's limits. What is not named here is not spent: an empty list lets nothing go.
///
/// They guard against mistakes of ours and against those who ask for money; not against somebody who can write the
/// owner's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// One for each purpose, chain and asset.
    pub spending: Vec<Limit>,
    /// How many signatures each purpose gets in an hour, whether they spend or not.
    pub signatures_per_hour: u32,
    /// How long an authorization may hold, from now, in seconds.
    pub longest_authorization_s: u64,
    /// Who may have bare hashes signed, of which nothing is understood. Better nobody.
    #[serde(default)]
    pub bare_digests: Vec<Purpose>,
}

/// What one purpose may spend of one asset on one chain. Gas counts as the native asset, at the most it can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// For what.
    pub purpose: Purpose,
    /// Where.
    pub chain: ChainId,
    /// By one signature.
    pub per_signature: Amount,
    /// In any 60 minutes.
    pub per_hour: Amount,
    /// In any 24 hours.
    pub per_day: Amount,
}

/// Limits that contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// One limit in two assets.
    #[error("the limit for {0} names more than one asset")]
    Mixed(Purpose),
    /// Two limits for the same.
    #[error("there are two limits for {purpose} in {asset} on chain {chain}")]
    Twice {
        /// For what.
        purpose: Purpose,
        /// Where.
        chain: ChainId,
        /// Of what.
        asset: Asset,
    },
    /// More limits than anybody needs, or more signatures than are remembered.
    #[error("at most {limit} {what} are kept, and not {found}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// The most.
        limit: u64,
    },
}

impl Default for Limits {
    /// Nothing may be spent; 600 signatures an hour; authorizations of an hour.
    fn default() -> Self {
        Self { spending: Vec::new(), signatures_per_hour: 600, longest_authorization_s: 3600, bare_digests: Vec::new() }
    }
}

impl Limit {
    /// The same for a signature, an hour and a day.
    pub fn flat(purpose: Purpose, chain: ChainId, amount: Amount) -> Self {
        Self { purpose, chain, per_signature: amount, per_hour: amount, per_day: amount }
    }

    /// Of what.
    pub fn asset(&self) -> Asset {
        self.per_signature.asset
    }

    pub(crate) fn is_for(&self, purpose: Purpose, chain: ChainId, asset: Asset) -> bool {
        (self.purpose, self.chain, self.asset()) == (purpose, chain, asset)
    }
}

impl Limits {
    /// The limit for this, if there is one.
    pub fn of(&self, purpose: Purpose, chain: ChainId, asset: Asset) -> Option<&Limit> {
        self.spending.iter().find(|limit| limit.is_for(purpose, chain, asset))
    }

    /// Puts a limit in the place of the one for the same purpose, chain and asset.
    pub fn set(&mut self, limit: Limit) {
        self.spending.retain(|old| !old.is_for(limit.purpose, limit.chain, limit.asset()));
        self.spending.push(limit);
    }

    /// Whether they can be kept.
    pub fn check(&self) -> Result<(), LimitsError> {
        if self.spending.len() > MAX_LIMITS {
            let (found, limit) = (self.spending.len() as u64, MAX_LIMITS as u64);
            return Err(LimitsError::TooMany { what: "limits", found, limit });
        }
        if self.signatures_per_hour > MAX_SIGNATURES {
            let (found, limit) = (self.signatures_per_hour.into(), MAX_SIGNATURES.into());
            return Err(LimitsError::TooMany { what: "signatures an hour", found, limit });
        }
        for (index, limit) in self.spending.iter().enumerate() {
            let (purpose, chain, asset) = (limit.purpose, limit.chain, limit.asset());
            if limit.per_hour.asset != asset || limit.per_day.asset != asset {
                return Err(LimitsError::Mixed(purpose));
            }
            if self.spending[..index].iter().any(|earlier| earlier.is_for(purpose, chain, asset)) {
                return Err(LimitsError::Twice { purpose, chain, asset });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_as_text_and_contradictions_refused() {
        let mut limits = Limits::default();
        limits.set(Limit::flat(Purpose::Voucher, ChainId::DEVNET, Amount::usdc(5_000_000)));
        limits.set(Limit::flat(Purpose::Voucher, ChainId::DEVNET, Amount::usdc(6_000_000)));
        limits.set(Limit::flat(Purpose::Voucher, ChainId::GALILEO, Amount::usdc(1)));
        assert_eq!(limits.spending.len(), 2);
        limits.check().unwrap();
        let text = serde_json::to_string(&limits).unwrap();
        assert!(text.contains("\"6000000\""), "{text}");
        assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
        assert!(serde_json::from_str::<Limits>(&text.replace("per_day", "per_week")).is_err());

        let mut twice = limits.clone();
        twice.spending.push(limits.spending[0]);
        assert!(matches!(twice.check(), Err(LimitsError::Twice { .. })));
        let mut mixed = limits.clone();
        mixed.spending[0].per_day = Amount::usdcx(1);
        assert_eq!(mixed.check(), Err(LimitsError::Mixed(Purpose::Voucher)));
        limits.signatures_per_hour = MAX_SIGNATURES + 1;
        assert!(matches!(limits.check(), Err(LimitsError::TooMany { .. })));
    }
}
