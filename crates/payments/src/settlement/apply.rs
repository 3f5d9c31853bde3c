//! How an event changes what is known of sessions, and what follows.

use computepool_core::ports::{Delivery, LedgerEntry};
use computepool_core::{Account, Fault};

use super::event::{Effect, Event, EventKind, News};
use super::session::{Session, Step};
use super::{Policy, State};
use crate::ledger::{EndReason, Fact, Granted};

/// Why a voucher is not taken after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// The account has a session already.
    #[error("the quote was paid before")]
    QuoteUsed,
    /// The authorization pays for another session.
    #[error("the voucher was presented before")]
    VoucherUsed,
    /// There are too many sessions.
    #[error("there are too many paid sessions at once")]
    Full,
    /// This payer has too many.
    #[error("this payer has too many sessions at once")]
    PayerFull,
}

impl State {
    /// Whether a voucher may be taken now.
    pub fn check(&self, granted: &Granted) -> Result<(), AuthorizeError> {
        if self.sessions.contains_key(&granted.account) {
            return Err(AuthorizeError::QuoteUsed);
        }
        let key = |granted: &Granted| (granted.voucher.authorization.from, granted.voucher.authorization.nonce);
        if self.sessions.values().any(|session| key(&session.granted) == key(granted)) {
            return Err(AuthorizeError::VoucherUsed);
        }
        let open = || self.sessions.values().filter(|session| !session.concluded());
        if open().count() >= self.policy.sessions {
            return Err(AuthorizeError::Full);
        }
        let payer = granted.voucher.authorization.from;
        if open().filter(|session| session.payer() == payer).count() >= self.policy.sessions_by_payer {
            return Err(AuthorizeError::PayerFull);
        }
        Ok(())
    }

    /// Whether a session may be served before its voucher is in a block.
    pub fn may_trust(&self, account: &Account) -> bool {
        let Some(session) = self.sessions.get(account) else { return false };
        // The session itself counts in both sums.
        self.exposed(Some(session.payer())) <= self.policy.exposed_by_payer
            && self.exposed(None) <= self.policy.exposed_by_all
    }

    /// Takes back an authorization that could not be written down.
    pub fn forget(&mut self, account: &Account) {
        self.sessions.remove(account);
    }
}

/// Takes one event in and says what to do about it, in order.
///
/// The same state and event always give the same effects. A voucher that [`State::check`] refuses changes nothing.
pub fn apply(state: &mut State, event: Event) -> Vec<Effect> {
    state.now_ms = state.now_ms.max(event.at_ms);
    let mut turn = Turn { policy: &state.policy, now_ms: state.now_ms, effects: Vec::new(), entries: Vec::new() };
    let about = match &event.kind {
        EventKind::Authorize(granted) => {
            if state.check(granted).is_err() {
                return Vec::new();
            }
            state.sessions.insert(granted.account, Session::new((**granted).clone()));
            granted.account
        }
        EventKind::Tick => {
            let policy = state.policy;
            let mut effects = Vec::new();
            for session in state.sessions.values_mut().filter(|session| !session.concluded()) {
                let mut turn = Turn { policy: &policy, now_ms: state.now_ms, effects: Vec::new(), entries: Vec::new() };
                turn.check_time(session);
                turn.advance(session);
                effects.extend(turn.finish());
            }
            let now_s = state.now_ms / 1000;
            // While a voucher could be presented again, its session is remembered.
            state.sessions.retain(|_, session| !session.concluded() || now_s <= session.granted.terms.expires_s);
            return effects;
        }
        EventKind::Metered { account, .. }
        | EventKind::End { account, .. }
        | EventKind::Answered { account, .. }
        | EventKind::Seen { account, .. } => *account,
    };
    let policy = state.policy;
    turn.policy = &policy;
    let Some(session) = state.sessions.get_mut(&about) else { return Vec::new() };
    if session.concluded() {
        return Vec::new();
    }
    match event.kind {
        EventKind::Authorize(granted) => turn.write(session, &Fact::Authorized(granted)),
        EventKind::Metered { served_ms, flowing, .. } => turn.metered(session, served_ms, flowing),
        EventKind::End { why, .. } => turn.end(session, why),
        EventKind::Answered { step, delivery, .. } => turn.answered(session, step, *delivery),
        EventKind::Seen { look, .. } => {
            session.looking = false;
            match look {
                Ok(look) => turn.saw(session, &look),
                Err(_) => turn.failed(session),
            }
        }
        EventKind::Tick => {}
    }
    turn.advance(session);
    turn.finish()
}

/// One session at one moment.
pub(super) struct Turn<'a> {
    pub(super) policy: &'a Policy,
    pub(super) now_ms: u64,
    effects: Vec<Effect>,
    entries: Vec<LedgerEntry>,
}

