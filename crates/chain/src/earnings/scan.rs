//! The search for an operator's past: all events that concern it, in the order of the chain.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use computepool_core::money::{Account, Amount, TxHash};
use computepool_core::ports::CoalitionId;

use super::share::{Flow, Units};
use super::{Bond, Earnings, Payout, PayoutKind, Pool, Record, Seat, Session, SessionEarning, usdcx};
use crate::ChainError;
use crate::contracts::{Coalition, SessionEscrow};
use crate::sessions::positive;

/// How many blocks are searched at a time: public endpoints refuse larger ranges.
const WINDOW: u64 = 5_000;
/// How many blocks are searched at most.
const BLOCKS: u64 = 20_000_000;
/// How many sessions are remembered at most.
const SESSIONS: usize = 100_000;
/// How many accounts one question names.
const ACCOUNTS: usize = 200;

/// One search.
pub(super) struct Scan<'a> {
    earnings: &'a Earnings,
    operator: Account,
    seats: BTreeMap<B256, (Seat, Units)>,
    sessions: BTreeMap<Address, Open>,
    record: Record,
    /// Times of blocks that the last window asked for.
    times: BTreeMap<u64, u64>,
}

/// A session that has not closed yet.
struct Open {
    earning: SessionEarning,
    flow: Flow,
}

impl<'a> Scan<'a> {
    pub(super) fn new(earnings: &'a Earnings, operator: Account) -> Self {
        let (seats, sessions, times) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { earnings, operator, seats, sessions, record: Record::default(), times }
    }

    /// Searches the blocks from `first` to `last`.
    pub(super) async fn run(mut self, first: u64, last: u64) -> Result<Record, ChainError> {
        if last.saturating_sub(first) > BLOCKS {
            let what = format!("a search from block {first} to {last}");
            return Err(ChainError::Setting { what, why: format!("at most {BLOCKS} blocks are searched at once") });
        }
        let mut from = first;
        while from <= last {
            let to = from.saturating_add(WINDOW - 1).min(last);
            self.window(from, to).await?;
            from = to + 1;
        }
        // What is open has paid something as well.
        for (account, mut open) in std::mem::take(&mut self.sessions) {
            let streamed = self.earnings.rpc.call(account, &Session::streamedCall {}).await?;
            if let Some((_, units)) = self.seats.get(&open.earning.coalition.0) {
                open.flow.streamed(streamed, units);
            }
            self.finished(open)?;
        }
        self.record.sessions.sort_by_key(|earning| earning.opened_s);
        Ok(self.record)
    }

    async fn window(&mut self, from: u64, to: u64) -> Result<(), ChainError> {
        self.times.clear();
        let contracts = vec![self.earnings.contract(), self.earnings.book.session_escrow.0];
        let events = vec![Coalition::Signed::SIGNATURE_HASH, SessionEscrow::SessionOpened::SIGNATURE_HASH];
        for log in self.logs(contracts, events, from, to).await? {
            self.began(&log).await?;
        }
        let mut accounts: Vec<Address> = self.sessions.keys().copied().collect();
        for (seat, _) in self.seats.values() {
            accounts.extend(seat.pool.map(|pool| pool.0));
            accounts.extend(seat.bonding.then_some(seat.payee.0));
        }
        let events = vec![
            Pool::MemberUnitsUpdated::SIGNATURE_HASH,
            Pool::DistributionClaimed::SIGNATURE_HASH,
            Bond::Filled::SIGNATURE_HASH,
            Session::Started::SIGNATURE_HASH,
            Session::Paused::SIGNATURE_HASH,
            Session::ToppedUp::SIGNATURE_HASH,
            Session::Stopped::SIGNATURE_HASH,
            Session::Closed::SIGNATURE_HASH,
        ];
        let mut logs = Vec::new();
        for some in accounts.chunks(ACCOUNTS) {
            logs.extend(self.logs(some.to_vec(), events.clone(), from, to).await?);
        }
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        // Whose units changed must be known before what flowed by them is shared out.
        for log in &logs {
            self.changed(log).await?;
        }
        for log in &logs {
            self.paid(log).await?;
        }
        Ok(())
    }

    async fn logs(
        &self,
        accounts: Vec<Address>,
        events: Vec<B256>,
        from: u64,
        to: u64,
    ) -> Result<Vec<Log>, ChainError> {
        let filter = Filter::new().address(accounts).event_signature(events).from_block(from).to_block(to);
        self.earnings.rpc.logs(&filter).await
    }

    /// A membership or a session begins.
    async fn began(&mut self, log: &Log) -> Result<(), ChainError> {
        if let Some(signed) = read::<Coalition::Signed>(log)? {
            let id = CoalitionId(signed.id);
            if signed.operator == self.operator.0 && !self.seats.contains_key(&signed.id) {
                let seat = self.earnings.seat(id, self.operator).await?;
                self.seats.insert(signed.id, (seat, Units::new(seat.units.0, seat.units.1)));
                self.record.coalitions.push(id);
            }
        } else if let Some(opened) = read::<SessionEscrow::SessionOpened>(log)?
            && self.seats.contains_key(&opened.coalition)
        {
            let earning = SessionEarning {
                coalition: CoalitionId(opened.coalition),
                session: Account(opened.account),
                payer: Account(opened.payer),
                opened_s: self.time(log).await?,
                closed: None,
                amount: usdcx(U256::ZERO),
            };
            self.sessions.insert(opened.account, Open { earning, flow: Flow::default() });
        }
        Ok(())
    }

