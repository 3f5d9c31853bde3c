//! What operators agree to before they are paid together.

use serde::{Deserialize, Serialize};

use crate::money::{Account, Amount, Asset, B256, Bytes, ChainId, MoneyError, U256};
use crate::ports::CoalitionId;
use crate::{ContentHash, LayerRange};

/// Units of a layer in a coalition's pool. Shares are whole numbers of them, so that nothing is ever rounded.
pub const UNITS_PER_LAYER: u64 = 10_000;

/// The terms of a coalition, as its contract hashes them: whoever signs for a place has agreed to all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoalitionTerms {
    /// Which weights are served.
    pub model: ContentHash,
    /// The places, entry first, without gaps from layer 0.
    pub places: Vec<FoundedPlace>,
    /// What one session pays a second for each unit, in USDCx.
    pub unit_rate: Amount,
    /// Hundredths of a percent that go to the protocol.
    pub fee_bps: u16,
    /// Hundredths of a percent that go to the owner of the model.
    pub royalty_bps: u16,
    /// Who that is; the zero account where there is no royalty.
    pub owner: Account,
    /// What every operator puts up, in USDC.
    pub stake: Amount,
    /// Who may decide on breaches; the zero account for nobody.
    pub arbiter: Account,
    /// Whose word on served time counts.
    pub meter: Account,
    /// Seconds from leaving until the stake may be taken out.
    pub exit_delay_s: u32,
    /// Unix seconds until which sessions may run.
    pub deadline_s: u64,
    /// Makes coalitions differ.
    pub salt: B256,
}

/// A place of a coalition that is to be founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundedPlace {
    /// Which blocks.
    pub layers: LayerRange,
    /// Who holds it at first.
    pub holder: Account,
    /// Whether its holder's stake is built from earnings, instead of being paid in.
    pub bond: bool,
}

impl CoalitionTerms {
    /// What one session pays a second to all together, in USDCx.
    pub fn rate(&self) -> Result<Amount, MoneyError> {
        let layers = self.places.last().map_or(0, |place| u64::from(place.layers.end()));
        self.unit_rate.times(layers * UNITS_PER_LAYER)
    }

    /// The unit rate at which a session over so many layers costs `hourly` (USDC) an hour, or the next lower one that is a
    /// whole number of wei.
    pub fn unit_rate(hourly: Amount, layers: u32) -> Result<Amount, MoneyError> {
        let parts = U256::from(u64::from(layers) * UNITS_PER_LAYER * 3600);
        let wei = hourly.convert(Asset::Usdcx)?.units;
        Ok(Amount::new(wei.checked_div(parts).unwrap_or_default(), Asset::Usdcx))
    }
}

/// An orchestrator asks an operator to sign for a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// On which chain.
    pub chain: ChainId,
    /// In which contract the coalition is, or will be.
    pub contract: Account,
    /// Its id. It follows from all the rest; who signs checks that it does.
    pub id: CoalitionId,
    /// What is agreed to.
    pub terms: CoalitionTerms,
    /// For which of the places, counted from the entry.
    pub place: u32,
}

/// An operator's answer to a proposal that it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// Its signature of the membership.
    pub signature: Bytes,
    /// What pays its stake; absent where that is built from earnings.
    pub stake: Option<StakeVoucher>,
}

/// An EIP-3009 authorization that lets the coalitions' contract draw a stake, and nobody else. Its nonce is the digest of the
/// membership that it pays for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakeVoucher {
    /// Unix seconds after which it holds.
    pub valid_after_s: u64,
    /// Unix seconds before which it holds.
    pub valid_before_s: u64,
    /// The signature.
    pub signature: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::OrchestratorMessage;

    fn terms() -> CoalitionTerms {
        let place = |start, end, who| FoundedPlace {
            layers: LayerRange::new(start, end).unwrap(),
            holder: Account::new([who; 20]),
            bond: true,
        };
        CoalitionTerms {
            model: ContentHash([1; 32]),
            places: vec![place(0, 10, 1), place(10, 30, 2)],
            unit_rate: Amount::usdcx(7),
            fee_bps: 0,
            royalty_bps: 0,
            owner: Account::ZERO,
            stake: Amount::usdc(1_000_000),
            arbiter: Account::ZERO,
            meter: Account::new([9; 20]),
            exit_delay_s: 86_400,
            deadline_s: 2_000_000_000,
            salt: B256::repeat_byte(3),
        }
    }

    #[test]
    fn a_price_an_hour_becomes_a_rate_without_a_rest() {
        let unit = CoalitionTerms::unit_rate(Amount::usdc(360_000), 30).unwrap();
        let terms = CoalitionTerms { unit_rate: unit, ..terms() };
        // 0.36 USDC an hour is 10^14 wei a second; 30 layers have 300,000 units.
        assert_eq!(unit, Amount::usdcx(333_333_333));
        assert_eq!(terms.rate().unwrap(), Amount::usdcx(99_999_999_900_000));
        assert!(CoalitionTerms::unit_rate(Amount::usdc(360_000), 0).unwrap().is_zero());
    }

    #[test]
    fn a_proposal_goes_over_a_control_link() {
        let proposal = Proposal {
            chain: ChainId::DEVNET,
            contract: Account::new([4; 20]),
            id: CoalitionId(B256::repeat_byte(5)),
            terms: terms(),
            place: 1,
        };
        let message = OrchestratorMessage::Propose(Box::new(proposal));
        let bytes = postcard::to_stdvec(&message).unwrap();
        assert_eq!(postcard::from_bytes::<OrchestratorMessage>(&bytes).unwrap(), message);
    }
}
