//! The toll: what the HTTP face holds of payments.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use alloy_primitives::B256;
use computepool_core::ports::{
    Admission, Asked, Bill, Chain, Clock, CoalitionId, CoalitionOffer, Delivery, Intent, Presented, Quote,
    SessionToken, StepId, Toll, TollRefusal, Voucher,
};
use computepool_core::{ClientId, Fault, FaultCode, GenerationId, SessionId};
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::RngCore;
use serde_json::{Map, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::Instrument;

use crate::actor::{Actor, Command, NotTaken, Ports};
use crate::ledger::Granted;
use crate::quote::{self, Tariff};
use crate::settings::{Settings, SettingsError};
use crate::settlement::{AuthorizeError, News, State};
use crate::standin::{Serving, reassignments};
use crate::turnstile::Turnstile;
use crate::x402::{self, PaymentPayload, Reason, SettlementResponse};
use crate::{token, voucher};

/// Commands that may wait for the task.
const QUEUE: usize = 256;
/// How long an offer is taken for true without asking again, in milliseconds.
const OFFER_MS: u64 = 10_000;
/// How long a contract wallet may take to be asked about its signature.
const CONTRACT: Duration = Duration::from_secs(10);

/// Payments as a running task. Dropping the handle stops it; what is under way is found again in the next life.
pub struct Payments {
    settings: Settings,
    tariffs: RwLock<Vec<Tariff>>,
    chain: Arc<dyn Chain>,
    clock: Arc<dyn Clock>,
    random: Mutex<Box<dyn RngCore + Send>>,
    turnstile: Arc<Turnstile>,
    offers: Mutex<BTreeMap<CoalitionId, (u64, CoalitionOffer)>>,
    commands: mpsc::Sender<Command>,
    nudge: Arc<Notify>,
}

/// A voucher that was found good, and what it says.
struct Good {
    granted: Granted,
    token: SessionToken,
}

impl Payments {
    /// Reads the ledger and goes on where an earlier life stopped, on the current tokio runtime.
    pub async fn start(ports: Ports, mut settings: Settings) -> Result<Self, Fault> {
        settings.check().map_err(|error| Fault::new(FaultCode::InvalidRequest, error.to_string()))?;
        let entries = ports.ledger.unconcluded().await?;
        let state = State::restore(settings.policy, ports.clock.now_ms(), &entries)
            .map_err(|error| Fault::new(FaultCode::Internal, format!("the ledger cannot be read: {error}")))?;
        let under_way = state.sessions().count();
        tracing::info!(under_way, "payments begin");
        let turnstile = Arc::new(Turnstile::default());
        let (commands, inbox) = mpsc::channel(QUEUE);
        let nudge = Arc::new(Notify::new());
        let actor = Actor::new(state, &ports, turnstile.clone(), settings.generations);
        actor.show_all();
        tokio::spawn(actor.run(inbox, nudge.clone()).instrument(tracing::info_span!("payments")));
        let Ports { chain, clock, random, .. } = ports;
        let (random, offers) = (Mutex::new(random), Mutex::new(BTreeMap::new()));
        let tariffs = RwLock::new(std::mem::take(&mut settings.tariffs));
        Ok(Self { settings, tariffs, chain, clock, random, turnstile, offers, commands, nudge })
    }

    /// Takes no new sessions, waits up to `within` until nothing streams, and stops.
    pub async fn drain(&self, within: Duration) {
        let (done, drained) = oneshot::channel();
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let deadline_ms = self.clock.now_ms().saturating_add(within_ms);
        if self.commands.send(Command::Drain { deadline_ms, done }).await.is_ok() {
            // An error means that the task has ended, which is what was asked for.
            let _ = drained.await;
        }
    }

    /// Sees to it that those who serve a coalition's places are those who are paid for them. Call it whenever places change
    /// hands, and now and then besides: what was not done, or was undone, is done then. Returns how many places were
    /// reassigned; the contract refuses operators who have not signed for their place.
    pub async fn pay_who_serves(&self, coalition: CoalitionId, serving: &[Serving]) -> Result<u32, Fault> {
        let offer = self.chain.coalition(coalition).await?;
        let mut done = 0;
        for (place, operator) in reassignments(&offer, serving) {
            // Doing it twice changes nothing, so that every try has a name of its own.
            let step = StepId(B256::from(self.draw::<32>()));
            match self.chain.submit(step, Intent::Reassign { coalition, place, operator }).await {
                Delivery::Landed { .. } => done += 1,
                Delivery::Refused(refused) => {
                    let what = format!("place {place} cannot go to {operator}: {}", refused.why);
                    return Err(Fault::new(FaultCode::ChainRefused, what));
                }
                Delivery::NotSent(fault) | Delivery::Unknown { fault, .. } => return Err(fault),
            }
        }
        Ok(done)
    }

    /// Sells a model from now on, in place of what was asked for it before. Sessions that were opened keep their terms.
    pub fn sell(&self, tariff: Tariff) -> Result<(), SettingsError> {
        tariff.check()?;
        let mut tariffs = self.tariffs.write().unwrap_or_else(PoisonError::into_inner);
        tariffs.retain(|other| other.model != tariff.model);
        tariffs.push(tariff);
        Ok(())
    }

    fn tariff(&self, asked: &Asked) -> Result<Tariff, Fault> {
        let tariffs = self.tariffs.read().unwrap_or_else(PoisonError::into_inner);
        let tariff = tariffs.iter().find(|tariff| tariff.model == asked.model);
        tariff.cloned().ok_or_else(|| {
            let what = format!("{} is not sold yet: its operators have not agreed on terms", asked.model);
            Fault::new(FaultCode::NoRoute, what).retry_after_ms(2_000)
        })
    }

    /// What a coalition offers, as of a moment ago; of longer ago while the chain does not answer.
    async fn offer(&self, id: CoalitionId) -> Result<CoalitionOffer, Fault> {
        let now_ms = self.clock.now_ms();
        let kept = || self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().get(&id).cloned();
        if let Some((at_ms, offer)) = &known
            && now_ms < at_ms.saturating_add(OFFER_MS)
        {
            return Ok(offer.clone());
        }
        match (self.chain.coalition(id).await, known) {
            (Ok(offer), _) => {
                kept().insert(id, (now_ms, offer.clone()));
                Ok(offer)
            }
            (Err(fault), None) => Err(fault),
            (Err(_), Some((_, offer))) => Ok(offer),
        }
    }

    fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }

    async fn make_quote(&self, asked: &Asked, error: Option<&str>) -> Result<Quote, Fault> {
        let tariff = self.tariff(asked)?;
        let offer = self.offer(tariff.coalition).await?;
        if !offer.open || quote::budget_ms(tariff.amount, &offer) == 0 {
            return Err(Fault::new(FaultCode::NoRoute, "its coalition takes no sessions now").retry_after_ms(10_000));
        }
        let (now_s, validity) = (self.clock.now_ms() / 1000, self.settings.validity);
        let fresh = quote::Fresh { validity, now_s, nonce: self.draw(), error };
        let required = quote::make(&self.settings.key, &*self.chain, asked, &tariff, &offer, fresh);
        let body = serde_json::to_value(&required)
            .map_err(|error| Fault::new(FaultCode::Internal, format!("a quote cannot be written: {error}")))?;
        Ok(Quote { header: x402::encode(&required), body })
    }

    fn refuse(&self, reason: Reason, more: impl std::fmt::Display, payload: Option<&PaymentPayload>) -> TollRefusal {
        let receipt = payload.map(|payload| {
            x402::encode(&SettlementResponse {
                success: false,
                transaction: String::new(),
                network: self.chain.id().caip2(),
                payer: payload
                    .payload
                    .authorization
                    .from
                    .parse::<computepool_core::Account>()
                    .ok()
                    .map(|a| a.to_string()),
                error_reason: Some(reason.to_string()),
                amount: None,
                extensions: None,
            })
        });
        TollRefusal::Pay { reason: reason.to_string(), fault: reason.fault(more), receipt }
    }

    /// Everything that can be said of a voucher before it is taken.
    async fn examine(&self, asked: &Asked, payload: &PaymentPayload) -> Result<Good, TollRefusal> {
        let refuse = |reason: Reason| self.refuse(reason, "", Some(payload));
        if payload.x402_version != x402::VERSION {
            return Err(refuse(Reason::Version));
        }
        let terms = quote::check(&self.settings.key, &*self.chain, asked, &payload.accepted).map_err(refuse)?;
        let voucher = voucher::read(&payload.payload).map_err(refuse)?;
        let account = self.chain.session_account(&terms);
        if voucher.authorization.to != account {
            return Err(refuse(Reason::Recipient));
        }
        if !terms.payer.is_zero() && voucher.authorization.from != terms.payer {
            return Err(refuse(Reason::Payer));
        }
        if voucher.authorization.value != terms.amount {
            return Err(refuse(Reason::Value));
        }
        let now_ms = self.clock.now_ms();
        if now_ms / 1000 >= terms.expires_s {
            return Err(refuse(Reason::Expired));
        }
        voucher::check_window(&voucher.authorization, now_ms / 1000, terms.expires_s).map_err(refuse)?;
        let by_key = voucher::signer(&self.chain.token(), &voucher) == Some(voucher.authorization.from);
        let offer = self.offer(terms.coalition).await.map_err(TollRefusal::Fault)?;
        if !offer.open {
            return Err(refuse(Reason::Expired));
        }
        self.ask_chain(&terms, &voucher, by_key, payload).await?;
        let token = token::of(self.draw()).ok_or_else(|| {
            TollRefusal::Fault(Fault::new(FaultCode::Internal, "a token could not be made; this is a bug"))
        })?;
        let granted = Granted {
            session: SessionId(self.draw()),
            account,
            terms,
            voucher,
            model: asked.model.clone(),
            offer,
            token: token::hash(&token),
            at_ms: now_ms,
        };
        Ok(Good { granted, token })
    }

    /// Refuses what the chain says that it would not execute. Where it does not say so in time, limits decide; a signature that
    /// is no key's is the payer's contract's to judge, and that is waited for.
    async fn ask_chain(
        &self,
        terms: &computepool_core::ports::SessionTerms,
        voucher: &Voucher,
        by_key: bool,
        payload: &PaymentPayload,
    ) -> Result<(), TollRefusal> {
        let patience = if by_key { self.settings.patience } else { CONTRACT };
        let answer = tokio::time::timeout(patience, self.chain.voucher(terms, voucher)).await;
        let Ok(Ok(state)) = answer else {
            return if by_key { Ok(()) } else { Err(self.refuse(Reason::Signature, "", Some(payload))) };
        };
        voucher::check_state(voucher, &state).map_err(|(reason, more)| match by_key || state.contract {
            true => self.refuse(reason, more, Some(payload)),
            false => self.refuse(Reason::Signature, "", Some(payload)),
        })?;
        if by_key || state.contract { Ok(()) } else { Err(self.refuse(Reason::Signature, "", Some(payload))) }
    }

    async fn admit_voucher(&self, asked: &Asked, header: &str) -> Result<Admission, TollRefusal> {
        let payload: PaymentPayload = x402::decode(header).map_err(|error| {
            TollRefusal::Malformed(Fault::new(FaultCode::InvalidRequest, format!("PAYMENT-SIGNATURE: {error}")))
        })?;
        let Good { granted, token } = self.examine(asked, &payload).await?;
        let session = granted.session;
        let (taken, answer) = oneshot::channel();
        let take = Command::Take { granted: Box::new(granted.clone()), taken };
        self.commands.send(take).await.map_err(|_| TollRefusal::Fault(stopped()))?;
        let taken = match answer.await {
            Ok(Ok(taken)) => taken,
            Ok(Err(NotTaken::Refused(error))) => {
                return Err(match error {
                    AuthorizeError::QuoteUsed => self.refuse(Reason::QuoteUsed, "", Some(&payload)),
                    AuthorizeError::VoucherUsed => self.refuse(Reason::Used, "", Some(&payload)),
                    AuthorizeError::Full | AuthorizeError::PayerFull => {
                        TollRefusal::Fault(Fault::new(FaultCode::RateLimited, error.to_string()).retry_after_ms(10_000))
                    }
                });
            }
            Ok(Err(NotTaken::Fault(fault))) => return Err(TollRefusal::Fault(fault)),
            Err(_) => return Err(TollRefusal::Fault(stopped())),
        };
        if !taken.trusted {
            match tokio::time::timeout(self.settings.opening, taken.news).await {
                Ok(Ok(News::Opened)) => {}
                Ok(Ok(News::Halted(fault))) => {
                    return Err(self.refuse(Reason::Unsettled, fault.message, Some(&payload)));
                }
                _ => return Err(self.refuse(Reason::Unsettled, "it was in no block in time", Some(&payload))),
            }
        }
        let receipt = self.receipt(&granted);
        self.admission(session, Some(token), Some(receipt))
    }

    fn receipt(&self, granted: &Granted) -> String {
        let bill = self.turnstile.bill(granted.session, self.clock.now_ms());
        let transaction = bill.and_then(|bill| bill.transactions.first().copied());
        let mut extensions = Map::new();
        let about = json!({
            "session": granted.session,
            "account": granted.account,
            "settlement": if transaction.is_some() { "sent" } else { "pending" },
        });
        extensions.insert("computepool".to_owned(), about);
        x402::encode(&SettlementResponse {
            success: true,
            transaction: transaction.map(|hash| hash.to_string()).unwrap_or_default(),
            network: self.chain.id().caip2(),
            payer: Some(granted.voucher.authorization.from.to_string()),
            error_reason: None,
            amount: Some(granted.terms.amount.units.to_string()),
            extensions: Some(extensions),
        })
    }

    fn admission(
        &self,
        session: SessionId,
        token: Option<SessionToken>,
        receipt: Option<String>,
    ) -> Result<Admission, TollRefusal> {
        let client = ClientId::new(format!("paid_{session}")).map_err(TollRefusal::Fault)?;
        Ok(Admission { session, client, generations: self.settings.generations, token, receipt })
    }
}

