//! The toll port: what the HTTP face asks of payments.

use std::fmt;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::money::{Account, Amount, TxHash};
use crate::{ClientId, Fault, GenerationId, ModelId, SessionId};

/// Decides who may use a model, by what was paid.
///
/// For a request without payment, or with one that does not do, answer 402 with what [`Toll::quote`] gives. Otherwise
/// [`Toll::admit`] it, and tell of each of its generations: [`Toll::began`] when every shard has admitted it,
/// [`Toll::progressed`] at every token, and exactly one [`Toll::ended`].
pub trait Toll: Send + Sync {
    /// What a session costs, fresh for each asking: nothing is remembered of it.
    fn quote<'a>(&'a self, asked: &'a Asked, error: Option<&'a str>) -> BoxFuture<'a, Result<Quote, Fault>>;

    /// Lets a request pass that presents a voucher or a session's token. Returns before the voucher is executed where
    /// policy and limits allow that.
    fn admit<'a>(&'a self, asked: &'a Asked, presented: Presented) -> BoxFuture<'a, Result<Admission, TollRefusal>>;

    /// A generation begins: its session's meter runs from now on. Refused where the session may run no more.
    fn began(&self, session: SessionId, generation: GenerationId) -> Result<(), Fault>;

    /// A token was delivered. On a fault the generation has to be ended: its session's money is spent, or its payment
    /// fell through.
    fn progressed(&self, generation: GenerationId) -> Result<(), Fault>;

    /// A generation is over, however it ended; what was delivered is paid. Unknown ids are ignored.
    fn ended(&self, generation: GenerationId);

    /// Closes a session at its payer's wish; the rest goes back. Returns when that is on its way.
    fn close<'a>(&'a self, token: &'a SessionToken) -> BoxFuture<'a, Result<Bill, Fault>>;

    /// The session that a token is for; `None` where there is none any more.
    fn session_of(&self, token: &SessionToken) -> Option<SessionId>;

    /// How a session stands.
    fn bill(&self, session: SessionId) -> Option<Bill>;
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which model.
    pub model: ModelId,
    /// The address that was asked, as its caller knows it: `https://pool.example/v1/chat/completions`.
    pub resource: String,
    /// Who will pay, where the asker says so. A quote that names its payer can be paid by nobody else, and what is not used
    /// goes back there whatever anybody says; of one that names none, the meter says whose the money is.
    pub payer: Option<Account>,
}

/// The answer 402, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// The value of `PAYMENT-REQUIRED`.
    pub header: String,
    /// The same for people and programs that read bodies: JSON.
    pub body: serde_json::Value,
}

/// What a request brings.
#[derive(Clone, Debug)]
pub enum Presented {
    /// The value of `PAYMENT-SIGNATURE`, unread.
    Voucher(String),
    /// What an earlier admission gave.
    Token(SessionToken),
}

/// Proof of having paid: who shows it, uses the session. Never shown or logged whole.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    /// Every token begins with this, so that it is told from an API key.
    pub const PREFIX: &'static str = "cps_";

    /// Takes a text as a token, if it has the look of one: the prefix and 43 characters of URL-safe base64 (256 bits).
    pub fn new(text: &str) -> Option<Self> {
        let body = text.strip_prefix(Self::PREFIX)?;
        let fits = body.len() == 43 && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    /// The token itself, for the header that gives it to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({}…)", Self::PREFIX)
    }
}

/// A request that may run.
#[derive(Clone, Debug)]
pub struct Admission {
    /// In which session.
    pub session: SessionId,
    /// As whom the orchestrator knows its payer.
    pub client: ClientId,
    /// Generations of this session that may run at once.
    pub generations: u32,
    /// Given with a voucher: what later requests show instead.
    pub token: Option<SessionToken>,
    /// Given with a voucher: the value of `PAYMENT-RESPONSE`.
    pub receipt: Option<String>,
}

/// A request that may not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TollRefusal {
    /// Not like this: answer 402 with a fresh quote that gives this reason, and with this `PAYMENT-RESPONSE`, if any.
    Pay {
        /// x402's name for what is wrong: `invalid_exact_evm_payload_signature`.
        reason: String,
        /// In words.
        fault: Fault,
        /// The value of `PAYMENT-RESPONSE`, where a voucher was tried.
        receipt: Option<String>,
    },
    /// What was presented cannot be read: answer 400.
    Malformed(Fault),
    /// Not now, for a reason that is ours.
    Fault(Fault),
}

/// How a session stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// Which.
    pub session: SessionId,
    /// Where its money is.
    pub account: Account,
    /// Who pays.
    pub payer: Account,
    /// For which model.
    pub model: ModelId,
    /// How far settling is.
    pub phase: BillPhase,
    /// What was paid in, in USDC.
    pub paid_in: Amount,
    /// What is paid a second, in USDCx.
    pub rate: Amount,
    /// Milliseconds served so far.
    pub served_ms: u64,
    /// What was paid out, in USDCx; nothing before it is settled.
    pub paid_out: Amount,
    /// What went back, in USDC.
    pub refund: Amount,
    /// What went back that is less than a unit, in USDCx.
    pub dust: Amount,
    /// The transactions that are known, in order.
    pub transactions: Vec<TxHash>,
    /// Why it is where it is, for people.
    pub reason: String,
}

/// How far the settling of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillPhase {
    /// The voucher is good; its opening is on the way.
    Authorized,
    /// Open on the chain.
    Streaming,
    /// Being closed.
    Closing,
    /// Closed on the chain, and every unit accounted for.
    Settled,
    /// The voucher was not executed, and never will be.
    Rejected,
    /// What came of the last step is not known; the chain is being asked.
    Unknown,
}
