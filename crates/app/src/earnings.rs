//! An operator's own accounts, from the chain alone.
//!
//! What is settled, what is pending and what is an estimate are three things, and never one sum.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use computepool_chain::earnings::Earnings;
use computepool_core::ports::CoalitionId;
use computepool_core::{Account, Amount, Asset, Fault};

pub use computepool_chain::earnings::{Payout, PayoutKind, Record, Seat, SessionEarning};

use crate::chains::ChainCard;

/// What is asked of the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Only these coalitions; all that the operator signed for where none is named.
    pub coalitions: Vec<CoalitionId>,
    /// Only what happened from this block on; everything since the deployment where none is named.
    pub since: Option<u64>,
}

/// What an operator has earned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Who.
    pub operator: Account,
    /// How it stands in its coalitions now.
    pub seats: Vec<Seat>,
    /// What its sessions paid, and what reached it.
    pub record: Record,
}

/// The sums of a coalition, in USDCx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// What came to the operator's account.
    pub settled: Amount,
    /// What waits to be claimed.
    pub pending: Amount,
    /// What an hour would bring if what flows now flowed on.
    pub per_hour: Amount,
}

impl Statement {
    /// Asks the chain.
    pub async fn ask(card: &ChainCard, operator: Account, question: &Question) -> Result<Self, Fault> {
        let earnings = Earnings::new(card.rpc()?, &card.book);
        let mut record = earnings.record(operator, question.since).await?;
        let named: BTreeSet<CoalitionId> = question.coalitions.iter().copied().collect();
        if !named.is_empty() {
            record.sessions.retain(|earning| named.contains(&earning.coalition));
            record.payouts.retain(|payout| named.contains(&payout.coalition));
            record.coalitions = named.into_iter().collect();
        }
        let mut seats = Vec::with_capacity(record.coalitions.len());
        for coalition in &record.coalitions {
            seats.push(earnings.seat(*coalition, operator).await?);
        }
        Ok(Self { operator, seats, record })
    }

    /// The sums of one coalition.
    pub fn sums(&self, seat: &Seat) -> Result<Sums, Fault> {
        // A bond account's books are its events; without one, what is not in the pool is in the account.
        let settled = if seat.bonding {
            let mine = self.record.payouts.iter().filter(|payout| payout.coalition == seat.coalition);
            let paid = mine.filter(|payout| payout.kind == PayoutKind::Paid).map(|payout| payout.amount);
            Amount::sum(Asset::Usdcx, paid)?
        } else {
            seat.received.less(seat.claimable)?
        };
        let pending = seat.claimable.plus(seat.bonded)?;
        Ok(Sums { settled, pending, per_hour: seat.flowing.times(3600)? })
    }

    /// The sums of all coalitions together.
    pub fn total(&self) -> Result<Sums, Fault> {
        let zero = Amount::zero(Asset::Usdcx);
        self.seats.iter().try_fold(Sums { settled: zero, pending: zero, per_hour: zero }, |all, seat| {
            let one = self.sums(seat)?;
            Ok(Sums {
                settled: all.settled.plus(one.settled)?,
                pending: all.pending.plus(one.pending)?,
                per_hour: all.per_hour.plus(one.per_hour)?,
            })
        })
    }

    /// Everything that happened as a table for spreadsheets (RFC 4180): a line for each session and for each payment, oldest
    /// first. `session` lines say what was earned, the others what became of it: their sums are not to be added. No field
    /// can hold a comma, a quote or a formula.
    pub fn csv(&self) -> String {
        let mut rows: Vec<(u64, String)> = Vec::new();
        for earning in &self.record.sessions {
            let (at_s, transaction) = match earning.closed {
                Some((at_s, transaction)) => (at_s, transaction.to_string()),
                None => (earning.opened_s, String::new()),
            };
            let kind = if earning.closed.is_some() { "session" } else { "session_open" };
            let (coalition, session) = (name(earning.coalition), earning.session);
            let (amount, asset) = (earning.amount.to_decimal(), earning.amount.asset);
            rows.push((at_s, format!("{at_s},{kind},{coalition},{session},{transaction},{amount},{asset}")));
        }
        for payout in &self.record.payouts {
            let kind = match payout.kind {
                PayoutKind::Paid => "paid",
                PayoutKind::Collected => "collected",
                PayoutKind::Staked => "staked",
            };
            let (coalition, at_s, transaction) = (name(payout.coalition), payout.at_s, payout.transaction);
            let (amount, asset) = (payout.amount.to_decimal(), payout.amount.asset);
            rows.push((at_s, format!("{at_s},{kind},{coalition},,{transaction},{amount},{asset}")));
        }
        rows.sort_by_key(|(at_s, _)| *at_s);
        let mut text = "time_s,kind,coalition,session,transaction,amount,asset\r\n".to_owned();
        for (_, row) in rows {
            // Writing to a string does not fail.
            let _ = write!(text, "{row}\r\n");
        }
        text
    }
}

