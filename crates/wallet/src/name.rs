//! What a wallet is called on this machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name of 1 to 32 small letters, digits and dashes, beginning with a letter: it is a file name everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WalletName(String);

/// The text is no name for a wallet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a wallet's name has 1 to 32 small letters, digits and dashes and begins with a letter; `{0}` does not")]
pub struct BadName(String);

impl WalletName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WalletName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = (1..=32).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !reserved(text);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadName(text.chars().take(40).collect())) }
    }
}

/// Devices that Windows finds in every folder.
fn reserved(text: &str) -> bool {
    let port = |stem: &str| text.strip_prefix(stem).is_some_and(|rest| rest.len() == 1 && rest != "0");
    matches!(text, "con" | "prn" | "aux" | "nul") || port("com") || port("lpt")
}

impl TryFrom<String> for WalletName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<WalletName> for String {
    fn from(name: WalletName) -> Self {
        name.0
    }
}

impl fmt::Display for WalletName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_file_names_everywhere() {
        for good in ["main", "keeper-2", "a", &"a".repeat(32), "com", "com0", "console"] {
            assert!(good.parse::<WalletName>().is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in ["", "Main", "2nd", "-a", "a b", "a/b", "..", "a.json", "über", "con", "nul", "com1", "lpt9", &long]
        {
            assert!(bad.parse::<WalletName>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<WalletName>("\"../up\"").is_err());
    }
}
