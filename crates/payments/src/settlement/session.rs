//! One session on its way to being settled.

use alloy_primitives::{B256, keccak256};
use computepool_core::ports::{Bill, BillPhase, SessionOnChain, SessionPhase, StepId};
use computepool_core::{Account, Amount, Asset, Fault, FaultCode, TxHash};

use crate::ledger::{EndReason, Fact, Granted, Settlement, Word};

/// No more transactions of one session are remembered for showing.
const MOST_TRANSACTIONS: usize = 64;

/// One session: what is wanted of it, and what the chain says of it.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) granted: Granted,
    /// Entries in the ledger.
    pub(super) entries: u32,
    pub(super) served_ms: u64,
    pub(super) recorded_ms: u64,
    pub(super) flowing: bool,
    pub(super) end: Option<EndReason>,
    /// Why it may be served no more.
    pub(super) halted: Option<Fault>,
    pub(super) steps: u32,
    pub(super) step: Option<Step>,
    pub(super) seen: Seen,
    /// That it is open was written down.
    pub(super) opened: bool,
    pub(super) transactions: Vec<TxHash>,
    /// Tries that came to nothing, in a row.
    pub(super) failures: u32,
    pub(super) not_before_ms: u64,
    pub(super) looking: bool,
    pub(super) look_at_ms: u64,
    pub(super) active_ms: u64,
    /// Since when it is served on trust, if the chain does not have it.
    pub(super) trusted_ms: u64,
    pub(super) conclusion: Option<Conclusion>,
}

/// A step under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) number: u32,
    pub(super) word: Word,
    /// What came of it is not known: only the chain can tell.
    pub(super) unknown: bool,
}

/// What is known of the chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Whether it was asked at all in this life.
    pub(super) ever: bool,
    pub(super) newest: Option<SessionOnChain>,
    /// Views of earlier blocks say nothing of what was done since.
    pub(super) from_block: u64,
    pub(super) time_s: u64,
    /// The block in which the authorization was first found used with no money at the account.
    pub(super) void_since: Option<u64>,
    /// Money lies at the account without a session.
    pub(super) stranded: bool,
    /// It cannot be opened any more.
    pub(super) hopeless: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    Settled(Box<Settlement>),
    Rejected(String),
}

impl Session {
    pub(super) fn new(granted: Granted) -> Self {
        Self {
            active_ms: granted.at_ms,
            trusted_ms: granted.at_ms,
            granted,
            entries: 0,
            served_ms: 0,
            recorded_ms: 0,
            flowing: false,
            end: None,
            halted: None,
            steps: 0,
            step: None,
            seen: Seen::default(),
            opened: false,
            transactions: Vec::new(),
            failures: 0,
            not_before_ms: 0,
            looking: false,
            look_at_ms: 0,
            conclusion: None,
        }
    }

    /// What it began with.
    pub fn granted(&self) -> &Granted {
        &self.granted
    }

    /// Who pays.
    pub fn payer(&self) -> Account {
        self.granted.voucher.authorization.from
    }

    /// Whether nothing more happens to it.
    pub fn concluded(&self) -> bool {
        self.conclusion.is_some()
    }

    /// Milliseconds served so far.
    pub fn served_ms(&self) -> u64 {
        self.served_ms
    }

    /// Whether the chain was seen to have it open, or to have had it open.
    pub fn is_open(&self) -> bool {
        self.seen.newest.is_some()
    }

    /// Why it may be served no more, if so.
    pub fn halted(&self) -> Option<&Fault> {
        self.halted.as_ref()
    }

    /// Why requests may not run in it any more, if so.
    pub fn bar(&self) -> Option<Fault> {
        let ended = || {
            let why = self.end?;
            let code = if why == EndReason::Spent { FaultCode::BudgetSpent } else { FaultCode::PaymentRequired };
            Some(Fault::new(code, format!("this session is over: {}", why.words())).hint("pay for a new session"))
        };
        self.halted.clone().or_else(ended)
    }

    /// Whether nothing streams, and nothing is under way that could change that.
    pub fn at_rest(&self) -> bool {
        let streams = self.seen.newest.is_some_and(|on| on.phase == SessionPhase::Streaming);
        self.concluded() || !self.flowing && !streams && self.step.is_none() && self.is_open()
    }

    /// What it may come to owe while its voucher is in no block, in USDCx.
    pub(super) fn exposed(&self, optimistic_ms: u64) -> Amount {
        if self.is_open() || self.concluded() {
            return Amount::zero(Asset::Usdcx);
        }
        let rate = self.granted.offer.rate;
        let whole = self.granted.terms.amount.convert(Asset::Usdcx).unwrap_or(rate);
        let most = rate.times(optimistic_ms.div_ceil(1000)).unwrap_or(whole);
        if most < whole { most } else { whole }
    }

