//! What a home's router does with the addresses of those behind it.

use std::fmt;
use std::str::FromStr;

use crate::lab::outcome::Failure;

/// The kinds of router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nat {
    /// Hosts behind it have public addresses and anybody may knock.
    Open,
    /// One outside port for an inside one, whoever is spoken to; answers only from those who were. A punch works.
    Cone,
    /// Another outside port for every peer. A punch does not work.
    Symmetric,
}

impl Nat {
    /// The router's ruleset. The outside is the device `wan`.
    ///
    /// What comes in unasked is dropped rather than refused, as home routers do: a reset would end a punch before its
    /// time. Linux's masquerade keeps the inside port where it is free, which makes it a port-restricted cone;
    /// `fully-random` takes another for every flow.
    pub(super) fn ruleset(self) -> Option<String> {
        let masquerade = match self {
            Self::Open => return None,
            Self::Cone => "masquerade",
            Self::Symmetric => "masquerade random,fully-random",
        };
        Some(format!(
            "table ip home {{
  chain input {{
    type filter hook input priority 0; policy accept;
    iifname \"wan\" ct state established,related accept
    iifname \"wan\" drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    iifname \"wan\" ct state established,related accept
    iifname \"wan\" drop
  }}
  chain outside {{
    type nat hook postrouting priority 100; policy accept;
    oifname \"wan\" {masquerade}
  }}
}}
"
        ))
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Cone => "cone",
            Self::Symmetric => "symmetric",
        })
    }
}

impl FromStr for Nat {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        [Self::Open, Self::Cone, Self::Symmetric]
            .into_iter()
            .find(|nat| nat.to_string() == text)
            .ok_or_else(|| Failure::new(format!("{text:?} is no kind of NAT: open, cone or symmetric")))
    }
}