impl Toll for Payments {
    fn quote<'a>(&'a self, asked: &'a Asked, error: Option<&'a str>) -> BoxFuture<'a, Result<Quote, Fault>> {
        self.make_quote(asked, error).boxed()
    }

    fn admit<'a>(&'a self, asked: &'a Asked, presented: Presented) -> BoxFuture<'a, Result<Admission, TollRefusal>> {
        async move {
            match presented {
                Presented::Voucher(header) => self.admit_voucher(asked, &header).await,
                Presented::Token(token) => {
                    let session = self.turnstile.pass(&token::hash(&token)).map_err(|fault| TollRefusal::Pay {
                        reason: Reason::Session.to_string(),
                        fault,
                        receipt: None,
                    })?;
                    let bill = self.turnstile.bill(session, self.clock.now_ms());
                    if bill.is_none_or(|bill| bill.model != asked.model) {
                        return Err(self.refuse(Reason::Session, "it was opened for another model", None));
                    }
                    self.admission(session, None, None)
                }
            }
        }
        .boxed()
    }

    fn session_of(&self, token: &SessionToken) -> Option<SessionId> {
        self.turnstile.session_of(&token::hash(token))
    }

    fn began(&self, session: SessionId, generation: GenerationId) -> Result<(), Fault> {
        self.turnstile.began(session, generation, self.clock.now_ms())?;
        self.nudge.notify_one();
        Ok(())
    }

    fn progressed(&self, generation: GenerationId) -> Result<(), Fault> {
        if self.turnstile.progressed(generation, self.clock.now_ms())? {
            // A crash must not forget it.
            self.nudge.notify_one();
        }
        Ok(())
    }

    fn ended(&self, generation: GenerationId) {
        self.turnstile.ended(generation);
        self.nudge.notify_one();
    }

    fn close<'a>(&'a self, token: &'a SessionToken) -> BoxFuture<'a, Result<Bill, Fault>> {
        async move {
            let unknown = || Fault::new(FaultCode::PaymentRequired, "nobody knows this session's token");
            let session = self.turnstile.session_of(&token::hash(token)).ok_or_else(unknown)?;
            let (done, closing) = oneshot::channel();
            self.commands.send(Command::Close { session, done }).await.map_err(|_| stopped())?;
            closing.await.map_err(|_| stopped())?;
            self.turnstile.bill(session, self.clock.now_ms()).ok_or_else(unknown)
        }
        .boxed()
    }

    fn bill(&self, session: SessionId) -> Option<Bill> {
        self.turnstile.bill(session, self.clock.now_ms())
    }
}

impl std::fmt::Debug for Payments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payments").field("tariffs", &self.tariffs).finish_non_exhaustive()
    }
}

fn stopped() -> Fault {
    Fault::new(FaultCode::Draining, "payments have stopped").retry_after_ms(10_000)
}
