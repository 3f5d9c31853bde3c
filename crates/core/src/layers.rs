//! Layer ranges: how a model is cut.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Fault, FaultCode};

/// A half-open, non-empty range of transformer blocks, `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct LayerRange {
    start: u32,
    end: u32,
}

impl LayerRange {
    /// `start..end`; refused when empty or backwards.
    pub fn new(start: u32, end: u32) -> Result<Self, Fault> {
        if start < end {
            Ok(Self { start, end })
        } else {
            Err(Fault::new(FaultCode::InvalidRequest, format!("layer range {start}..{end} holds no layer"))
                .hint("a layer range is half open: 0..10 holds layers 0 to 9"))
        }
    }

    /// The first block of the range.
    pub fn start(self) -> u32 {
        self.start
    }

    /// One past the last block of the range.
    pub fn end(self) -> u32 {
        self.end
    }

    /// How many blocks the range holds, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a layer range is never empty")]
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    /// Whether this shard also holds the token embedding.
    pub fn is_entry(self) -> bool {
        self.start == 0
    }

    /// Whether this shard also holds the final norm and the output head of a model with `layer_count` blocks.
    pub fn is_exit(self, layer_count: u32) -> bool {
        self.end == layer_count
    }

    /// The blocks of the range in order.
    pub fn iter(self) -> std::ops::Range<u32> {
        self.start..self.end
    }
}

impl<'de> Deserialize<'de> for LayerRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            start: u32,
            end: u32,
        }
        let raw = Raw::deserialize(deserializer)?;
        Self::new(raw.start, raw.end).map_err(|fault| serde::de::Error::custom(fault.message))
    }
}

impl fmt::Display for LayerRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl FromStr for LayerRange {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let parsed = text.split_once("..").and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        match parsed {
            Some((start, end)) => Self::new(start, end),
            None => Err(Fault::new(FaultCode::InvalidRequest, format!("`{text}` is not a layer range"))
                .hint("write it as START..END, for example 0..10")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints_and_refuses_the_rest() {
        let range: LayerRange = "3..7".parse().unwrap();
        assert_eq!(range.to_string(), "3..7");
        assert_eq!(range.iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        for bad in ["7..3", "3..3", "3", "a..b", "-1..4", ""] {
            assert!(bad.parse::<LayerRange>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<LayerRange>(r#"{"start":4,"end":4}"#).is_err());
    }
}
