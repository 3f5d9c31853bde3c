//! What a transaction may cost.
//!
//! Fees follow EIP-1559: the base fee may double (it rises by an eighth a block at most, so that is six full blocks)
//! before a transaction has to wait, and the tip is the median of what recent blocks took. Where blocks have no base
//! fee, the chain's gas price is paid. A transaction that does not land is sent again with higher fees, never above the
//! cap.

use alloy::rpc::types::FeeHistory;

use crate::ChainError;
use crate::rpc::Rpc;

/// The most gas one transaction may use (EIP-7825).
pub const TRANSACTION_GAS: u64 = 1 << 24;

/// Gas of a few writes to storage that was empty.
const WRITES: u64 = 50_000;

/// How much to offer for gas. Prices are in wei for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasPolicy {
    /// The most that is ever paid, base fee and tip together.
    pub cap: u128,
    /// The tip where recent blocks say nothing.
    pub tip: u128,
    /// The highest tip that is offered of our own accord.
    pub tip_cap: u128,
}

impl Default for GasPolicy {
    /// Up to 500 gwei, with tips of 1 to 20 gwei.
    fn default() -> Self {
        const GWEI: u128 = 1_000_000_000;
        Self { cap: 500 * GWEI, tip: GWEI, tip_cap: 20 * GWEI }
    }
}

/// What a transaction offers for a unit of gas, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Fees {
    /// EIP-1559.
    Dynamic {
        /// Base fee and tip together at most.
        max: u128,
        /// The tip.
        tip: u128,
    },
    /// A chain without a base fee.
    Legacy {
        /// The price.
        price: u128,
    },
}

impl Fees {
    /// The most a unit of gas can cost.
    pub fn most(self) -> u128 {
        match self {
            Self::Dynamic { max, .. } => max,
            Self::Legacy { price } => price,
        }
    }
}

impl GasPolicy {
    /// Fees for a new transaction, from the history of recent blocks with one percentile of tips.
    pub fn from_history(&self, history: &FeeHistory) -> Result<Option<Fees>, ChainError> {
        let Some(base) = history.base_fee_per_gas.last().copied().filter(|base| *base != 0) else {
            return Ok(None);
        };
        let mut tips: Vec<u128> = history
            .reward
            .iter()
            .flatten()
            .filter_map(|block| block.first())
            .copied()
            .filter(|tip| *tip != 0)
            .collect();
        tips.sort_unstable();
        let tip = tips.get(tips.len() / 2).copied().unwrap_or(self.tip).min(self.tip_cap);
        if base.saturating_add(tip) > self.cap {
            return Err(ChainError::GasPrice { price: base.saturating_add(tip), cap: self.cap });
        }
        let max = base.saturating_mul(2).saturating_add(tip).min(self.cap);
        Ok(Some(Fees::Dynamic { max, tip }))
    }

    /// Fees for a new transaction, as the chain asks for them now.
    pub async fn fees(&self, rpc: &Rpc) -> Result<Fees, ChainError> {
        let history = match rpc.fee_history(10, &[50.0]).await {
            Ok(history) => self.from_history(&history)?,
            // A chain from before EIP-1559 does not know the question.
            Err(ChainError::Refused { .. } | ChainError::Unreadable { .. }) => None,
            Err(error) => return Err(error),
        };
        match history {
            Some(fees) => Ok(fees),
            None => self.from_price(rpc.gas_price().await?),
        }
    }

    /// Fees for a new transaction where blocks have no base fee.
    pub fn from_price(&self, price: u128) -> Result<Fees, ChainError> {
        if price > self.cap {
            return Err(ChainError::GasPrice { price, cap: self.cap });
        }
        Ok(Fees::Legacy { price })
    }

