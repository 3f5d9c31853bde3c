//! Units as decimal text: the only form in which they are written down, so that no reader makes a float of them.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Digits of the largest number of 256 bits.
pub(super) const MAX_DIGITS: usize = 78;

/// A number from its digits: one to [`MAX_DIGITS`] of them, no sign, no zeros in front.
pub(super) fn parse(text: &str) -> Result<U256, &'static str> {
    if text.is_empty() || text.len() > MAX_DIGITS {
        return Err("it should have 1 to 78 digits");
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it should have nothing but digits");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("it should not begin with zeros");
    }
    U256::from_str_radix(text, 10).map_err(|_| "it is larger than 256 bits")
}

/// For `#[serde(with = "decimal")]`.
pub(super) fn serialize<S: Serializer>(units: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(units)
}

/// For `#[serde(with = "decimal")]`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}