impl Turn<'_> {
    pub(super) fn write(&mut self, session: &mut Session, fact: &Fact) {
        self.entries.push(fact.entry(session.granted.account, session.entries, self.now_ms));
        session.entries += 1;
    }

    pub(super) fn tell(&mut self, session: &Session, news: News) {
        self.effects.push(Effect::Tell(session.granted.account, news));
    }

    /// What is written comes first.
    fn finish(self) -> Vec<Effect> {
        let mut effects = self.effects;
        if !self.entries.is_empty() {
            effects.insert(0, Effect::Write(self.entries));
        }
        effects
    }

    pub(super) fn end(&mut self, session: &mut Session, why: EndReason) {
        if session.end.is_none() {
            session.end = Some(why);
            self.write(session, &Fact::Ended { why });
        }
    }

    pub(super) fn halt(&mut self, session: &mut Session, fault: Fault) {
        if session.halted.is_none() {
            session.halted = Some(fault.clone());
            self.tell(session, News::Halted(fault));
            self.end(session, EndReason::Unpaid);
        }
    }

    /// A try came to nothing: the next one waits longer, up to a limit.
    pub(super) fn failed(&mut self, session: &mut Session) {
        let wait = self.policy.look_ms.saturating_mul(1 << session.failures.min(16)).min(self.policy.most_ms);
        session.failures = session.failures.saturating_add(1);
        session.not_before_ms = self.now_ms + wait;
        session.look_at_ms = self.now_ms + wait;
    }

    fn metered(&mut self, session: &mut Session, served_ms: u64, flowing: bool) {
        let stopped = session.flowing && !flowing;
        session.served_ms = session.served_ms.max(served_ms);
        session.flowing = flowing;
        if flowing {
            session.active_ms = self.now_ms;
        }
        let begun_ms = session.served_ms.saturating_add(self.policy.lead_ms).div_ceil(1000).saturating_mul(1000);
        if stopped {
            self.record(session, session.served_ms);
        } else if session.served_ms > 0 && begun_ms > session.recorded_ms {
            self.record(session, begun_ms);
        }
    }

    fn record(&mut self, session: &mut Session, served_ms: u64) {
        if served_ms != session.recorded_ms {
            session.recorded_ms = served_ms;
            self.write(session, &Fact::Metered { served_ms });
        }
    }

    fn answered(&mut self, session: &mut Session, number: u32, delivery: Delivery) {
        // An answer to a step that is over says nothing new.
        let Some(step) = session.step.as_mut().filter(|step| step.number == number) else { return };
        match &delivery {
            Delivery::Landed { block, transaction } => {
                let (block, transaction) = (block.number, *transaction);
                session.step = None;
                session.failures = 0;
                session.seen.from_block = session.seen.from_block.max(block);
                session.note(transaction);
            }
            Delivery::Refused(_) | Delivery::NotSent(_) => {
                session.step = None;
                self.failed(session);
            }
            Delivery::Unknown { transaction, .. } => {
                step.unknown = true;
                if let Some(transaction) = *transaction {
                    session.note(transaction);
                }
                self.failed(session);
            }
        }
        self.write(session, &Fact::Answered { step: number, delivery });
        // Whatever came of it, the chain has the last word.
        session.seen.ever = false;
        if session.failures == 0 {
            session.look_at_ms = self.now_ms;
        }
    }

    /// What time alone brings about.
    fn check_time(&mut self, session: &mut Session) {
        if session.end.is_none() {
            let ends = session.seen.newest.map(|on| on.opened_s + u64::from(session.granted.terms.lifetime_s));
            let deadline = session.granted.offer.deadline_s;
            if ends.is_some_and(|ends| session.seen.time_s.max(self.now_ms / 1000) >= ends.min(deadline)) {
                self.end(session, EndReason::Time);
            } else if !session.flowing && self.now_ms >= session.active_ms + self.policy.idle_ms {
                self.end(session, EndReason::Idle);
            }
        }
        let waited = self.now_ms.saturating_sub(session.trusted_ms);
        if !session.is_open() && session.halted.is_none() && waited >= self.policy.optimistic_ms {
            let fault = session.unpaid("it was in no block in time");
            self.halt(session, fault);
        }
    }

    /// Does what is next.
    fn advance(&mut self, session: &mut Session) {
        if session.concluded() || session.step.is_some_and(|step| !step.unknown) {
            return;
        }
        let fresh = session.entries <= 1 && session.steps == 0;
        let known = (session.seen.ever || fresh) && session.step.is_none();
        if known && let Some(word) = session.wanted() {
            if self.now_ms < session.not_before_ms {
                return self.look_if_due(session);
            }
            if session.served_ms > session.recorded_ms {
                self.record(session, session.served_ms);
            }
            session.steps += 1;
            let number = session.steps;
            session.step = Some(Step { number, word, unknown: false });
            self.write(session, &Fact::Planned { step: number, word });
            let account = session.granted.account;
            self.effects.push(Effect::Submit {
                account,
                step: number,
                id: Session::step_id(account, number),
                intent: Box::new(word.intent(&session.granted)),
            });
            return;
        }
        self.look_if_due(session);
    }

    fn look_if_due(&mut self, session: &mut Session) {
        if !session.looking && self.now_ms >= session.look_at_ms {
            session.looking = true;
            let voucher = session.seen.newest.is_none();
            self.effects.push(Effect::Look { account: session.granted.account, voucher });
        }
    }
}
