//! What an account paid for sessions, what of it is still there, and how it is fetched without whoever sold them.

use computepool_chain::{SessionReader, refund};
use computepool_core::ports::{SessionOnChain, SessionPhase};
use computepool_core::{Account, Asset, Fault};

use super::{Accounts, Step};
use crate::paying::{KeptPayment, PaymentBook};

/// What a session says that was stopped less than five minutes ago.
const TOO_EARLY: &str = "StillSettling";

/// A session that was paid for.
#[derive(Clone, Debug)]
pub struct PaidSession {
    /// The payment.
    pub payment: KeptPayment,
    /// How it stands.
    pub standing: Standing,
}

/// How a session that was paid for stands, on the chain alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// No session was opened, and nothing lies there: the voucher was not executed, or its money came back.
    Nothing,
    /// The money is there, and no session was opened with it.
    Unopened,
    /// A session is open, and what of it is left can be had.
    Open(SessionOnChain),
    /// It was stopped, and waits for some minutes for its meter to say what was served.
    Stopped(SessionOnChain),
    /// It is over; what was held back lies there yet, if anything does.
    Closed(SessionOnChain, bool),
}

impl Accounts {
    /// The sessions that `account` has paid for on this chain, by its book.
    pub async fn paid_sessions(&self, account: Account, book: &PaymentBook) -> Result<Vec<PaidSession>, Fault> {
        let reader = SessionReader::new(&self.card.network(), self.card.rpc()?);
        let mut sessions = Vec::new();
        for payment in book.read()? {
            // Of two payments to one account, both are there.
            let known = sessions.iter().any(|it: &PaidSession| it.payment.to == payment.to);
            // What was paid to others is gone.
            let ours = self.card.book.session_account(&payment.terms) == payment.to;
            if known || !ours || payment.chain != self.chain() || payment.from != account {
                continue;
            }
            let view = reader.view(payment.to).await?;
            let standing = match view.newest {
                None => {
                    let there = self.balances(payment.to).await?.of(Asset::Usdc);
                    if there.is_zero() { Standing::Nothing } else { Standing::Unopened }
                }
                Some(session) => match session.phase {
                    SessionPhase::Closed => {
                        let there = self.balances(payment.to).await?;
                        let held = !there.usdc.is_zero() || !there.usdcx.is_zero();
                        // One whose money was taken back was never opened.
                        match session.opened_s == 0 && !held {
                            true => Standing::Nothing,
                            false => Standing::Closed(session, held),
                        }
                    }
                    SessionPhase::Ending => Standing::Stopped(session),
                    _ => Standing::Open(session),
                },
            };
            sessions.push(PaidSession { payment, standing });
        }
        Ok(sessions)
    }

    /// The next step towards getting back what is left of a session, tried out; none where nothing is left, or nothing can
    /// be done yet.
    pub async fn fetch(&self, paid: &PaidSession) -> Result<Option<Step>, Fault> {
        let (account, amount) = (paid.payment.to, paid.payment.amount);
        let (what, intent) = match &paid.standing {
            Standing::Unopened => {
                let (terms, voucher) = (&paid.payment.terms, &paid.payment.voucher);
                (format!("take back {amount} from {account}"), refund::reclaim(&self.card.book, terms, voucher))
            }
            Standing::Open(_) => (format!("stop the session {account}"), refund::end(account)),
            Standing::Stopped(_) => (format!("end the session {account}, whose rest comes back"), refund::end(account)),
            Standing::Closed(_, true) => (format!("fetch what is left at {account}"), refund::sweep(account)),
            Standing::Nothing | Standing::Closed(_, false) => return Ok(None),
        };
        match self.step(paid.payment.from, what, intent).await {
            Err(fault) if fault.message.contains(TOO_EARLY) => Ok(None),
            step => step.map(Some),
        }
    }
}
