//! Sessions on chain, as payments asks for them.

mod events;
pub mod refund;
pub(crate) mod terms;
mod view;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use computepool_core::money::{Account, Amount, Asset, ChainId, TxHash};
use computepool_core::ports::{
    Block, Chain, ChainEvents, CoalitionId, CoalitionOffer, Cursor, Delivery, Intent, PaidPlace, Purpose, Refused,
    SessionTerms, SessionView, StepId, TokenDomain, Voucher, VoucherState,
};
use computepool_core::{Fault, LayerRange};
use futures::future::BoxFuture;

pub use self::view::SessionReader;
pub(crate) use self::view::positive;
use crate::contracts::{Coalition, Session, SessionEscrow, Usdc};
use crate::deployment::AddressBook;
use crate::rpc::Rpc;
use crate::sender::{self, Sender, Until};
use crate::{ChainError, Network};

/// Seconds of streaming that a session keeps beside the buffer (`Session.MARGIN`).
const MARGIN: u64 = 30;
/// Superfluid's buffers are multiples of this many wei.
const BUFFER_STEP: u64 = 1 << 32;

/// One deployment's sessions, with the meter's queue of transactions.
#[derive(Clone, Debug)]
pub struct Sessions {
    network: Network,
    book: AddressBook,
    meter: Sender,
}

impl Sessions {
    /// The sessions of the deployment in `book`, with `meter` as the account whose word on served time counts.
    pub fn new(network: Network, book: AddressBook, meter: Sender) -> Self {
        Self { network, book, meter }
    }

    fn rpc(&self) -> &Rpc {
        self.meter.rpc()
    }

    fn escrow(&self) -> Address {
        self.book.session_escrow.0
    }

    async fn block(&self, which: BlockNumberOrTag) -> Result<Block, ChainError> {
        block(self.rpc(), which).await
    }

    async fn offer(&self, id: CoalitionId) -> Result<CoalitionOffer, ChainError> {
        let (rpc, coalition) = (self.rpc(), self.book.coalition.0);
        let offer = rpc.call(coalition, &Coalition::offerCall { id: id.0 }).await?;
        let shares = rpc.call(coalition, &Coalition::sharesCall { id: id.0 }).await?;
        let places = rpc.call(coalition, &Coalition::placesCall { id: id.0 }).await?;
        let bad = |fault: Fault| ChainError::unreadable("a coalition's places", fault);
        let places = places.iter().map(|place| {
            let layers = LayerRange::new(place.start.into(), place.end.into()).map_err(bad)?;
            let operator = (!place.holder.is_zero()).then_some(Account(place.holder));
            Ok(PaidPlace { layers, operator })
        });
        let rate = positive(offer.rate);
        Ok(CoalitionOffer {
            open: offer.open,
            rate: Amount::new(rate, Asset::Usdcx),
            reserve: Amount::new(reserve(rate, self.network.solvency.liquidation), Asset::Usdcx),
            fee_bps: shares.feeBps.into(),
            royalty_bps: shares.royaltyBps.into(),
            places: places.collect::<Result<_, ChainError>>()?,
            deadline_s: offer.deadline,
            meter: Account(offer.meter),
        })
    }

    async fn look_at(&self, terms: &SessionTerms, voucher: &Voucher) -> Result<VoucherState, ChainError> {
        let (rpc, usdc) = (self.rpc(), self.book.usdc.0);
        let authorization = &voucher.authorization;
        let (from, account) = (authorization.from.0, terms::account(self.escrow(), terms));
        let block = self.block(BlockNumberOrTag::Latest).await?;
        let at = BlockNumberOrTag::Number(block.number);
        let balance = |of| {
            let question = Usdc::balanceOfCall { account: of };
            async move { rpc.call_at(usdc, &question, None, at).await }
        };
        let state = Usdc::authorizationStateCall { authorizer: from, nonce: authorization.nonce };
        let opening = SessionEscrow::openCall {
            quote: terms::quote(terms),
            voucher: terms::authorization(authorization),
            signature: voucher.signature.clone(),
            start: false,
        };
        let opened = !rpc.code_at(account, at).await?.is_empty();
        let refused = match rpc.call_at(self.escrow(), &opening, Some(self.meter.account()), at).await {
            Err(ChainError::Reverted { reason, .. }) if !opened => Some(refused(reason)),
            Err(ChainError::Reverted { .. }) | Ok(_) => None,
            Err(error) => return Err(error),
        };
        Ok(VoucherState {
            at: block,
            balance: Amount::new(balance(from).await?, Asset::Usdc),
            used: rpc.call_at(usdc, &state, None, at).await?,
            at_account: Amount::new(balance(account).await?, Asset::Usdc),
            contract: !rpc.code_at(from, at).await?.is_empty(),
            refused,
        })
    }

