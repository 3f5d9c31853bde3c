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

use computepool_core::money::B256;
use computepool_core::ports::{Clock as _, SessionToken, SystemClock, TokenDomain, Vault};
use computepool_core::{Account, Amount, Fault, FaultCode};
use computepool_payments::client::{Demand, Escrow, MAX_BODY_BYTES, Means, Payment, Settlement, pay};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};

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
    /// Pays for sessions of this escrow alone, and says so beforehand; without it any x402 server.
    pub sessions: Option<Escrow>,
    /// Where every payment is written down before it leaves, so that what is not used can be fetched without the server.
    pub book: Option<PaymentBook>,
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
            None => {
                let payment = payer.pay(&demand(response).await?).await?;
                if let Some(book) = &payer.book {
                    book.add(&KeptPayment::new(now_s(), &resource, &payment))?;
                }
                payment
            }
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
        let response = self.execute(request).await?;
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
        Self {
            vault: purse.vault(),
            account: purse.account,
            tokens: vec![card.book.token()],
            most,
            sessions: None,
            book: None,
        }
    }

    /// The same for sessions with ComputePool's endpoints alone: nobody there has to be trusted with what is not used.
    pub fn of_sessions(purse: &Purse, card: &ChainCard, most: Amount, kept: PaymentBook) -> Self {
        let book = card.book.clone();
        let escrow = Escrow::new(book.chain_id, move |terms| book.session_account(terms));
        Self { sessions: Some(escrow), book: Some(kept), ..Self::new(purse, card, most) }
    }

    async fn pay(&self, demand: &Demand) -> Result<Payment, Fault> {
        let (tokens, sessions) = (self.tokens.clone(), self.sessions.clone());
        let means = Means { account: self.account, tokens, most: self.most, sessions };
        let mut nonce = B256::ZERO;
        OsRng
            .try_fill_bytes(nonce.as_mut_slice())
            .map_err(|error| Fault::new(FaultCode::Internal, format!("no random numbers: {error}")))?;
        Ok(pay(&*self.vault, &means, demand, now_s(), nonce).await?)
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
