//! What the chain says of a session, and when that is the last word.

use computepool_core::ports::{SessionOnChain, SessionPhase};

use super::apply::Turn;
use super::event::{Look, News};
use super::session::{Conclusion, Session};
use crate::ledger::{Fact, Settlement};

impl Turn<'_> {
    /// Takes in what the chain says. Nothing is concluded before it is said at final depth.
    pub(super) fn saw(&mut self, session: &mut Session, look: &Look) {
        let view = &look.view;
        let policy = self.policy;
        session.look_at_ms = self.now_ms + policy.calm_ms;
        if view.head.number < session.seen.from_block || view.firm.number > view.head.number {
            // An endpoint that is behind, or goes back.
            self.failed(session);
            return;
        }
        session.seen.time_s = session.seen.time_s.max(view.head.time_s);
        let unknown = session.step.is_some_and(|step| step.unknown);
        if session.is_open() && view.newest.is_none() {
            // Its opening was undone, and is sent again: that takes as long as the first time.
            session.trusted_ms = self.now_ms;
        }
        if view.newest.is_none() && look.voucher.is_none() {
            // Without the voucher nothing follows from there being no session.
            session.seen.ever = false;
            session.seen.newest = None;
            session.look_at_ms = self.now_ms;
            return;
        }
        if let Some(on) = view.newest.or(view.settled)
            && !plausible(session, &on)
        {
            self.foreign(session, view.settled.as_ref());
            return;
        }
        session.seen.ever = true;
        session.seen.newest = view.newest;
        if unknown {
            session.step = None;
        }
        match &view.newest {
            None => self.unopened(session, look),
            Some(on) => {
                if session.halted.is_none() && matches!(on.phase, SessionPhase::Ending | SessionPhase::Closed) {
                    self.halt(session, crate::x402::Reason::Session.fault("it is over on the chain"));
                }
                if session.end.is_none() && matches!(on.phase, SessionPhase::Ending | SessionPhase::Closed) {
                    self.end(session, crate::ledger::EndReason::Stopped);
                }
                if session.halted.is_none() {
                    self.tell(session, News::Opened);
                }
                if on.phase == SessionPhase::Closed || !session.opened {
                    session.look_at_ms = self.now_ms + policy.look_ms.saturating_mul(2);
                }
            }
        }
        let Some(firm) = &view.settled else { return };
        if !session.opened && firm.opened_s != 0 {
            session.opened = true;
            self.write(session, &Fact::Opened { amount: firm.amount, opened_s: firm.opened_s });
        }
        if firm.phase == SessionPhase::Closed {
            self.closed(session, firm);
        }
    }

    /// Closed for good: settled, if it adds up.
    fn closed(&mut self, session: &mut Session, firm: &SessionOnChain) {
        if firm.opened_s == 0 {
            self.reject(session, "it was not opened in time; what had been paid went back");
            return;
        }
        let settlement = Box::new(Settlement {
            paid_in: firm.amount,
            streamed: firm.streamed,
            topped_up: firm.topped_up,
            refund: firm.refund,
            dust: firm.dust,
            lost: firm.lost,
            found: firm.found,
            served_ms: firm.served_ms,
        });
        if settlement.check(session.granted.account).is_err() {
            // Whoever says this is wrong, or lies.
            self.failed(session);
            return;
        }
        self.write(session, &Fact::Settled(settlement.clone()));
        session.conclusion = Some(Conclusion::Settled(settlement));
        self.tell(session, News::Concluded);
    }

    /// There is no session: is there still hope?
    fn unopened(&mut self, session: &mut Session, look: &Look) {
        let Some(voucher) = &look.voucher else { return };
        let (firm, granted) = (&look.view.firm, &session.granted);
        let amount = granted.terms.amount;
        let there = voucher.at_account.units >= amount.units;
        let void = voucher.used && !there;
        session.seen.void_since = match (void, session.seen.void_since) {
            (true, since) => Some(since.unwrap_or(voucher.at.number)),
            (false, _) => None,
        };
        let why = if firm.time_s > granted.terms.expires_s {
            Some("its quote has expired")
        } else if firm.time_s >= granted.voucher.authorization.valid_before && !voucher.used {
            Some("its voucher has expired")
        } else if session.seen.void_since.is_some_and(|since| firm.number >= since) {
            Some("its voucher was cancelled")
        } else {
            None
        };
        session.seen.stranded = !voucher.at_account.is_zero() && voucher.used;
        session.seen.hopeless = why.is_some();
        match (why, session.seen.stranded) {
            (Some(why), false) => self.reject(session, why),
            (Some(why), true) => {
                let fault = session.unpaid(why);
                self.halt(session, fault);
            }
            (None, _) => {
                let refused = voucher.refused.as_ref().map(|refused| refused.why.clone());
                let why = match () {
                    () if void => Some("it was cancelled".to_owned()),
                    () if !voucher.used && voucher.balance.units < amount.units => {
                        Some(format!("its payer has {} of {amount}", voucher.balance))
                    }
                    () => refused,
                };
                if let Some(why) = why {
                    let fault = session.unpaid(&why);
                    self.halt(session, fault);
                    self.failed(session);
                }
                session.look_at_ms = self.now_ms + self.policy.look_ms;
            }
        }
    }

    /// Somebody else's session stands at the account: our voucher cannot open it any more.
    fn foreign(&mut self, session: &mut Session, firm: Option<&SessionOnChain>) {
        let fault = session.unpaid("the quote was used by somebody else");
        self.halt(session, fault);
        match firm {
            Some(on) if on.payer != session.payer() && !on.payer.is_zero() => {
                self.reject(session, "the quote was used by somebody else");
            }
            _ => self.failed(session),
        }
    }

    fn reject(&mut self, session: &mut Session, why: &str) {
        let fault = session.unpaid(why);
        self.halt(session, fault);
        self.write(session, &Fact::Rejected { why: why.to_owned(), served_ms: session.served_ms });
        session.conclusion = Some(Conclusion::Rejected(why.to_owned()));
        self.tell(session, News::Concluded);
    }
}

/// Whether what stands at the account can be this session.
fn plausible(session: &Session, on: &SessionOnChain) -> bool {
    let opened_for = on.opened_s == 0 || on.amount == session.granted.terms.amount;
    on.payer == session.payer() && opened_for
}
