//! What our contracts said, in the order of the chain, from where a reader stopped.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use computepool_core::money::{Account, Amount, Asset, TxHash};
use computepool_core::ports::{ChainEvent, ChainEventKind, ChainEvents, CoalitionId, Cursor};

use super::{Sessions, terms};
use crate::ChainError;
use crate::contracts::{Coalition, Session, SessionEscrow};

/// How many blocks are read at a time.
const WINDOW: u64 = 1_000;

impl Sessions {
    /// Reads one window after `after`; a reader that finds nothing new asks again from the cursor it gets.
    pub(super) async fn events_after(&self, after: Cursor, limit: u32) -> Result<ChainEvents, ChainError> {
        let head = self.rpc().head().await?;
        let firm = (head + 1).saturating_sub(self.network.depth);
        let from = after.block + 1;
        if firm < from {
            return Ok(ChainEvents { events: Vec::new(), next: after });
        }
        let to = firm.min(from + WINDOW - 1);
        let kinds = [
            SessionEscrow::SessionOpened::SIGNATURE_HASH,
            Session::Closed::SIGNATURE_HASH,
            Coalition::Reassigned::SIGNATURE_HASH,
        ];
        // Sessions speak from accounts of their own, so that the emitters cannot be named: they are checked below.
        let filter = Filter::new().event_signature(kinds.to_vec()).from_block(from).to_block(to);
        let mut logs = self.rpc().logs(&filter).await?;
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        let mut events = Vec::new();
        let mut next = after;
        for log in &logs {
            let block = log.block_number.ok_or_else(|| ChainError::unreadable("a log", "it has no block"))?;
            // `next.block` is read in full; `next.logs` of the block after it were read, too.
            if block > next.block + 1 {
                next = Cursor { block: block - 1, logs: 0 };
            }
            let passed = if block == after.block + 1 { after.logs } else { 0 };
            let index = self.index(&logs, log, block);
            if index < passed {
                continue;
            }
            if events.len() >= limit as usize {
                return Ok(ChainEvents { events, next });
            }
            if let Some(event) = self.event(log, block).await? {
                events.push(event);
            }
            next = Cursor { block: block - 1, logs: index + 1 };
        }
        Ok(ChainEvents { events, next: Cursor { block: to, logs: 0 } })
    }

    /// Which of its block's logs this is.
    fn index(&self, logs: &[Log], log: &Log, block: u64) -> u32 {
        let before = |other: &&Log| other.block_number == Some(block) && other.log_index < log.log_index;
        u32::try_from(logs.iter().filter(before).count()).unwrap_or(u32::MAX)
    }

    async fn event(&self, log: &Log, block: u64) -> Result<Option<ChainEvent>, ChainError> {
        let emitter = log.address();
        let kind = match log.topic0().copied() {
            Some(SessionEscrow::SessionOpened::SIGNATURE_HASH) if emitter == self.escrow() => {
                let Ok(event) = SessionEscrow::SessionOpened::decode_log(&log.inner) else { return Ok(None) };
                let quote = self.rpc().call(event.account, &Session::quoteCall {}).await?;
                ChainEventKind::Opened {
                    session: Account(event.account),
                    payer: Account(event.payer),
                    coalition: CoalitionId(event.coalition),
                    amount: Amount::usdc(quote.amount),
                }
            }
            Some(Session::Closed::SIGNATURE_HASH) if self.is_session(emitter).await? => {
                let Ok(event) = Session::Closed::decode_log(&log.inner) else { return Ok(None) };
                let usdcx = |wei| Amount::new(wei, Asset::Usdcx);
                ChainEventKind::Closed {
                    session: Account(emitter),
                    streamed: usdcx(event.streamed),
                    topped_up: usdcx(event.toppedUp),
                    refund: Amount::new(event.refundUnits, Asset::Usdc),
                    dust: usdcx(event.refundDust),
                    lost: usdcx(event.lost),
                    found: usdcx(event.found),
                }
            }
            Some(Coalition::Reassigned::SIGNATURE_HASH) if emitter == self.book.coalition.0 => {
                let Ok(event) = Coalition::Reassigned::decode_log(&log.inner) else { return Ok(None) };
                ChainEventKind::Reassigned {
                    coalition: CoalitionId(event.id),
                    place: event.place.saturating_to(),
                    operator: Account(event.to),
                }
            }
            _ => return Ok(None),
        };
        let time_s = match log.block_timestamp {
            Some(time) => time,
            None => self.block(BlockNumberOrTag::Number(block)).await?.time_s,
        };
        Ok(Some(ChainEvent { time_s, transaction: TxHash(log.transaction_hash.unwrap_or(B256::ZERO)), kind }))
    }

    /// Whether this account is one of our escrow's: its code must be a clone of the sessions' code, made by the escrow.
    async fn is_session(&self, account: Address) -> Result<bool, ChainError> {
        let quote = match self.rpc().call(account, &Session::quoteCall {}).await {
            Ok(quote) => quote,
            Err(ChainError::Reverted { .. } | ChainError::Unreadable { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(terms::account_of(self.escrow(), &quote) == account)
    }
}
