//! A web client that pays: an answer 402 is paid by x402, once, and the request sent again.
//!
//! ```text
//! send ─→ 402 ─→ what is asked, held against what the payer allows ─→ signed by the vault ─→ sent again ─→ answer
//!   └─ a session's token, where this server gave one ─────────────────────────────────────────┘
//! ```
//!
//! Endpoints of ours give a session's token with the first paid answer. It is shown to that server from then on, so that
//! one payment serves many requests. When the session is over, or another model is asked, the next 402 is paid as the
//! first was, and its session takes the place of the one before.

mod book;
mod till;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use computepool_chain::coalitions::Coalitions;
use computepool_core::money::B256;
use computepool_core::ports::{Clock as _, CoalitionId, SessionTerms, SessionToken, SystemClock, TokenDomain, Vault};
use computepool_core::{Account, Amount, Asset, Fault, FaultCode};
use computepool_payments::client::{Demand, Escrow, MAX_BODY_BYTES, Means, Payment, Settlement, pay};
use futures::future::BoxFuture;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, RequestBuilder, Response, StatusCode};

pub use self::book::{KeptPayment, PaymentBook};
use self::till::Till;
use crate::chains::ChainCard;
use crate::purse::Purse;

/// What is to be paid; on an answer 402.
const REQUIRED: HeaderName = HeaderName::from_static("payment-required");
/// A payment; on a request.
const SIGNATURE: HeaderName = HeaderName::from_static("payment-signature");
/// What became of a payment; on an answer.
const RESPONSE: HeaderName = HeaderName::from_static("payment-response");
/// The token of the session that a payment opened; on an answer of one of our endpoints.
const SESSION: HeaderName = HeaderName::from_static("computepool-session");

/// Who will pay, so that an endpoint of ours quotes for nobody else; on a request.
const PAYER: HeaderName = HeaderName::from_static("computepool-payer");

/// Who pays, with what, and how much at most.
#[derive(Clone)]
pub struct Payer {
    /// Signs, within its owner's limits: these bound what all payments together may cost.
    pub vault: Arc<dyn Vault>,
    /// As whom.
    pub account: Account,
    /// The tokens to pay with, from the address books of their chains.
    pub tokens: Vec<TokenDomain>,
    /// The most that one payment may cost.
    pub most: Amount,
    /// Pays for sessions of ours alone, and says so beforehand; without it any x402 server.
    pub sessions: Option<SessionsOnly>,
}

/// What a payer asks of a session before it pays, so that nobody has to be trusted with what is not used.
#[derive(Clone)]
pub struct SessionsOnly {
    /// Where sessions' money lies.
    pub escrow: Escrow,
    /// What a coalition takes a second, by the payer's own look at the chain.
    pub rates: Arc<dyn Rates>,
    /// The most that a session may cost an hour, in USDC. A seller can claim half a minute beyond what has passed.
    pub most_per_hour: Amount,
    /// Where every payment is written down before it leaves, so that what is not used can be fetched without the server.
    pub book: PaymentBook,
}

/// Knows what coalitions take.
pub trait Rates: Send + Sync {
    /// What sessions of a coalition pay a second, in USDCx; nothing where it takes none.
    fn rate(&self, coalition: CoalitionId) -> BoxFuture<'_, Result<Option<Amount>, Fault>>;
}

impl Rates for Coalitions {
    fn rate(&self, coalition: CoalitionId) -> BoxFuture<'_, Result<Option<Amount>, Fault>> {
        Box::pin(async move { Ok(self.open_rate(coalition).await?) })
    }
}

/// A payment that a server has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Paid {
    /// What was paid for: the address that was asked.
    pub resource: String,
    /// Who was paid, how much, and until when that could be had. At an endpoint of ours that is the session's account.
    pub payment: Payment,
    /// What the server says became of it, where it says something.
    pub settlement: Option<Settlement>,
}

/// A web client that pays what it is asked for, if it has a payer. Its clones are one client.
#[derive(Clone)]
pub struct PayingClient(Arc<Inner>);

struct Inner {
    client: Client,
    payer: Option<Payer>,
    till: Mutex<Till>,
}

impl PayingClient {
    /// Sends with `client`, and lets `payer` pay; without one a 402 is an answer like any other.
    pub fn new(client: Client, payer: Option<Payer>) -> Self {
        Self(Arc::new(Inner { client, payer, till: Mutex::default() }))
    }

