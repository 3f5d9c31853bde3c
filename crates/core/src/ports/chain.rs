//! The chain port: what payments needs of a chain, in payments' own words.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Authorization, TokenDomain};
use crate::money::{Account, Amount, B256, Bytes, ChainId, TxHash};
use crate::{Fault, LayerRange};

/// One chain, with one deployment of our contracts, seen as the meter.
///
/// A [`Fault`] from a reading method says that nothing was learnt: the endpoint is away, or contradicts itself.
pub trait Chain: Send + Sync {
    /// Which chain.
    fn id(&self) -> ChainId;

    /// The token that vouchers are made out in.
    fn token(&self) -> TokenDomain;

    /// Where the account of a session with these terms is, or would be. Computed, not asked: CREATE2 of an ERC-1167
    /// clone with immutable arguments.
    fn session_account(&self, terms: &SessionTerms) -> Account;

    /// The newest block.
    fn head(&self) -> BoxFuture<'_, Result<Block, Fault>>;

    /// What a coalition offers now.
    fn coalition(&self, id: CoalitionId) -> BoxFuture<'_, Result<CoalitionOffer, Fault>>;

    /// What the chain says of a voucher at this moment: everything that decides whether it can be executed.
    fn voucher<'a>(
        &'a self,
        terms: &'a SessionTerms,
        voucher: &'a Voucher,
    ) -> BoxFuture<'a, Result<VoucherState, Fault>>;

    /// Sees to it that `intent` is carried out, and returns when it is known what came of it, or that it is not known.
    ///
    /// `step` names the intent for ever: the same step is never sent as two transactions that could both land. Steps of
    /// one chain are sent in the order in which they were submitted. Dropping the future does not recall anything.
    fn submit(&self, step: StepId, intent: Intent) -> BoxFuture<'_, Delivery>;

    /// What the chain says of the session at this account.
    fn session(&self, account: Account) -> BoxFuture<'_, Result<SessionView, Fault>>;

    /// What our contracts said after `after`, oldest first, at confirmed depth only, at most `limit` of them.
    fn events(&self, after: Cursor, limit: u32) -> BoxFuture<'_, Result<ChainEvents, Fault>>;
}

/// A coalition's id, as its contract gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CoalitionId(pub B256);

/// The terms of a session. Its account's address is a function of them: whoever pays to the address agrees to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionTerms {
    /// Who is paid, at which rate, until when.
    pub coalition: CoalitionId,
    /// What the voucher is made out for, in USDC.
    pub amount: Amount,
    /// Seconds after its opening when it ends at the latest.
    pub lifetime_s: u32,
    /// Unix seconds, of the block, until which it may be opened.
    pub expires_s: u64,
    /// Who may pay; the zero account where the voucher says it.
    pub payer: Account,
    /// Makes terms unlike all others.
    pub salt: B256,
}

/// An authorization with its signature: 65 bytes of an account's key, or what its contract takes for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Voucher {
    /// What was signed.
    pub authorization: Authorization,
    /// The signature.
    pub signature: Bytes,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, in Unix seconds: the only time that contracts know.
    pub time_s: u64,
}

/// What a coalition offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoalitionOffer {
    /// Whether it takes new sessions.
    pub open: bool,
    /// What a session pays a second, in USDCx, to all together.
    pub rate: Amount,
    /// What a session keeps back while it streams, in USDCx: the buffer, and what is left when anybody may close it.
    pub reserve: Amount,
    /// Hundredths of a percent of what is paid that go to the protocol.
    pub fee_bps: u32,
    /// Hundredths of a percent of what is paid that go to the model's owner.
    pub royalty_bps: u32,
    /// The places, entry first, and who is paid for each.
    pub places: Vec<PaidPlace>,
    /// Unix seconds when it ends.
    pub deadline_s: u64,
    /// Whose word on served time counts.
    pub meter: Account,
}

/// A place of a coalition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidPlace {
    /// Which blocks.
    pub layers: LayerRange,
    /// Whose units they are; nobody's while the place is empty.
    pub operator: Option<Account>,
}

/// What decides whether a voucher can be executed, all of one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherState {
    /// Of which block.
    pub at: Block,
    /// What the payer has, in USDC.
    pub balance: Amount,
    /// Whether the authorization was executed, or cancelled: the token does not tell which.
    pub used: bool,
    /// USDC that lies at the session's account already.
    pub at_account: Amount,
    /// Whether the payer is a contract, so that its signature is the contract's to judge.
    pub contract: bool,
    /// Why a simulated opening fails; absent where it would succeed, or where there is a session already.
    pub refused: Option<Refused>,
}

/// Why the chain would not do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The error's name in its contract, or `reverted`.
    pub name: String,
    /// In words, for people.
    pub why: String,
}

/// An intent's name: random, or made of what is never the same twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub B256);