    /// Fees that replace `old`, if the cap allows it: nodes take a replacement only if it offers a tenth more, in every
    /// respect. `fresh` is what a new transaction would offer.
    pub fn replacing(&self, old: Fees, fresh: Fees) -> Option<Fees> {
        let more = |value: u128| value.saturating_add(value / 8).saturating_add(1);
        let fees = match (old, fresh) {
            (Fees::Dynamic { max, tip }, Fees::Dynamic { max: fresh_max, tip: fresh_tip }) => {
                Fees::Dynamic { max: more(max).max(fresh_max), tip: more(tip).max(fresh_tip) }
            }
            (Fees::Dynamic { max, tip }, Fees::Legacy { .. }) => Fees::Dynamic { max: more(max), tip: more(tip) },
            (Fees::Legacy { price }, fresh) => Fees::Legacy { price: more(price).max(fresh.most()) },
        };
        // Fresh fees may lie just below the cap: what is needed for a replacement then still may fit.
        match fees {
            Fees::Dynamic { max, tip } if max > self.cap => {
                let fits = old.most().saturating_add(old.most() / 8) < self.cap;
                fits.then_some(Fees::Dynamic { max: self.cap, tip: tip.min(self.cap) })
            }
            Fees::Legacy { price } if price > self.cap => None,
            fees => Some(fees),
        }
    }
}

/// What to allow for a transaction whose gas was estimated: a quarter more, and what a few writes cost. Streams are
/// settled by the second, so that a later block may have more to write than the one that was estimated on.
///
/// # Errors
/// [`ChainError::GasLimit`] where that is more than a transaction may use.
pub fn limit(what: &str, estimate: u64) -> Result<u64, ChainError> {
    if estimate > TRANSACTION_GAS {
        return Err(ChainError::GasLimit { what: what.to_owned(), needs: estimate, cap: TRANSACTION_GAS });
    }
    Ok((estimate + estimate / 4 + WRITES).min(TRANSACTION_GAS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: GasPolicy = GasPolicy { cap: 1_000, tip: 10, tip_cap: 100 };

    fn history(base: u128, tips: &[u128]) -> FeeHistory {
        FeeHistory {
            base_fee_per_gas: vec![1, base],
            reward: Some(tips.iter().map(|tip| vec![*tip]).collect()),
            ..FeeHistory::default()
        }
    }

    #[test]
    fn the_base_fee_may_double() {
        let fees = POLICY.from_history(&history(200, &[5, 50, 30])).unwrap();
        assert_eq!(fees, Some(Fees::Dynamic { max: 430, tip: 30 }));
    }

    #[test]
    fn absurd_tips_are_not_matched() {
        let fees = POLICY.from_history(&history(200, &[5_000])).unwrap();
        assert_eq!(fees, Some(Fees::Dynamic { max: 500, tip: 100 }));
    }

    #[test]
    fn without_a_base_fee_the_price_is_paid() {
        assert_eq!(POLICY.from_history(&history(0, &[])).unwrap(), None);
        assert_eq!(POLICY.from_price(7).unwrap(), Fees::Legacy { price: 7 });
    }

    #[test]
    fn nothing_is_sent_above_the_cap() {
        assert!(matches!(
            POLICY.from_history(&history(995, &[])),
            Err(ChainError::GasPrice { price: 1_005, cap: 1_000 })
        ));
        assert!(matches!(POLICY.from_price(1_001), Err(ChainError::GasPrice { .. })));
        let near = POLICY.from_history(&history(600, &[])).unwrap().unwrap();
        assert_eq!(near.most(), 1_000);
    }

    #[test]
    fn replacements_offer_a_tenth_more_until_the_cap_ends_them() {
        let mut fees = Fees::Dynamic { max: 500, tip: 10 };
        let mut steps = 0;
        while let Some(next) = POLICY.replacing(fees, Fees::Dynamic { max: 1, tip: 1 }) {
            assert!(next.most() * 10 >= fees.most() * 11, "{next:?} after {fees:?}");
            assert!(next.most() <= POLICY.cap);
            fees = next;
            steps += 1;
        }
        assert!((4..10).contains(&steps), "{steps}");
    }

    #[test]
    fn gas_limits_have_room_and_an_end() {
        assert_eq!(limit("a call", 100_000).unwrap(), 175_000);
        assert_eq!(limit("a call", TRANSACTION_GAS - 1).unwrap(), TRANSACTION_GAS);
        assert!(matches!(limit("a call", TRANSACTION_GAS + 1), Err(ChainError::GasLimit { .. })));
    }
}
