//! Money and the words of the chain: exact amounts, accounts, transactions. No float ever holds money.

mod account;
mod amount;
mod asset;
mod decimal;
mod ids;

pub use account::Account;
pub use alloy_primitives::{B256, Bytes, Signature, U256};
pub use amount::Amount;
pub use asset::Asset;
pub use ids::{ChainId, TxHash};

use crate::{Fault, FaultCode};

/// Why a sum of money cannot be what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// The result does not fit 256 bits.
    #[error("the sum of {left} and {right} is too large to be an amount")]
    Overflow {
        /// One of them.
        left: String,
        /// The other.
        right: String,
    },
    /// More is taken away than is there.
    #[error("{taken} cannot be taken from {from}")]
    Negative {
        /// What is there.
        from: Amount,
        /// What was to be taken.
        taken: Amount,
    },
    /// Two assets in one sum.
    #[error("{left} and {right} cannot be reckoned together")]
    Mixed {
        /// One asset.
        left: Asset,
        /// The other.
        right: Asset,
    },
    /// The other asset has too few decimals for it.
    #[error("{amount} is not a whole number of units of {to}")]
    Inexact {
        /// What was to be converted.
        amount: Amount,
        /// Into what.
        to: Asset,
    },
    /// One asset is not another form of the other.
    #[error("{from} does not become {to}")]
    Unrelated {
        /// From what.
        from: Asset,
        /// Into what.
        to: Asset,
    },
    /// The text is no amount.
    #[error("{text:?} is not an amount of {asset}: {why}")]
    Unreadable {
        /// Its beginning.
        text: String,
        /// Of what it should be.
        asset: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl From<MoneyError> for Fault {
    fn from(error: MoneyError) -> Self {
        Fault::new(FaultCode::InvalidRequest, error.to_string())
    }
}
