//! The turnstile: who may pass, and how long each session was served. Asked at every token, so it answers at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use computepool_core::ports::Bill;
use computepool_core::{Account, ContentHash, Fault, FaultCode, GenerationId, SessionId};

use crate::meter::{Meter, Reading};

/// What is needed of every session at every token.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    passes: BTreeMap<SessionId, Pass>,
    /// By the hash of the token: who looks one up has its whole preimage.
    tokens: BTreeMap<ContentHash, SessionId>,
    generations: BTreeMap<GenerationId, SessionId>,
}

/// One session's.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) account: Account,
    pub(crate) token: ContentHash,
    pub(crate) meter: Meter,
    /// Milliseconds of service that are paid for.
    pub(crate) budget_ms: u64,
    /// Generations that may run at once.
    pub(crate) generations: u32,
    /// Why nobody passes any more.
    pub(crate) barred: Option<Fault>,
    pub(crate) bill: Bill,
}

/// What a session's meter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) account: Account,
    pub(crate) reading: Reading,
    pub(crate) spent: bool,
}

impl Turnstile {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What is kept here makes sense between any two statements.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, session: SessionId, pass: Pass) {
        let mut inner = self.inner();
        inner.tokens.insert(pass.token, session);
        inner.passes.insert(session, pass);
    }

    /// Forgets all sessions but these.
    pub(crate) fn keep(&self, kept: &BTreeSet<SessionId>) {
        let mut inner = self.inner();
        inner.passes.retain(|session, _| kept.contains(session));
        inner.tokens.retain(|_, session| kept.contains(session));
        inner.generations.retain(|_, session| kept.contains(session));
    }

    /// Takes in how a session stands.
    pub(crate) fn update(&self, bill: Bill, barred: Option<Fault>) {
        if let Some(pass) = self.inner().passes.get_mut(&bill.session) {
            pass.bill = bill;
            pass.barred = pass.barred.take().or(barred);
        }
    }

    /// The session of a token, if requests may still run in it.
    pub(crate) fn pass(&self, token: &ContentHash) -> Result<SessionId, Fault> {
        let inner = self.inner();
        let known = inner.tokens.get(token).and_then(|session| Some((*session, inner.passes.get(session)?)));
        let Some((session, pass)) = known else { return Err(over("nobody knows this session's token")) };
        match &pass.barred {
            Some(fault) => Err(fault.clone()),
            None if pass.spent() => Err(spent()),
            None => Ok(session),
        }
    }

    pub(crate) fn session_of(&self, token: &ContentHash) -> Option<SessionId> {
        self.inner().tokens.get(token).copied()
    }

    pub(crate) fn account_of(&self, session: SessionId) -> Option<Account> {
        self.inner().passes.get(&session).map(|pass| pass.account)
    }

    pub(crate) fn began(&self, session: SessionId, generation: GenerationId, at_ms: u64) -> Result<(), Fault> {
        let mut inner = self.inner();
        let Some(pass) = inner.passes.get_mut(&session) else { return Err(over("this session is over")) };
        if let Some(fault) = &pass.barred {
            return Err(fault.clone());
        }
        if pass.spent() {
            return Err(spent());
        }
        if pass.meter.running() >= pass.generations as usize {
            let most = pass.generations;
            return Err(Fault::new(FaultCode::RateLimited, format!("a session may run {most} generations at once"))
                .retry_after_ms(1_000));
        }
        pass.meter.began(generation, at_ms);
        inner.generations.insert(generation, session);
        Ok(())
    }

    /// A token was delivered; true where that should be written down at once.
    pub(crate) fn progressed(&self, generation: GenerationId, at_ms: u64) -> Result<bool, Fault> {
        let mut inner = self.inner();
        let Some(session) = inner.generations.get(&generation).copied() else { return Ok(false) };
        let Some(pass) = inner.passes.get_mut(&session) else { return Err(over("this session is over")) };
        if let Some(fault) = &pass.barred {
            return Err(fault.clone());
        }
        let heavy = pass.meter.progressed(generation, at_ms);
        if pass.spent() { Err(spent()) } else { Ok(heavy) }
    }

    pub(crate) fn ended(&self, generation: GenerationId) {
        let mut inner = self.inner();
        let session = inner.generations.remove(&generation);
        if let Some(pass) = session.and_then(|session| inner.passes.get_mut(&session)) {
            let served_ms = pass.meter.ended(generation);
            tracing::debug!(%generation, account = %pass.account, served_ms, "a generation was metered");
        }
    }

    pub(crate) fn bill(&self, session: SessionId, at_ms: u64) -> Option<Bill> {
        let inner = self.inner();
        let pass = inner.passes.get(&session)?;
        let served_ms = pass.served(at_ms).max(pass.bill.served_ms);
        Some(Bill { served_ms, ..pass.bill.clone() })
    }

    /// What all meters show.
    pub(crate) fn readings(&self, at_ms: u64) -> Vec<Shown> {
        let inner = self.inner();
        let shown = inner.passes.values().map(|pass| {
            let mut reading = pass.meter.reading(at_ms);
            reading.served_ms = pass.served(at_ms);
            Shown { account: pass.account, reading, spent: pass.spent() }
        });
        shown.collect()
    }
}

impl Pass {
    /// Nobody pays for more than was paid in.
    fn served(&self, at_ms: u64) -> u64 {
        self.meter.reading(at_ms).served_ms.min(self.budget_ms)
    }

    fn spent(&self) -> bool {
        self.meter.reading(0).served_ms >= self.budget_ms
    }
}

fn over(why: &str) -> Fault {
    Fault::new(FaultCode::PaymentRequired, why).hint("pay for a new session")
}

fn spent() -> Fault {
    Fault::new(FaultCode::BudgetSpent, "the session's money is spent").hint("pay for a new session")
}