    async fn changed(&mut self, log: &Log) -> Result<(), ChainError> {
        let Some(change) = read::<Pool::MemberUnitsUpdated>(log)? else { return Ok(()) };
        let at_s = self.time(log).await?;
        for (seat, units) in self.seats.values_mut() {
            if seat.pool == Some(Account(log.address())) && seat.payee.0 == change.member {
                units.change(at_s, change.oldUnits, change.newUnits);
            }
        }
        Ok(())
    }

    async fn paid(&mut self, log: &Log) -> Result<(), ChainError> {
        let account = log.address();
        if let Some(claimed) = read::<Pool::DistributionClaimed>(log)? {
            let mine = |seat: &Seat| seat.pool == Some(Account(account)) && seat.payee.0 == claimed.member;
            let Some(seat) = self.seats.values().map(|(seat, _)| *seat).find(mine) else { return Ok(()) };
            let kind = if seat.bonding { PayoutKind::Collected } else { PayoutKind::Paid };
            let amount = usdcx(U256::try_from(claimed.claimedAmount).unwrap_or_default());
            return self.reached(log, seat.coalition, kind, amount).await;
        }
        if let Some(filled) = read::<Bond::Filled>(log)? {
            if filled.operator == self.operator.0 && self.seats.contains_key(&filled.id) {
                let staked = Amount::new(filled.bondedUnits, computepool_core::Asset::Usdc);
                self.reached(log, CoalitionId(filled.id), PayoutKind::Staked, staked).await?;
                self.reached(log, CoalitionId(filled.id), PayoutKind::Paid, usdcx(filled.paidWei)).await?;
            }
            return Ok(());
        }
        if !self.sessions.contains_key(&account) {
            return Ok(());
        }
        let at_s = self.time(log).await?;
        let Some(open) = self.sessions.get_mut(&account) else { return Ok(()) };
        let Some((_, units)) = self.seats.get(&open.earning.coalition.0) else { return Ok(()) };
        if let Some(started) = read::<Session::Started>(log)? {
            open.flow.started(positive(started.rate), at_s);
        } else if let Some(topped_up) = read::<Session::ToppedUp>(log)? {
            open.flow.topped_up(topped_up.amount, at_s, units);
        } else if let Some(paused) = read::<Session::Paused>(log)? {
            open.flow.streamed(paused.streamed, units);
        } else if let Some(stopped) = read::<Session::Stopped>(log)? {
            open.flow.streamed(stopped.streamed, units);
        } else if let Some(closed) = read::<Session::Closed>(log)? {
            open.flow.streamed(closed.streamed, units);
            open.earning.closed = Some((at_s, transaction(log)));
            if let Some(open) = self.sessions.remove(&account) {
                self.finished(open)?;
            }
        }
        Ok(())
    }

    async fn reached(
        &mut self,
        log: &Log,
        coalition: CoalitionId,
        kind: PayoutKind,
        amount: Amount,
    ) -> Result<(), ChainError> {
        if !amount.is_zero() {
            let at_s = self.time(log).await?;
            self.record.payouts.push(Payout { coalition, kind, at_s, transaction: transaction(log), amount });
        }
        Ok(())
    }

    fn finished(&mut self, open: Open) -> Result<(), ChainError> {
        if self.record.sessions.len() >= SESSIONS {
            let why = format!("there are more than {SESSIONS}: name a later block to begin with");
            return Err(ChainError::Setting { what: "the list of sessions".to_owned(), why });
        }
        self.record.sessions.push(SessionEarning { amount: usdcx(open.flow.part), ..open.earning });
        Ok(())
    }

    /// When it happened.
    async fn time(&mut self, log: &Log) -> Result<u64, ChainError> {
        if let Some(time) = log.block_timestamp {
            return Ok(time);
        }
        let number = log.block_number.unwrap_or_default();
        if let Some(time) = self.times.get(&number) {
            return Ok(*time);
        }
        let block = self.earnings.rpc.block(number.into()).await?;
        let block = block.ok_or_else(|| ChainError::unreadable(format!("block {number}"), "there is none"))?;
        self.times.insert(number, block.header.timestamp);
        Ok(block.header.timestamp)
    }
}

/// The event in a log, if it is one of these.
fn read<E: SolEvent>(log: &Log) -> Result<Option<E>, ChainError> {
    if log.topic0() != Some(&E::SIGNATURE_HASH) {
        return Ok(None);
    }
    let event = E::decode_log_data(log.data()).map_err(|error| ChainError::unreadable(E::SIGNATURE, error))?;
    Ok(Some(event))
}

fn transaction(log: &Log) -> TxHash {
    TxHash(log.transaction_hash.unwrap_or_default())
}