/// A coalition's id as text.
pub fn name(coalition: CoalitionId) -> String {
    format!("0x{}", hex::encode(coalition.0))
}

/// A coalition's id from its text.
pub fn coalition(text: &str) -> Result<CoalitionId, Fault> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| {
        let what = format!("{text:?} is no coalition: its id has 64 hexadecimal digits");
        Fault::new(computepool_core::FaultCode::InvalidRequest, what)
    })?;
    Ok(CoalitionId(bytes.into()))
}

#[cfg(test)]
mod tests {
    use computepool_core::money::TxHash;

    use super::*;

    fn statement() -> Statement {
        let coalition = CoalitionId([7; 32].into());
        let wei = Amount::usdcx;
        let transaction = TxHash([9; 32].into());
        let session = |closed, amount| SessionEarning {
            coalition,
            session: Account::new([5; 20]),
            payer: Account::new([6; 20]),
            opened_s: 100,
            closed,
            amount: wei(amount),
        };
        let payout = |kind, amount| Payout { coalition, kind, at_s: 150, transaction, amount };
        let seat = Seat {
            coalition,
            pool: Some(Account::new([8; 20])),
            payee: Account::new([2; 20]),
            bonding: false,
            staked: Amount::usdc(5),
            units: (3, 10),
            received: wei(500),
            claimable: wei(120),
            bonded: wei(0),
            flowing: wei(2),
        };
        let record = Record {
            coalitions: vec![coalition],
            sessions: vec![session(Some((200, transaction)), 400), session(None, 100)],
            payouts: vec![payout(PayoutKind::Paid, wei(380)), payout(PayoutKind::Staked, Amount::usdc(5))],
        };
        Statement { operator: Account::new([2; 20]), seats: vec![seat], record }
    }

    #[test]
    fn settled_pending_and_estimate_are_kept_apart() {
        let mut statement = statement();
        let sums = statement.total().unwrap();
        assert_eq!(
            (sums.settled, sums.pending, sums.per_hour),
            (Amount::usdcx(380), Amount::usdcx(120), Amount::usdcx(7200))
        );
        // With a bond account only what it paid on is settled, and what it keeps is pending.
        statement.seats[0].bonding = true;
        statement.seats[0].bonded = Amount::usdcx(30);
        statement.record.payouts[0].amount = Amount::usdcx(11);
        let sums = statement.total().unwrap();
        assert_eq!((sums.settled, sums.pending), (Amount::usdcx(11), Amount::usdcx(150)));
    }

    #[test]
    fn the_table_has_a_line_for_everything_that_happened() {
        let text = statement().csv();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "time_s,kind,coalition,session,transaction,amount,asset");
        let kinds: Vec<&str> = lines[1..].iter().map(|line| line.split(',').nth(1).unwrap()).collect();
        assert_eq!(kinds, ["session_open", "paid", "staked", "session"]);
        assert!(lines.iter().all(|line| line.split(',').count() == 7), "{text}");
        assert!(lines[3].ends_with(",0.000005,USDC") && lines[4].ends_with(",0.0000000000000004,USDCx"), "{text}");
    }

    #[test]
    fn ids_come_back_as_they_were_written() {
        let id = CoalitionId([0xab; 32].into());
        assert_eq!(coalition(&name(id)).unwrap(), id);
        assert!(coalition("0x12").is_err());
    }
}
