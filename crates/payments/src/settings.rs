//! What an orchestrator decides about its payments.

use std::time::Duration;

use computepool_core::{Asset, ModelId};

use crate::quote::{QuoteKey, Tariff, Validity};
use crate::settlement::Policy;

/// What an orchestrator decides about its payments.
#[derive(Debug)]
pub struct Settings {
    /// What costs how much; one for each model.
    pub tariffs: Vec<Tariff>,
    /// Makes quotes ours.
    pub key: QuoteKey,
    /// How long quotes hold.
    pub validity: Validity,
    /// How settling goes about it.
    pub policy: Policy,
    /// Generations of one session that may run at once.
    pub generations: u32,
    /// How long an admission waits for the chain to confirm a good voucher. A request that may be trusted goes on without.
    pub patience: Duration,
    /// How long a request that may not be trusted waits for its session to open.
    pub opening: Duration,
}

impl Settings {
    /// The usual, with these tariffs.
    pub fn new(tariffs: Vec<Tariff>, key: QuoteKey) -> Self {
        Self {
            tariffs,
            key,
            validity: Validity::default(),
            policy: Policy::default(),
            generations: 8,
            patience: Duration::from_millis(40),
            opening: Duration::from_secs(60),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        for (index, tariff) in self.tariffs.iter().enumerate() {
            if self.tariffs[..index].iter().any(|other| other.model == tariff.model) {
                return Err(SettingsError::TwoTariffs { model: tariff.model.clone() });
            }
            tariff.check()?;
        }
        if self.generations == 0 || self.policy.optimistic_ms > 30_000 {
            return Err(SettingsError::BadLimit);
        }
        Ok(())
    }
}

impl Tariff {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let sound = self.amount.asset == Asset::Usdc && !self.amount.is_zero() && self.lifetime_s > 0;
        // The contract keeps the amount in 64 bits.
        if !sound || u64::try_from(self.amount.units).is_err() {
            return Err(SettingsError::BadTariff { model: self.model.clone() });
        }
        Ok(())
    }
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A model has two prices.
    #[error("{model} has two tariffs")]
    TwoTariffs {
        /// Which.
        model: ModelId,
    },
    /// A tariff without an amount in USDC, or without a lifetime.
    #[error("the tariff of {model} needs an amount in USDC and a lifetime")]
    BadTariff {
        /// Whose.
        model: ModelId,
    },
    /// No generations, or more trust than the contract pays for.
    #[error("a session needs at least one generation, and at most 30 s may be served before a voucher is in a block")]
    BadLimit,
}