/// Something that the meter wants done. Doing one twice is harmless: the second time the contract refuses it, or it
/// changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Intent {
    /// Execute a voucher and open its session.
    Open {
        /// Its terms.
        terms: SessionTerms,
        /// What pays for it.
        voucher: Voucher,
        /// Whether the stream flows from the beginning.
        start: bool,
    },
    /// Let the stream flow.
    Start {
        /// Of which session.
        session: Account,
    },
    /// Stop the stream, and pay what was served and not streamed.
    Pause {
        /// Of which session.
        session: Account,
        /// Milliseconds served since the opening, all in all.
        served_ms: u64,
    },
    /// Close the session: pay what is missing, and give the rest back.
    Close {
        /// Which.
        session: Account,
        /// Milliseconds served since the opening, all in all.
        served_ms: u64,
    },
    /// Give back what lies at the account of a session that was never opened.
    Reclaim {
        /// Its terms.
        terms: SessionTerms,
        /// What paid for it.
        voucher: Voucher,
    },
    /// Send what arrived after the closing back to the payer.
    Sweep {
        /// Of which session.
        session: Account,
    },
    /// Give a place's units to another member who signed for it.
    Reassign {
        /// In which coalition.
        coalition: CoalitionId,
        /// Which place, counted from the entry.
        place: u32,
        /// To whom.
        operator: Account,
    },
}

/// What came of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It is in a block. How deep that is now is for the reader of the session to see.
    Landed {
        /// The transaction.
        transaction: TxHash,
        /// The block.
        block: Block,
    },
    /// The chain refuses it as things stand: in a simulation, or in a block.
    Refused(Refused),
    /// It was not sent, and will not be.
    NotSent(Fault),
    /// It was sent, or may have been, and nothing is known of it.
    Unknown {
        /// The transaction, where there is one.
        transaction: Option<TxHash>,
        /// Why nothing is known.
        fault: Fault,
    },
}

/// A session as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The newest block.
    pub head: Block,
    /// The session there; absent while it was never opened.
    pub newest: Option<SessionOnChain>,
    /// The block at the depth that counts as final.
    pub firm: Block,
    /// The session there.
    pub settled: Option<SessionOnChain>,
}

/// A session's account at one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOnChain {
    /// Whose money it is.
    pub payer: Account,
    /// What it does.
    pub phase: SessionPhase,
    /// What it was opened with, in USDC.
    pub amount: Amount,
    /// What is paid a second while it streams, in USDCx.
    pub rate: Amount,
    /// Unix seconds of the opening block.
    pub opened_s: u64,
    /// Milliseconds that the meter has claimed, all in all.
    pub served_ms: u64,
    /// What has streamed to the members, in USDCx.
    pub streamed: Amount,
    /// What was paid on top at pauses and at the closing, in USDCx.
    pub topped_up: Amount,
    /// What went back: whole units, in USDC. Nothing before the closing.
    pub refund: Amount,
    /// What went back that is less than a unit, in USDCx.
    pub dust: Amount,
    /// What a liquidator took, in USDCx: the stream had outlived its money. Nothing before the closing.
    pub lost: Amount,
    /// What went back and had not come with the voucher, in USDCx: strangers sent it.
    pub found: Amount,
}

/// What a session's account does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPhase {
    /// Open; nothing flows.
    Paused,
    /// Open; the stream flows.
    Streaming,
    /// Stopped for good by somebody else than the meter, who has a few minutes to close it with the right figure.
    Ending,
    /// Over.
    Closed,
}

/// A place in the sequence of events: everything up to it has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// The block.
    pub block: u64,
    /// How many logs of the next block have been read as well.
    pub logs: u32,
}

/// Some events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEvents {
    /// In the order of the chain.
    pub events: Vec<ChainEvent>,
    /// Where to go on.
    pub next: Cursor,
}

/// Something that our contracts said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEvent {
    /// Unix seconds of its block.
    pub time_s: u64,
    /// Its transaction.
    pub transaction: TxHash,
    /// What.
    pub kind: ChainEventKind,
}

/// What our contracts say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChainEventKind {
    /// A session was opened.
    Opened {
        /// Where.
        session: Account,
        /// By whose money.
        payer: Account,
        /// For which coalition.
        coalition: CoalitionId,
        /// How much, in USDC.
        amount: Amount,
    },
    /// A session was closed.
    Closed {
        /// Which.
        session: Account,
        /// What had streamed, in USDCx.
        streamed: Amount,
        /// What was paid on top, in USDCx.
        topped_up: Amount,
        /// What went back, in USDC.
        refund: Amount,
        /// What went back besides, in USDCx.
        dust: Amount,
        /// What a liquidator took, in USDCx.
        lost: Amount,
        /// What strangers had sent, in USDCx.
        found: Amount,
    },
    /// A place's units went to another member.
    Reassigned {
        /// In which coalition.
        coalition: CoalitionId,
        /// Which place.
        place: u32,
        /// To whom.
        operator: Account,
    },
}
