//! Facts: what is written down of a session, in the words of JSON.

use computepool_core::ports::{CoalitionOffer, Delivery, Intent, LedgerEntry, SessionTerms, Voucher};
use computepool_core::{Account, Amount, ContentHash, ModelId, SessionId};
use serde::{Deserialize, Serialize};

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fact {
    /// A voucher was taken. The first of every session.
    Authorized(Box<Granted>),
    /// A step is about to be submitted.
    Planned {
        /// Counted from 1.
        step: u32,
        /// Which.
        word: Word,
    },
    /// What came of a step.
    Answered {
        /// Which.
        step: u32,
        /// What.
        delivery: Delivery,
    },
    /// How long it has been served.
    Metered {
        /// Milliseconds, all in all.
        served_ms: u64,
    },
    /// It is to be closed.
    Ended {
        /// Why.
        why: EndReason,
    },
    /// It is open on the chain, for good.
    Opened {
        /// With how much, in USDC.
        amount: Amount,
        /// Unix seconds of the block.
        opened_s: u64,
    },
    /// It is closed on the chain, for good. The last.
    Settled(Box<Settlement>),
    /// It was never opened and never will be. The last.
    Rejected {
        /// Why, for people.
        why: String,
        /// Milliseconds that were served and are not paid.
        served_ms: u64,
    },
}

/// What a taken voucher grants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Granted {
    /// The session's name here.
    pub session: SessionId,
    /// Its account.
    pub account: Account,
    /// Its terms.
    pub terms: SessionTerms,
    /// What pays for it.
    pub voucher: Voucher,
    /// For which model.
    pub model: ModelId,
    /// What the coalition offered.
    pub offer: CoalitionOffer,
    /// SHA-256 of the token that its payer was given.
    pub token: ContentHash,
    /// Unix milliseconds.
    pub at_ms: u64,
}

/// A step of a session, without what does not change between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Execute the voucher and open.
    Open {
        /// Whether the stream flows from the beginning.
        start: bool,
    },
    /// Let the stream flow.
    Start,
    /// Stop the stream and settle up.
    Pause {
        /// Milliseconds served.
        served_ms: u64,
    },
    /// Close and refund.
    Close {
        /// Milliseconds served.
        served_ms: u64,
    },
    /// Give back what was paid without an opening.
    Reclaim,
}

impl Word {
    /// The step in full.
    pub(crate) fn intent(self, granted: &Granted) -> Intent {
        let session = granted.account;
        match self {
            Self::Open { start } => Intent::Open { terms: granted.terms, voucher: granted.voucher.clone(), start },
            Self::Start => Intent::Start { session },
            Self::Pause { served_ms } => Intent::Pause { session, served_ms },
            Self::Close { served_ms } => Intent::Close { session, served_ms },
            Self::Reclaim => Intent::Reclaim { terms: granted.terms, voucher: granted.voucher.clone() },
        }
    }
}

/// Why a session is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Its payer wishes it.
    Asked,
    /// Nothing was asked of it for long.
    Idle,
    /// Its time is up.
    Time,
    /// Its money is spent.
    Spent,
    /// Its voucher could not be executed when it should have been.
    Unpaid,
    /// Somebody else stopped it on the chain.
    Stopped,
}

impl EndReason {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Asked => "closed at its payer's wish",
            Self::Idle => "closed because nothing was asked of it for long",
            Self::Time => "its time is up",
            Self::Spent => "its money is spent",
            Self::Unpaid => "its voucher could not be executed when it should have been",
            Self::Stopped => "somebody else stopped it on the chain",
        }
    }
}

/// How a session ended, as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// What was paid in, in USDC.
    pub paid_in: Amount,
    /// What streamed, in USDCx.
    pub streamed: Amount,
    /// What was paid on top, in USDCx.
    pub topped_up: Amount,
    /// What went back, in USDC.
    pub refund: Amount,
    /// What went back besides, in USDCx.
    pub dust: Amount,
    /// What a liquidator took, in USDCx.
    pub lost: Amount,
    /// What strangers had sent, in USDCx.
    pub found: Amount,
    /// Milliseconds served, as claimed.
    pub served_ms: u64,
}

/// An entry that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {ordinal} of {subject} cannot be read: {why}")]
pub struct Unread {
    /// Its subject.
    pub subject: String,
    /// Its ordinal.
    pub ordinal: u32,
    /// What is wrong with it.
    pub why: String,
}

impl Fact {
    /// What kind it is, as the ledger's column says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Authorized(_) => "authorized",
            Self::Planned { .. } => "planned",
            Self::Answered { .. } => "answered",
            Self::Metered { .. } => "metered",
            Self::Ended { .. } => "ended",
            Self::Opened { .. } => "opened",
            Self::Settled(_) => "settled",
            Self::Rejected { .. } => "rejected",
        }
    }

    /// The entry for it.
    pub(crate) fn entry(&self, account: Account, ordinal: u32, at_ms: u64) -> LedgerEntry {
        LedgerEntry {
            subject: account.to_string(),
            ordinal,
            at_ms,
            kind: self.kind().to_owned(),
            // Facts have string keys and no failing parts.
            body: serde_json::to_string(self).unwrap_or_default(),
            concludes: matches!(self, Self::Settled(_) | Self::Rejected { .. }),
        }
    }

    /// The fact in an entry, and whose it is.
    pub fn read(entry: &LedgerEntry) -> Result<(Account, Self), Unread> {
        let unread = |why: String| Unread { subject: entry.subject.clone(), ordinal: entry.ordinal, why };
        let account = entry.subject.parse::<Account>().map_err(|fault| unread(fault.message))?;
        let fact = serde_json::from_str(&entry.body).map_err(|error| unread(error.to_string()))?;
        Ok((account, fact))
    }
}
