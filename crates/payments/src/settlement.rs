//! Settling as a pure state machine: `Quoted → Authorized → Streaming → Closing → Settled | Rejected`, and `Unknown`
//! whenever it is not known what came of a step.
//!
//! Nobody tells a session what its next step is: it follows from what is wanted of it (is it being served? is it to end?)
//! and from what the chain says of it. After every answer the chain is asked, and whatever was lost, late, done twice,
//! undone by a reorganisation or done by others is just another starting point. The contract makes every step harmless
//! when it comes twice: an account opens once, claims are cumulative, a closed session stays closed. So a voucher is
//! presented again and again, never a second one, until the chain says at final depth that it is open, or that it
//! cannot be any more.
//!
//! Every step is written down before it is submitted ([`Effect::Write`] comes before [`Effect::Submit`]). A step that was
//! planned in an earlier life counts as `Unknown` and is looked up first.

mod apply;
mod conclude;
mod event;
mod restore;
mod session;

use std::collections::BTreeMap;

use computepool_core::{Account, Amount};

pub use apply::{AuthorizeError, apply};
pub use event::{Effect, Event, EventKind, Look, News};
pub use session::Session;

/// How settling goes about it. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a session may be served before its voucher is in a block. The contract pays for 30 s before the opening.
    pub optimistic_ms: u64,
    /// What may be owed by vouchers of one payer that are not in a block, in USDCx.
    pub exposed_by_payer: Amount,
    /// The same, by all payers together.
    pub exposed_by_all: Amount,
    /// Sessions that may be under way at once.
    pub sessions: usize,
    /// The same, of one payer.
    pub sessions_by_payer: usize,
    /// After how long without a generation a session is closed.
    pub idle_ms: u64,
    /// While a session is served, the second that will have begun so much later is written down already: the contract pays
    /// begun seconds, and a crash must not make one forgotten. Longer than two readings of the meters are apart.
    pub lead_ms: u64,
    /// How soon the chain is asked again when something is due.
    pub look_ms: u64,
    /// How often it is asked when nothing is.
    pub calm_ms: u64,
    /// The longest pause between two tries.
    pub most_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            optimistic_ms: 20_000,
            exposed_by_payer: Amount::usdcx(1_000_000_000_000_000_000),
            exposed_by_all: Amount::usdcx(20_000_000_000_000_000_000),
            sessions: 1024,
            sessions_by_payer: 16,
            idle_ms: 120_000,
            lead_ms: 300,
            look_ms: 1_000,
            calm_ms: 20_000,
            most_ms: 30_000,
        }
    }
}

/// Every session that is not concluded, and those that were a moment ago.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) policy: Policy,
    pub(crate) sessions: BTreeMap<Account, Session>,
    pub(crate) now_ms: u64,
}

impl State {
    /// Nothing yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, sessions: BTreeMap::new(), now_ms: 0 }
    }

    /// The session with this account.
    pub fn session(&self, account: &Account) -> Option<&Session> {
        self.sessions.get(account)
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// What a payer's vouchers that are not in a block may come to owe, in USDCx; of all payers, without one.
    pub fn exposed(&self, payer: Option<Account>) -> Amount {
        let open = self.sessions.values().filter(|session| payer.is_none_or(|payer| session.payer() == payer));
        let sums = open.map(|session| session.exposed(self.policy.optimistic_ms));
        Amount::sum(computepool_core::Asset::Usdcx, sums)
            .unwrap_or(Amount::new(alloy_primitives::U256::MAX, computepool_core::Asset::Usdcx))
    }
}
