//! What is counted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MoneyError;

/// A kind of money. Which contract issues it on which chain stands in that chain's address book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asset {
    /// USDC: what a voucher is made out in.
    Usdc,
    /// USDC wrapped as a Superfluid token: what streams.
    Usdcx,
    /// The chain's own coin: what gas is paid in.
    Native,
}

impl Asset {
    /// Every asset.
    pub const ALL: [Self; 3] = [Self::Usdc, Self::Usdcx, Self::Native];

    /// How many decimals one whole of it has; a unit is the last of them.
    pub fn decimals(self) -> u8 {
        match self {
            Self::Usdc => 6,
            Self::Usdcx | Self::Native => 18,
        }
    }

    /// What people call it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Usdc => "USDC",
            Self::Usdcx => "USDCx",
            Self::Native => "native",
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.symbol())
    }
}

impl FromStr for Asset {
    type Err = MoneyError;

    /// The symbol, in any case.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let known = Self::ALL.into_iter().find(|asset| asset.symbol().eq_ignore_ascii_case(text));
        known.ok_or_else(|| MoneyError::Unreadable {
            text: text.chars().take(16).collect(),
            asset: "any asset",
            why: "use USDC, USDCx or native",
        })
    }
}
