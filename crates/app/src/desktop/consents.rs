//! What the owner agrees to, in words: each card says what runs, what leaves the machine, and how it ends.

use std::path::Path;

use computepool_core::ports::{Clock as _, SystemClock};
use computepool_core::{ContentHash, Fault, FaultCode};
use computepool_wallet::{Consent, ConsentError, Consents};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ts_rs::TS;

/// Something that is done only with the owner's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// Strangers' questions run on this machine.
    Share,
    /// The machine can be found and reached from outside.
    Reach,
    /// Questions leave this machine.
    Ask,
    /// The wallet pays for answers.
    Pay,
}

impl Scope {
    pub(super) const ALL: [Self; 4] = [Self::Share, Self::Reach, Self::Ask, Self::Pay];

    fn subject(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Reach => "reach",
            Self::Ask => "ask",
            Self::Pay => "pay",
        }
    }

    /// What is agreed to. A changed text is another version of it, and has to be agreed to anew.
    pub(super) fn card(self) -> Card {
        let (title, runs, leaves, ends) = match self {
            Self::Share => (
                "Share this computer",
                "An engine process computes some layers of a language model for people you do not know. It holds no key and \
                 opens no connection of its own.",
                "Numbers that stand for other people's text pass through this computer. Your files, your screen and your \
                 keyboard do not.",
                "When you come back, it stops within two seconds. Earn off ends it altogether.",
            ),
            Self::Reach => (
                "Be reachable from outside",
                "This computer keeps a connection to a relay, asks your router to map a port, and answers peers.",
                "Peers and relays see your IP address, and which layers you serve.",
                "Off keeps the application on this computer and its local network.",
            ),
            Self::Ask => (
                "Ask the pool",
                "Questions in the playground are answered by other people's computers.",
                "Your question and the answer leave this computer. The first and the last computer of a route can read \
                 them; those between see numbers from which text can be reconstructed with effort.",
                "Off answers only from models on this computer.",
            ),
            Self::Pay => (
                "Pay for answers",
                "Your wallet signs one voucher for each session, within the limits that you set.",
                "Your account's address and what it pays are public on the chain.",
                "What a session has not used comes back. Off signs nothing more.",
            ),
        };
        Card { version: "1", title, runs, leaves, ends }
    }
}

/// The text of a consent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Card {
    pub(super) version: &'static str,
    pub(super) title: &'static str,
    pub(super) runs: &'static str,
    pub(super) leaves: &'static str,
    pub(super) ends: &'static str,
}

impl Card {
    fn hash(&self) -> ContentHash {
        let text = [self.version, self.title, self.runs, self.leaves, self.ends].join("\n");
        ContentHash(Sha256::digest(text).into())
    }
}

/// The record of what was agreed to.
pub(super) struct Ledger(Consents);

impl Ledger {
    pub(super) fn within(folder: &Path) -> Result<Self, Fault> {
        Ok(Self(Consents::open(&folder.join("consents.log")).map_err(fault)?))
    }

    /// Whether the text that holds now was agreed to.
    pub(super) fn agreed(&self, scope: Scope) -> Result<bool, Fault> {
        let card = scope.card();
        self.0.holds(scope.subject(), card.version, &card.hash()).map_err(fault)
    }

    pub(super) fn give(&self, scope: Scope) -> Result<(), Fault> {
        let card = scope.card();
        self.0.agree(SystemClock.now_ms(), scope.subject(), card.version, card.hash()).map_err(fault)?;
        Ok(())
    }

    pub(super) fn revoke(&self, scope: Scope) -> Result<(), Fault> {
        self.0.revoke(SystemClock.now_ms(), scope.subject()).map_err(fault)?;
        Ok(())
    }

    /// Everything that was ever said, oldest first.
    pub(super) fn history(&self) -> Result<Vec<(Scope, Consent)>, Fault> {
        let history = self.0.history().map_err(fault)?;
        let scope = |consent: &Consent| Scope::ALL.into_iter().find(|scope| scope.subject() == consent.subject);
        Ok(history.into_iter().filter_map(|consent| Some((scope(&consent)?, consent))).collect())
    }
}

fn fault(error: ConsentError) -> Fault {
    match error {
        ConsentError::NotGiven(_) | ConsentError::BadWord => Fault::new(FaultCode::InvalidRequest, error.to_string()),
        other => Fault::new(FaultCode::Io, format!("the record of consents cannot be used: {other}"))
            .hint("nothing is shared without it; look at the disk and the rights of the data folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_agreed_to_until_it_is_and_taking_it_back_is_written_too() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::within(folder.path()).unwrap();
        assert!(Scope::ALL.into_iter().all(|scope| !ledger.agreed(scope).unwrap()));
        assert_eq!(ledger.revoke(Scope::Share).unwrap_err().code, FaultCode::InvalidRequest);
        ledger.give(Scope::Share).unwrap();
        // Another process, or the same after a restart.
        let ledger = Ledger::within(folder.path()).unwrap();
        assert!(ledger.agreed(Scope::Share).unwrap() && !ledger.agreed(Scope::Pay).unwrap());
        ledger.revoke(Scope::Share).unwrap();
        assert!(!ledger.agreed(Scope::Share).unwrap());
        let history = ledger.history().unwrap();
        let said: Vec<_> = history.iter().map(|(scope, consent)| (*scope, consent.agreed)).collect();
        assert_eq!(said, [(Scope::Share, true), (Scope::Share, false)]);
    }
}