    async fn deliver(&self, step: StepId, intent: Intent) -> Delivery {
        let Some(intent) = self.transaction(step, intent) else {
            let fault =
                Fault::new(computepool_core::FaultCode::InvalidRequest, "this version does not know the intent");
            return Delivery::NotSent(fault);
        };
        let landed = match self.meter.send(intent, Until::Included).await {
            Ok(landed) => landed,
            Err(ChainError::Reverted { reason, .. }) => return Delivery::Refused(refused(reason)),
            Err(error) => {
                let transaction = match &error {
                    ChainError::Pending { hash, .. } => Some(TxHash(*hash)),
                    // The queue went away: what it had sent may land.
                    ChainError::Closed(_) => None,
                    _ => return Delivery::NotSent(error.into()),
                };
                return Delivery::Unknown { transaction, fault: error.into() };
            }
        };
        let transaction = TxHash(landed.hash);
        match self.block(BlockNumberOrTag::Number(landed.block)).await {
            Ok(block) if block.hash == landed.block_hash => Delivery::Landed { transaction, block },
            Ok(_) => {
                let fault = ChainError::unreadable("its block", "a reorganisation dropped it").into();
                Delivery::Unknown { transaction: Some(transaction), fault }
            }
            Err(error) => Delivery::Unknown { transaction: Some(transaction), fault: error.into() },
        }
    }

    fn transaction(&self, step: StepId, intent: Intent) -> Option<sender::Intent> {
        let escrow = self.escrow();
        let purpose = match &intent {
            Intent::Sweep { .. } => Purpose::Keeper,
            Intent::Reassign { .. } => Purpose::Coalition,
            _ => Purpose::Session,
        };
        let (what, to, input) = match intent {
            Intent::Open { terms, voucher, start } => {
                let (quote, signature) = (terms::quote(&terms), voucher.signature);
                let voucher = terms::authorization(&voucher.authorization);
                let call = SessionEscrow::openCall { quote, voucher, signature, start };
                ("open a session", escrow, call.abi_encode())
            }
            Intent::Start { session } => ("start a stream", session.0, Session::startCall {}.abi_encode()),
            Intent::Pause { session, served_ms } => {
                ("pause a stream", session.0, Session::pauseCall { served_: served_ms }.abi_encode())
            }
            Intent::Close { session, served_ms } => {
                ("close a session", session.0, Session::closeCall { served_: served_ms }.abi_encode())
            }
            Intent::Sweep { session } => ("sweep a session", session.0, Session::sweepCall {}.abi_encode()),
            Intent::Reclaim { terms, voucher } => {
                let (quote, signature) = (terms::quote(&terms), voucher.signature);
                let voucher = terms::authorization(&voucher.authorization);
                let call = SessionEscrow::reclaimCall { quote, voucher, signature };
                ("give a voucher's money back", escrow, call.abi_encode())
            }
            Intent::Reassign { coalition, place, operator } => {
                let place = u16::try_from(place).ok()?;
                let call = Coalition::reassignCall { id: coalition.0, place, to: operator.0 };
                ("reassign a place", self.book.coalition.0, call.abi_encode())
            }
            _ => return None,
        };
        let mut transaction = sender::Intent::new(what, purpose, to);
        transaction.id = step.0;
        transaction.input = input.into();
        Some(transaction)
    }
}

impl Chain for Sessions {
    fn id(&self) -> ChainId {
        self.network.chain_id
    }

    fn token(&self) -> TokenDomain {
        self.book.token()
    }

    fn session_account(&self, terms: &SessionTerms) -> Account {
        self.book.session_account(terms)
    }

    fn head(&self) -> BoxFuture<'_, Result<Block, Fault>> {
        Box::pin(async { Ok(self.block(BlockNumberOrTag::Latest).await?) })
    }

    fn coalition(&self, id: CoalitionId) -> BoxFuture<'_, Result<CoalitionOffer, Fault>> {
        Box::pin(async move { Ok(self.offer(id).await?) })
    }

    fn voucher<'a>(
        &'a self,
        terms: &'a SessionTerms,
        voucher: &'a Voucher,
    ) -> BoxFuture<'a, Result<VoucherState, Fault>> {
        Box::pin(async move { Ok(self.look_at(terms, voucher).await?) })
    }

    fn submit(&self, step: StepId, intent: Intent) -> BoxFuture<'_, Delivery> {
        Box::pin(self.deliver(step, intent))
    }

    fn session(&self, account: Account) -> BoxFuture<'_, Result<SessionView, Fault>> {
        let reader = SessionReader::new(&self.network, self.rpc().clone());
        Box::pin(async move { Ok(reader.view(account).await?) })
    }

    fn events(&self, after: Cursor, limit: u32) -> BoxFuture<'_, Result<ChainEvents, Fault>> {
        Box::pin(async move { Ok(self.events_after(after, limit).await?) })
    }
}

/// A block, which must be there.
async fn block(rpc: &Rpc, which: BlockNumberOrTag) -> Result<Block, ChainError> {
    let block = rpc.block(which).await?;
    let header = block.ok_or_else(|| ChainError::unreadable(format!("block {which}"), "there is none"))?.header;
    Ok(Block { number: header.number, hash: header.hash, time_s: header.timestamp })
}

/// What a session of this rate keeps back: Superfluid's buffer, and the margin.
fn reserve(rate: U256, liquidation: u32) -> U256 {
    let step = U256::from(BUFFER_STEP);
    let buffer = (rate * U256::from(liquidation)).div_ceil(step) * step;
    buffer + rate * U256::from(MARGIN)
}

fn refused(reason: String) -> Refused {
    let is_name = !reason.is_empty() && reason.chars().all(|letter| letter.is_ascii_alphanumeric());
    let name = if is_name { reason.clone() } else { "reverted".to_owned() };
    Refused { name, why: reason }
}
