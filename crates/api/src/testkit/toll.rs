//! A toll that keeps its sessions in memory and believes whatever a voucher says of itself.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use computepool_core::money::{Account, Amount};
use computepool_core::ports::{Admission, Asked, Bill, BillPhase, Presented, Quote, SessionToken, Toll, TollRefusal};
use computepool_core::{ClientId, Fault, FaultCode, GenerationId, ModelId, SessionId};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde_json::json;

/// What a session of a [`FakeToll`] has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// Generations that began.
    pub began: u32,
    /// Generations that ended.
    pub ended: u32,
    /// Tokens.
    pub tokens: u32,
}

/// Takes the voucher `pay`, once; calls any other malformed or replayed.
#[derive(Default)]
pub struct FakeToll {
    /// Tokens that a session pays for; 0 is no bound.
    budget: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For which model a voucher was taken.
    taken: Option<ModelId>,
    open: bool,
    metered: Metered,
    running: HashSet<GenerationId>,
    asked: Vec<Asked>,
}

impl FakeToll {
    /// One whose session pays for so many tokens.
    pub fn with_budget(budget: u32) -> Self {
        Self { budget, ..Self::default() }
    }

    /// What the session has seen.
    pub fn metered(&self) -> Metered {
        self.state().metered.clone()
    }

    /// What was asked for, by everybody who was quoted or admitted.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// The token of the one session.
    pub fn token() -> String {
        format!("{}{}", SessionToken::PREFIX, "A".repeat(43))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session() -> SessionId {
        SessionId([7; 16])
    }

    fn decide(&self, asked: &Asked, presented: &Presented) -> Result<Admission, TollRefusal> {
        let mut state = self.state();
        state.asked.push(asked.clone());
        let admission = |token, receipt| {
            let client = ClientId::new("payer").map_err(TollRefusal::Fault)?;
            Ok(Admission { session: Self::session(), client, generations: 4, token, receipt })
        };
        let refused = |reason: &str, receipt: Option<&str>| TollRefusal::Pay {
            reason: reason.to_owned(),
            fault: Fault::new(FaultCode::PaymentRefused, format!("this voucher does not do: {reason}")),
            receipt: receipt.map(str::to_owned),
        };
        match presented {
            Presented::Voucher(text) if text == "pay" && state.taken.is_none() => {
                (state.taken, state.open) = (Some(asked.model.clone()), true);
                admission(SessionToken::new(&Self::token()), Some("success".into()))
            }
            Presented::Voucher(text) if text == "pay" => Err(refused("invalid_transaction_state", Some("failure"))),
            Presented::Voucher(_) => {
                Err(TollRefusal::Malformed(Fault::new(FaultCode::PaymentRefused, "this is no voucher")))
            }
            Presented::Token(token) if token.reveal() == Self::token() && state.open => admission(None, None),
            Presented::Token(_) => Err(refused("session_unknown", None)),
        }
    }

    fn standing(&self, phase: BillPhase) -> Option<Bill> {
        Some(Bill {
            session: Self::session(),
            account: Account::ZERO,
            payer: Account::ZERO,
            model: self.state().taken.clone()?,
            phase,
            paid_in: Amount::usdc(50_000),
            rate: Amount::usdcx(300_000_000_000_000),
            served_ms: 0,
            paid_out: Amount::usdcx(0),
            refund: Amount::usdc(0),
            dust: Amount::usdcx(0),
            transactions: Vec::new(),
            reason: "scripted".to_owned(),
        })
    }
}

impl Toll for FakeToll {
    fn quote<'a>(&'a self, asked: &'a Asked, error: Option<&'a str>) -> BoxFuture<'a, Result<Quote, Fault>> {
        self.state().asked.push(asked.clone());
        let body = json!({ "x402Version": 2, "error": error, "resource": { "url": asked.resource }, "accepts": [] });
        ready(Ok(Quote { header: "cXVvdGU=".to_owned(), body })).boxed()
    }

    fn admit<'a>(&'a self, asked: &'a Asked, presented: Presented) -> BoxFuture<'a, Result<Admission, TollRefusal>> {
        ready(self.decide(asked, &presented)).boxed()
    }

    fn began(&self, _: SessionId, generation: GenerationId) -> Result<(), Fault> {
        let mut state = self.state();
        state.metered.began += 1;
        state.running.insert(generation);
        Ok(())
    }

    fn progressed(&self, generation: GenerationId) -> Result<(), Fault> {
        let mut state = self.state();
        if !state.running.contains(&generation) {
            return Err(Fault::new(FaultCode::Internal, "this generation never began, or has ended"));
        }
        if self.budget > 0 && state.metered.tokens == self.budget {
            return Err(Fault::new(FaultCode::BudgetSpent, "the session's money is spent"));
        }
        state.metered.tokens += 1;
        Ok(())
    }

    fn ended(&self, generation: GenerationId) {
        let mut state = self.state();
        state.metered.ended += u32::from(state.running.remove(&generation));
    }

    fn close<'a>(&'a self, token: &'a SessionToken) -> BoxFuture<'a, Result<Bill, Fault>> {
        let bill = self.session_of(token).and_then(|_| self.standing(BillPhase::Closing));
        self.state().open = false;
        let closed = bill.ok_or_else(|| Fault::new(FaultCode::Unauthorized, "no such session"));
        ready(closed).boxed()
    }

    fn session_of(&self, token: &SessionToken) -> Option<SessionId> {
        (token.reveal() == Self::token() && self.state().open).then(Self::session)
    }

    fn bill(&self, session: SessionId) -> Option<Bill> {
        (session == Self::session()).then(|| self.standing(BillPhase::Streaming)).flatten()
    }
}