    /// Sends a request. Where it has to be paid for, it is paid and sent again, so that its body must be one that can be
    /// sent twice: anything but a stream.
    ///
    /// A payment to which no answer came is kept, and presented again with the next request to the same address: it is
    /// never known whether the server has it. The fault of a payment that was refused says why; that of one that could
    /// not be made as well.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let mut request = request.build().map_err(|error| bad_request(&error))?;
        let Some(payer) = &self.0.payer else { return self.execute(request).await };
        if request.method() != Method::POST {
            // Nobody pays for looking.
            let token = self.token(&request);
            return self.present(request, token.as_ref()).await;
        }
        if payer.sessions.is_some() {
            let account = HeaderValue::try_from(payer.account.to_string()).map_err(|_| gone())?;
            request.headers_mut().insert(PAYER, account);
        }
        let again = request.try_clone().ok_or_else(|| {
            Fault::new(
                FaultCode::InvalidRequest,
                "a request whose body is a stream cannot be sent again with a payment",
            )
        })?;
        let shown = self.token(&request);
        let response = self.present(request, shown.as_ref()).await?;
        if response.status() != StatusCode::PAYMENT_REQUIRED {
            return Ok(response);
        }
        self.settle_up(payer, again, response, shown).await
    }

    /// The token of the session that the server at `base` gave.
    pub fn session_token(&self, base: &str) -> Option<SessionToken> {
        let url: reqwest::Url = base.parse().ok()?;
        self.till().token(&url.origin().ascii_serialization())
    }

    /// The newest payment that was answered.
    pub fn paid(&self) -> Option<Paid> {
        self.till().newest.clone()
    }

    /// Gets past a 402.
    async fn settle_up(
        &self,
        payer: &Payer,
        request: Request,
        mut response: Response,
        shown: Option<SessionToken>,
    ) -> Result<Response, Fault> {
        // Those who come while somebody pays may find that it has been done for them.
        let counter = self.till().counter(&origin(&request));
        let _paying = counter.lock().await;
        let token = self.token(&request);
        if token.is_some() && token != shown {
            let request = request.try_clone().ok_or_else(gone)?;
            response = self.present(request, token.as_ref()).await?;
            if response.status() != StatusCode::PAYMENT_REQUIRED {
                return Ok(response);
            }
        }
        let resource = request.url().to_string();
        let kept = self.till().unanswered(&resource, now_s());
        let payment = match kept {
            Some(payment) => payment,
            None => payer.pay(&resource, &demand(response).await?).await?,
        };
        self.present_payment(request, resource, payment).await
    }

    async fn present_payment(
        &self,
        mut request: Request,
        resource: String,
        payment: Payment,
    ) -> Result<Response, Fault> {
        self.till().hand_out(&resource, payment.clone());
        let origin = origin(&request);
        request.headers_mut().insert(SIGNATURE, secret(&payment.header)?);
        let response = self.execute(request).await.map_err(|fault| {
            let value = payment.authorization.value;
            fault.hint(format!(
                "a payment of {value} had left already; `computepool wallet refunds` shows what became of it"
            ))
        })?;
        let settlement = match text(response.headers(), &RESPONSE) {
            Some(header) => Settlement::read(header, &payment)
                .inspect_err(|error| tracing::warn!(resource, %error, "a payment was answered"))
                .map(Some),
            None => Ok(None),
        };
        let refused = response.status() == StatusCode::PAYMENT_REQUIRED;
        // A server that fails without a word about the payment may take it next time.
        if !refused && !response.status().is_success() && matches!(settlement, Ok(None)) {
            return Ok(response);
        }
        self.till().answered(&resource);
        if refused {
            let reason = match settlement.ok().flatten().and_then(|settlement| settlement.reason) {
                Some(reason) => Some(reason),
                None => demand(response).await.ok().and_then(|demand| demand.error),
            };
            let reason = reason.as_deref().unwrap_or("it does not say why");
            let message = format!("{resource} does not take the payment of {}: {reason}", payment.authorization.value);
            return Err(Fault::new(FaultCode::PaymentRefused, message));
        }
        let token = text(response.headers(), &SESSION).and_then(SessionToken::new);
        let paid = Paid { resource, payment, settlement: settlement.ok().flatten() };
        self.till().taken(paid, &origin, token);
        Ok(response)
    }

    /// Sends a request with the session's token, in the place of any key that it has.
    async fn present(&self, mut request: Request, token: Option<&SessionToken>) -> Result<Response, Fault> {
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, secret(&format!("Bearer {}", token.reveal()))?);
        }
        self.execute(request).await
    }

    async fn execute(&self, request: Request) -> Result<Response, Fault> {
        let place = origin(&request);
        let sent = self.0.client.execute(request).await;
        sent.map_err(|error| {
            Fault::new(FaultCode::LinkLost, format!("{place} cannot be reached: {}", error.without_url()))
        })
    }

    fn token(&self, request: &Request) -> Option<SessionToken> {
        self.till().token(&origin(request))
    }

    fn till(&self) -> MutexGuard<'_, Till> {
        self.0.till.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Payer {
    /// Pays any x402 server from a purse on one chain.
    pub fn new(purse: &Purse, card: &ChainCard, most: Amount) -> Self {
        Self { vault: purse.vault(), account: purse.account, tokens: vec![card.book.token()], most, sessions: None }
    }

    /// The same for sessions with ComputePool's endpoints alone, at no more than `most_per_hour` USDC an hour: nobody there
    /// has to be trusted with what is not used.
    pub fn of_sessions(
        purse: &Purse,
        card: &ChainCard,
        most: Amount,
        most_per_hour: Amount,
        book: PaymentBook,
    ) -> Result<Self, Fault> {
        let addresses = card.book.clone();
        let escrow = Escrow::new(addresses.chain_id, move |terms| addresses.session_account(terms));
        let rates = Arc::new(Coalitions::new(card.rpc()?, &card.book));
        Ok(Self { sessions: Some(SessionsOnly { escrow, rates, most_per_hour, book }), ..Self::new(purse, card, most) })
    }

    async fn pay(&self, resource: &str, demand: &Demand) -> Result<Payment, Fault> {
        let escrow = self.sessions.as_ref().map(|sessions| sessions.escrow.clone());
        let means = Means { account: self.account, tokens: self.tokens.clone(), most: self.most, sessions: escrow };
        if let Some(sessions) = &self.sessions {
            let (offer, token) = means.choose(demand)?;
            sessions.check_price(offer.session(Amount::new(offer.units, token.asset))).await?;
        }
        let mut nonce = B256::ZERO;
        OsRng
            .try_fill_bytes(nonce.as_mut_slice())
            .map_err(|error| Fault::new(FaultCode::Internal, format!("no random numbers: {error}")))?;
        let payment = pay(&*self.vault, &means, demand, now_s(), nonce).await?;
        if let Some(sessions) = &self.sessions {
            let kept = KeptPayment::new(now_s(), resource, &payment).ok_or_else(gone)?;
            sessions.book.add(&kept)?;
        }
        Ok(payment)
    }
}

