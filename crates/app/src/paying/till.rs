//! What a paying client remembers: the sessions that it may use, and the payment that it does not know the end of.

use std::collections::BTreeMap;
use std::sync::Arc;

use computepool_core::ports::SessionToken;
use computepool_payments::client::Payment;
use computepool_payments::voucher::LEAST_VALIDITY_S;
use tokio::sync::Mutex;

use super::Paid;

/// Servers whose sessions are kept.
const MAX_SESSIONS: usize = 64;
/// Payments without an answer that are kept.
const MAX_UNANSWERED: usize = 64;

/// What a paying client remembers.
#[derive(Default)]
pub(super) struct Till {
    /// By the server that gave them, and for no other.
    sessions: BTreeMap<String, SessionToken>,
    /// Payments that were handed out and not answered, by what they are for.
    unanswered: BTreeMap<String, Payment>,
    /// Where one at a time pays each server.
    counters: BTreeMap<String, Arc<Mutex<()>>>,
    /// The newest payment that was answered.
    pub(super) newest: Option<Paid>,
}

impl Till {
    /// What this server wants to be shown.
    pub(super) fn token(&self, origin: &str) -> Option<SessionToken> {
        self.sessions.get(origin).cloned()
    }

    /// Where this server is paid: by one at a time.
    pub(super) fn counter(&mut self, origin: &str) -> Arc<Mutex<()>> {
        self.counters.retain(|_, counter| Arc::strong_count(counter) > 1);
        self.counters.entry(origin.to_owned()).or_default().clone()
    }

    /// A payment for this that can still be executed: another one could be paid as well.
    pub(super) fn unanswered(&mut self, resource: &str, now_s: u64) -> Option<Payment> {
        self.unanswered.retain(|_, payment| payment.authorization.valid_before >= now_s + LEAST_VALIDITY_S);
        self.unanswered.get(resource).cloned()
    }

    /// A payment leaves the house.
    pub(super) fn hand_out(&mut self, resource: &str, payment: Payment) {
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_first();
        }
        self.unanswered.insert(resource.to_owned(), payment);
    }

    /// It was taken or refused.
    pub(super) fn answered(&mut self, resource: &str) {
        self.unanswered.remove(resource);
    }

    /// It was taken.
    pub(super) fn taken(&mut self, paid: Paid, origin: &str, token: Option<SessionToken>) {
        self.newest = Some(paid);
        if let Some(token) = token {
            if self.sessions.len() == MAX_SESSIONS {
                self.sessions.pop_first();
            }
            self.sessions.insert(origin.to_owned(), token);
        }
    }
}
