//! Another life: sessions as an earlier one wrote them down.

use computepool_core::ports::LedgerEntry;

use super::{Policy, Session, State};
use crate::ledger::{Fact, Unread};

impl State {
    /// What the entries of unconcluded sessions amount to. Apply a tick to go on from there: the chain is asked about every
    /// session before anything is done.
    pub fn restore(policy: Policy, now_ms: u64, entries: &[LedgerEntry]) -> Result<Self, Unread> {
        let mut state = Self::new(policy);
        state.now_ms = now_ms;
        for entry in entries {
            let (account, fact) = Fact::read(entry)?;
            if let Fact::Authorized(granted) = &fact {
                let mut session = Session::new((**granted).clone());
                // Whoever was served then is not served now.
                session.active_ms = now_ms;
                state.sessions.insert(account, session);
            }
            let Some(session) = state.sessions.get_mut(&account) else {
                let why = "there is no authorization before it".to_owned();
                return Err(Unread { subject: entry.subject.clone(), ordinal: entry.ordinal, why });
            };
            session.entries = session.entries.max(entry.ordinal.saturating_add(1));
            session.recall(fact);
            if session.opened {
                // It was open for good; the chain has to say only whether it still is.
                session.trusted_ms = now_ms;
            }
        }
        Ok(state)
    }
}