    /// The step that follows from what is wanted and what the chain says.
    pub(super) fn wanted(&self) -> Option<Word> {
        let served_ms = self.served_ms;
        let Some(on) = &self.seen.newest else {
            return match (self.seen.hopeless, self.seen.stranded) {
                (false, _) => Some(Word::Open { start: self.flowing && self.end.is_none() }),
                (true, true) => Some(Word::Reclaim),
                (true, false) => None,
            };
        };
        let ending = self.end.is_some() && !self.flowing;
        match on.phase {
            SessionPhase::Closed => None,
            SessionPhase::Ending => Some(Word::Close { served_ms }),
            _ if ending => Some(Word::Close { served_ms }),
            SessionPhase::Paused if self.flowing && self.end.is_none() => Some(Word::Start),
            SessionPhase::Streaming if !self.flowing => Some(Word::Pause { served_ms }),
            SessionPhase::Paused | SessionPhase::Streaming => None,
        }
    }

    /// A step's name for the chain: the same for the same step of the same session, in every life.
    pub(super) fn step_id(account: Account, number: u32) -> StepId {
        let mut bytes = [0; 24];
        bytes[..20].copy_from_slice(account.0.as_slice());
        bytes[20..].copy_from_slice(&number.to_be_bytes());
        StepId(B256::from(keccak256(bytes)))
    }

    pub(super) fn note(&mut self, transaction: TxHash) {
        if !self.transactions.contains(&transaction) && self.transactions.len() < MOST_TRANSACTIONS {
            self.transactions.push(transaction);
        }
    }

    /// What the ledger says of it, as far as it changes what is known.
    pub(super) fn recall(&mut self, fact: Fact) {
        match fact {
            Fact::Authorized(_) => {}
            Fact::Planned { step, word } => {
                self.steps = self.steps.max(step);
                self.step = Some(Step { number: step, word, unknown: true });
            }
            Fact::Answered { step, delivery } => {
                use computepool_core::ports::Delivery as D;
                if let D::Landed { transaction, .. } | D::Unknown { transaction: Some(transaction), .. } = &delivery {
                    self.note(*transaction);
                }
                if self.step.is_some_and(|pending| pending.number == step) && !matches!(delivery, D::Unknown { .. }) {
                    self.step = None;
                }
            }
            Fact::Metered { served_ms } => {
                self.served_ms = served_ms;
                self.recorded_ms = served_ms;
            }
            Fact::Ended { why } => self.end = Some(why),
            Fact::Opened { .. } => self.opened = true,
            Fact::Settled(settlement) => self.conclusion = Some(Conclusion::Settled(settlement)),
            Fact::Rejected { why, .. } => self.conclusion = Some(Conclusion::Rejected(why)),
        }
    }

    /// How far it is.
    pub fn phase(&self) -> BillPhase {
        match &self.conclusion {
            Some(Conclusion::Settled(_)) => return BillPhase::Settled,
            Some(Conclusion::Rejected(_)) => return BillPhase::Rejected,
            None => {}
        }
        let closed = self.seen.newest.is_some_and(|on| matches!(on.phase, SessionPhase::Closed | SessionPhase::Ending));
        if self.step.is_some_and(|step| step.unknown) {
            BillPhase::Unknown
        } else if closed || self.end.is_some() && self.is_open() {
            BillPhase::Closing
        } else if self.is_open() {
            BillPhase::Streaming
        } else {
            BillPhase::Authorized
        }
    }

    /// How it stands, for people.
    pub fn bill(&self) -> Bill {
        let reason = match (&self.conclusion, self.end, &self.halted) {
            (Some(Conclusion::Settled(_)), Some(why), _) => why.words().to_owned(),
            (Some(Conclusion::Settled(_)), None, _) => "closed".to_owned(),
            (Some(Conclusion::Rejected(why)), ..) => why.clone(),
            (None, _, Some(fault)) => fault.message.clone(),
            (None, Some(why), None) => why.words().to_owned(),
            (None, None, None) if self.is_open() => "open".to_owned(),
            (None, None, None) => "the voucher is being executed".to_owned(),
        };
        let settled = match &self.conclusion {
            Some(Conclusion::Settled(settlement)) => Some(settlement),
            _ => None,
        };
        let zero = Amount::zero(Asset::Usdcx);
        Bill {
            session: self.granted.session,
            account: self.granted.account,
            payer: self.payer(),
            model: self.granted.model.clone(),
            phase: self.phase(),
            paid_in: self.granted.terms.amount,
            rate: self.granted.offer.rate,
            served_ms: self.served_ms,
            paid_out: settled.and_then(|settlement| settlement.paid_out().ok()).unwrap_or(zero),
            refund: settled.map_or(Amount::zero(Asset::Usdc), |settlement| settlement.refund),
            dust: settled.map_or(zero, |settlement| settlement.dust),
            transactions: self.transactions.clone(),
            reason,
        }
    }

    pub(super) fn unpaid(&self, why: &str) -> Fault {
        Fault::new(FaultCode::PaymentRefused, format!("the session's voucher could not be executed: {why}"))
            .hint("ask again with a new voucher")
    }
}