impl SessionsOnly {
    /// Whether the coalition that would be paid takes no more than is allowed: whoever sells may have founded one that does.
    async fn check_price(&self, terms: Option<SessionTerms>) -> Result<(), Fault> {
        let terms = terms.ok_or_else(gone)?;
        let rate = self.rates.rate(terms.coalition).await?.ok_or_else(|| {
            Fault::new(FaultCode::PaymentRefused, "nothing is paid: the coalition takes no sessions, by the chain")
        })?;
        let hourly = rate.times(3_600)?;
        if hourly.units > self.most_per_hour.convert(Asset::Usdcx)?.units {
            let what =
                format!("nothing is paid: a session costs {hourly} an hour, and at most {} are", self.most_per_hour);
            return Err(Fault::new(FaultCode::SpendLimit, what).hint("allow more an hour, or ask somebody cheaper"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for PayingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let account = self.0.payer.as_ref().map(|payer| payer.account);
        f.debug_struct("PayingClient").field("account", &account).finish_non_exhaustive()
    }
}

/// What an answer 402 asks for. No more of its body is read than is looked at.
async fn demand(mut response: Response) -> Result<Demand, Fault> {
    let header = text(response.headers(), &REQUIRED).map(str::to_owned);
    let mut body = Vec::new();
    if header.is_none() {
        let broken = |error: reqwest::Error| Fault::new(FaultCode::LinkLost, format!("the connection broke: {error}"));
        while let Some(part) = response.chunk().await.map_err(broken)? {
            if body.len() + part.len() > MAX_BODY_BYTES {
                return Err(Fault::new(FaultCode::OversizeFrame, "the server asks for payment with too many words"));
            }
            body.extend_from_slice(&part);
        }
    }
    Ok(Demand::read(header.as_deref(), &body)?)
}

/// The server that a request goes to: `https://pool.example`.
fn origin(request: &Request) -> String {
    request.url().origin().ascii_serialization()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn secret(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::try_from(text).map_err(|_| gone())?;
    value.set_sensitive(true);
    Ok(value)
}

fn bad_request(error: &reqwest::Error) -> Fault {
    Fault::new(FaultCode::InvalidRequest, format!("the request cannot be made: {error}"))
}

fn gone() -> Fault {
    Fault::new(FaultCode::Internal, "a request could not be made twice; this is a bug")
}

fn now_s() -> u64 {
    SystemClock.now_ms() / 1000
}
