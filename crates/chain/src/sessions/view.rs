//! A session's account, at the newest block and at one that counts.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::aliases::I96;
use alloy::primitives::{Address, U256};
use alloy::rpc::types::Filter;
use alloy::sol_types::{SolCall, SolEvent};
use computepool_core::money::{Account, Amount, Asset};
use computepool_core::ports::{SessionOnChain, SessionPhase, SessionView};

use super::block;
use crate::contracts::Session;
use crate::rpc::Rpc;
use crate::{ChainError, Network};

/// How many blocks are searched at a time, and how many times: public endpoints refuse larger ranges.
const WINDOW: u64 = 5_000;
const WINDOWS: u64 = 400;

/// `Session.State`.
const STATE_NONE: u8 = 0;
const PHASES: [SessionPhase; 4] =
    [SessionPhase::Paused, SessionPhase::Streaming, SessionPhase::Ending, SessionPhase::Closed];

/// Reads sessions, as anybody may.
#[derive(Clone, Debug)]
pub struct SessionReader {
    rpc: Rpc,
    depth: u64,
}

impl SessionReader {
    /// Those of `network`, asked through `rpc`.
    pub fn new(network: &Network, rpc: Rpc) -> Self {
        Self { rpc, depth: network.depth }
    }

    /// What the chain says of the session at this account, now and at the depth that counts.
    pub async fn view(&self, account: Account) -> Result<SessionView, ChainError> {
        let account = account.0;
        let head = block(&self.rpc, BlockNumberOrTag::Latest).await?;
        let firm = head.number.saturating_sub(self.depth.saturating_sub(1));
        let firm = if firm == head.number { head } else { block(&self.rpc, BlockNumberOrTag::Number(firm)).await? };
        let newest = self.at(account, head.number).await?;
        let settled = if firm == head { newest } else { self.at(account, firm.number).await? };
        Ok(SessionView { head, newest, firm, settled })
    }

    async fn at(&self, account: Address, block: u64) -> Result<Option<SessionOnChain>, ChainError> {
        let at = BlockNumberOrTag::Number(block);
        if self.rpc.code_at(account, at).await?.is_empty() {
            return Ok(None);
        }
        let state = self.ask(account, Session::stateCall {}, at).await?;
        if state == STATE_NONE {
            return Ok(None);
        }
        let phase = PHASES.get(usize::from(state) - 1).copied();
        let phase = phase.ok_or_else(|| ChainError::unreadable("a session's state", state))?;
        let closed = if phase == SessionPhase::Closed { self.closing(account, block).await? } else { None };
        let usdcx = |wei| Amount::new(wei, Asset::Usdcx);
        let figure = |pick: fn(&Session::Closed) -> U256| closed.as_ref().map_or(U256::ZERO, pick);
        Ok(Some(SessionOnChain {
            payer: Account(self.ask(account, Session::payerCall {}, at).await?),
            phase,
            amount: Amount::usdc(self.ask(account, Session::quoteCall {}, at).await?.amount),
            rate: usdcx(positive(self.ask(account, Session::rateCall {}, at).await?)),
            opened_s: self.ask(account, Session::openedAtCall {}, at).await?.to(),
            served_ms: self.ask(account, Session::servedMsCall {}, at).await?,
            streamed: usdcx(self.ask(account, Session::streamedCall {}, at).await?),
            topped_up: usdcx(self.ask(account, Session::toppedUpCall {}, at).await?),
            refund: Amount::new(figure(|closed| closed.refundUnits), Asset::Usdc),
            dust: usdcx(figure(|closed| closed.refundDust)),
            lost: usdcx(figure(|closed| closed.lost)),
            found: usdcx(figure(|closed| closed.found)),
        }))
    }

    async fn ask<C: SolCall>(&self, account: Address, call: C, at: BlockNumberOrTag) -> Result<C::Return, ChainError> {
        self.rpc.call_at(account, &call, None, at).await
    }

    /// What a session said when it closed. One that never opened says nothing.
    async fn closing(&self, account: Address, block: u64) -> Result<Option<Session::Closed>, ChainError> {
        let mut to = block;
        for _ in 0..WINDOWS {
            let from = to.saturating_sub(WINDOW - 1);
            let filter = Filter::new().address(account).event_signature(Session::Closed::SIGNATURE_HASH);
            let logs = self.rpc.logs(&filter.from_block(from).to_block(to)).await?;
            if let Some(log) = logs.first() {
                let event = Session::Closed::decode_log(&log.inner);
                return event.map(|event| Some(event.data)).map_err(|error| ChainError::unreadable("Closed", error));
            }
            // Its account does not exist before its session: there is nothing further back.
            if from == 0 || self.rpc.code_at(account, BlockNumberOrTag::Number(from)).await?.is_empty() {
                return Ok(None);
            }
            to = from - 1;
        }
        Ok(None)
    }
}

/// A rate; contracts keep it positive.
pub(crate) fn positive(rate: I96) -> U256 {
    if rate.is_negative() { U256::ZERO } else { U256::from(rate.into_raw()) }
}
