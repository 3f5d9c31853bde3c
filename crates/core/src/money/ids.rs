//! Chains and transactions by name.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{Fault, FaultCode};

/// An EVM chain, by the number of EIP-155.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(pub u64);

impl ChainId {
    /// The chain on one's own machine.
    pub const DEVNET: Self = Self(31_337);
    /// 0G's test network.
    pub const GALILEO: Self = Self(16_602);
    /// 0G's main network.
    pub const ZEROG: Self = Self(16_661);

    /// Its CAIP-2 name, as x402 says it: `eip155:16602`.
    pub fn caip2(self) -> String {
        format!("eip155:{}", self.0)
    }

    /// The chain with this CAIP-2 name.
    pub fn from_caip2(text: &str) -> Result<Self, Fault> {
        let id = text.strip_prefix("eip155:").map(str::parse::<u64>);
        // A number has one name: no sign, no zeros in front.
        match id {
            Some(Ok(id)) if Self(id).caip2() == text => Ok(Self(id)),
            _ => {
                let shown: String = text.chars().take(50).collect();
                Err(Fault::new(FaultCode::InvalidRequest, format!("{shown:?} is not an EVM chain's CAIP-2 name")))
            }
        }
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A transaction, by its hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TxHash(pub B256);

impl fmt::Display for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TxHash({self})")
    }
}

impl FromStr for TxHash {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let mut bytes = [0; 32];
        let read = text.strip_prefix("0x").map(|digits| hex::decode_to_slice(digits, &mut bytes));
        match read {
            Some(Ok(())) => Ok(Self(B256::from(bytes))),
            _ => Err(Fault::new(FaultCode::InvalidRequest, "a transaction's hash is 0x and 64 hex digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_have_one_name() {
        assert_eq!(ChainId::GALILEO.caip2(), "eip155:16602");
        assert_eq!(ChainId::from_caip2("eip155:16602").unwrap(), ChainId::GALILEO);
        for bad in
            ["16602", "eip155:", "eip155:016602", "eip155:+16602", "eip155:-1", "solana:1", "eip155:1 ", "EIP155:1"]
        {
            assert!(ChainId::from_caip2(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_go_both_ways() {
        let hash = TxHash(B256::repeat_byte(0xab));
        assert_eq!(hash.to_string().parse::<TxHash>().unwrap(), hash);
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{hash}\""));
        assert!("0xab".parse::<TxHash>().is_err() && "ab".repeat(32).parse::<TxHash>().is_err());
    }
}
