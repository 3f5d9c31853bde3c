//! Addresses on an EVM chain.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::Address;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Fault, FaultCode};

/// An address: a person's or a contract's. As text it has the mixed case of EIP-55, which tells most typing errors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(pub Address);

impl Account {
    /// The address that nobody has.
    pub const ZERO: Self = Self(Address::ZERO);

    /// The address with these bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(Address::new(bytes))
    }

    /// Whether it is the address that nobody has.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_checksum(None))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({self})")
    }
}

impl FromStr for Account {
    type Err = Fault;

    /// `0x` and 40 hex digits. Where they have mixed case, it must be that of EIP-55.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let refuse = |why: &str| {
            let shown: String = text.chars().take(50).collect();
            Fault::new(FaultCode::InvalidRequest, format!("{shown:?} is not an account: {why}"))
        };
        let digits = text.strip_prefix("0x").ok_or_else(|| refuse("it should begin with 0x"))?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse("it should have 40 hex digits"))?;
        let account = Self::new(bytes);
        let mixed = digits.bytes().any(|b| b.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
        if mixed && account.to_string() != text {
            return Err(refuse("its capitals do not fit (EIP-55)").hint("a digit is probably mistyped"));
        }
        Ok(account)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.into_array().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(|fault: Fault| serde::de::Error::custom(fault.message))
        } else {
            Ok(Self::new(<[u8; 20]>::deserialize(deserializer)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From EIP-55.
    const KNOWN: [&str; 4] = [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn capitals_are_checked() {
        for text in KNOWN {
            let account: Account = text.parse().unwrap();
            assert_eq!(account.to_string(), text);
            assert_eq!(text.to_lowercase().parse::<Account>().unwrap(), account);
            let json = serde_json::to_string(&account).unwrap();
            assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
            let wire = postcard::to_allocvec(&account).unwrap();
            assert_eq!((wire.len(), postcard::from_bytes::<Account>(&wire).unwrap()), (20, account));
        }
        for bad in ["", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe"] {
            assert!(bad.parse::<Account>().is_err(), "{bad}");
        }
        assert!(KNOWN[0].replace("5aA", "5Aa").parse::<Account>().is_err());
        assert!(KNOWN[0].replace("Aed", "Ae\u{e9}").parse::<Account>().is_err());
    }
}
