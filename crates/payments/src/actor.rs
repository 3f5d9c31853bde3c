//! The task around settling: it writes down, submits and asks, and feeds back what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::Intent;
use computepool_core::ports::{Chain, Clock, Delivery, Ledger, LedgerEntry, StepId};
use computepool_core::{Account, Fault, FaultCode, SessionId};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use rand::RngCore;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::ledger::{EndReason, Granted};
use crate::meter::Meter;
use crate::quote::budget_ms;
use crate::settlement::{AuthorizeError, Effect, Event, EventKind, Look, News, State, apply};
use crate::turnstile::{Pass, Shown, Turnstile};

/// How often meters are read.
const TICK: Duration = Duration::from_millis(250);
/// How long the chain may take over a question.
const QUESTION: Duration = Duration::from_secs(15);
/// How long it may take over a step.
const STEP: Duration = Duration::from_secs(180);
/// The pause before a failed write is tried again.
const REWRITE: Duration = Duration::from_millis(500);

/// What payments needs of the outside world.
pub struct Ports {
    /// The chain, seen as the meter.
    pub chain: Arc<dyn Chain>,
    /// Where everything is written down.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where tokens and nonces come from. Must not be guessable.
    pub random: Box<dyn RngCore + Send>,
}

/// What the handle asks.
pub(crate) enum Command {
    /// Take a checked voucher.
    Take { granted: Box<Granted>, taken: oneshot::Sender<Result<Taken, NotTaken>> },
    /// Close a session.
    Close { session: SessionId, done: oneshot::Sender<()> },
    /// Stop all streams, then the task.
    Drain { deadline_ms: u64, done: oneshot::Sender<()> },
}

/// A voucher that was taken.
pub(crate) struct Taken {
    /// Whether it may be served before the voucher is in a block.
    pub(crate) trusted: bool,
    /// Comes when the session is open, or will not be.
    pub(crate) news: oneshot::Receiver<News>,
}

/// Why a voucher was not taken after all.
pub(crate) enum NotTaken {
    Refused(AuthorizeError),
    Fault(Fault),
}

/// Something came of what was asked of the chain.
type Answer = BoxFuture<'static, EventKind>;

pub(crate) struct Actor {
    pub(crate) state: State,
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) turnstile: Arc<Turnstile>,
    pub(crate) generations: u32,
    answers: FuturesUnordered<Answer>,
    waiting: BTreeMap<Account, oneshot::Sender<News>>,
    shown: BTreeMap<Account, Shown>,
    draining: Option<(u64, oneshot::Sender<()>)>,
    /// Somebody else writes the ledger: nothing may be done any more.
    ousted: bool,
}

impl Actor {
    pub(crate) fn new(state: State, ports: &Ports, turnstile: Arc<Turnstile>, generations: u32) -> Self {
        Self {
            state,
            chain: ports.chain.clone(),
            ledger: ports.ledger.clone(),
            clock: ports.clock.clone(),
            turnstile,
            generations,
            answers: FuturesUnordered::new(),
            waiting: BTreeMap::new(),
            shown: BTreeMap::new(),
            draining: None,
            ousted: false,
        }
    }

    /// Lets the holders of tokens from an earlier life pass.
    pub(crate) fn show_all(&self) {
        for session in self.state.sessions() {
            self.show(session.granted());
            self.refresh(&session.granted().account);
        }
    }

    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Command>, nudge: Arc<Notify>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut handles = true;
        while !self.ousted {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.handle_tick().await,
                () = nudge.notified() => self.read_meters().await,
                Some(answer) = self.answers.next() => self.step(answer).await,
                command = inbox.recv(), if handles => match command {
                    Some(command) => self.handle_command(command).await,
                    None => handles = false,
                },
            }
            if self.is_done(handles) {
                break;
            }
        }
        if let Some((_, done)) = self.draining.take() {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    /// Nothing streams that nobody watches: a drain waits for the streams to stop, as long as it may.
    fn is_done(&self, handles: bool) -> bool {
        let Some((deadline_ms, _)) = &self.draining else { return !handles };
        self.clock.now_ms() >= *deadline_ms || self.state.sessions().all(|session| session.at_rest())
    }

    async fn handle_tick(&mut self) {
        self.read_meters().await;
        self.step(EventKind::Tick).await;
        let kept: BTreeSet<SessionId> = self.state.sessions().map(|session| session.granted().session).collect();
        let gone: Vec<Account> =
            self.shown.keys().filter(|account| self.state.session(account).is_none()).copied().collect();
        for account in gone {
            self.shown.remove(&account);
            self.waiting.remove(&account);
        }
        self.turnstile.keep(&kept);
    }

    async fn read_meters(&mut self) {
        for shown in self.turnstile.readings(self.clock.now_ms()) {
            if self.shown.insert(shown.account, shown) == Some(shown) {
                continue;
            }
            let Shown { account, reading, spent } = shown;
            let metered = EventKind::Metered { account, served_ms: reading.served_ms, flowing: reading.flowing };
            self.step(metered).await;
            if spent {
                self.step(EventKind::End { account, why: EndReason::Spent }).await;
            }
        }
    }

    async fn handle_command(&mut self, command: Command) {
        match command {
            Command::Take { granted, taken } => {
                let answer = self.take(*granted).await;
                // A client that is gone leaves a session that closes itself when nobody uses it.
                let _ = taken.send(answer);
            }
            Command::Close { session, done } => {
                if let Some(account) = self.turnstile.account_of(session) {
                    self.step(EventKind::End { account, why: EndReason::Asked }).await;
                }
                let _ = done.send(());
            }
            Command::Drain { deadline_ms, done } => {
                self.draining = Some((deadline_ms, done));
            }
        }
    }

    async fn take(&mut self, granted: Granted) -> Result<Taken, NotTaken> {
        if self.draining.is_some() {
            let fault = Fault::new(FaultCode::Draining, "no new sessions are opened here").retry_after_ms(10_000);
            return Err(NotTaken::Fault(fault));
        }
        self.state.check(&granted).map_err(NotTaken::Refused)?;
        let account = granted.account;
        let event = Event { at_ms: self.clock.now_ms(), kind: EventKind::Authorize(Box::new(granted.clone())) };
        let mut effects = apply(&mut self.state, event);
        if let Some(Effect::Write(entries)) = effects.first()
            && let Err(fault) = self.ledger.append(entries.clone()).await
        {
            // Were it written all the same, the next life would find it, open it, and close it with a full refund.
            self.state.forget(&account);
            let duplicate = fault.code == FaultCode::Duplicate;
            return Err(if duplicate { NotTaken::Refused(AuthorizeError::QuoteUsed) } else { NotTaken::Fault(fault) });
        }
        effects.remove(0);
        let (tell, news) = oneshot::channel();
        self.waiting.insert(account, tell);
        self.show(&granted);
        let trusted = self.state.may_trust(&account);
        self.carry_out(effects).await;
        self.refresh(&account);
        Ok(Taken { trusted, news })
    }

    fn show(&self, granted: &Granted) {
        let Some(session) = self.state.session(&granted.account) else { return };
        let pass = Pass {
            account: granted.account,
            token: granted.token,
            meter: Meter::from(session.served_ms()),
            budget_ms: budget_ms(granted.terms.amount, &granted.offer),
            generations: self.generations,
            barred: None,
            bill: session.bill(),
        };
        self.turnstile.add(granted.session, pass);
    }

    /// Shows the turnstile how a session stands.
    fn refresh(&self, account: &Account) {
        let Some(session) = self.state.session(account) else { return };
        self.turnstile.update(session.bill(), session.bar());
    }

    async fn step(&mut self, kind: EventKind) {
        let effects = apply(&mut self.state, Event { at_ms: self.clock.now_ms(), kind });
        self.carry_out(effects).await;
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut touched = Vec::new();
        for effect in effects {
            if self.ousted {
                return;
            }
            match effect {
                Effect::Write(entries) => {
                    touched.extend(entries.first().and_then(|entry| entry.subject.parse::<Account>().ok()));
                    self.write(entries).await;
                }
                Effect::Submit { account, step, id, intent } => {
                    tracing::debug!(%account, step, "a step is submitted");
                    self.answers.push(submit(self.chain.clone(), account, step, id, *intent));
                    touched.push(account);
                }
                Effect::Look { account, voucher } => self.look(account, voucher),
                Effect::Tell(account, news) => {
                    if let News::Halted(fault) = &news {
                        tracing::warn!(%account, %fault, "a paid session is served no more");
                    }
                    if let Some(waiting) = self.waiting.remove(&account) {
                        let _ = waiting.send(news);
                    }
                    touched.push(account);
                }
            }
        }
        for account in touched {
            self.refresh(&account);
        }
    }

    /// Writes down, however long it takes: nothing may happen that is not written.
    async fn write(&mut self, entries: Vec<LedgerEntry>) {
        while let Err(fault) = self.ledger.append(entries.clone()).await {
            if fault.code == FaultCode::Duplicate {
                tracing::error!(%fault, "somebody else writes this ledger; payments stop here");
                self.ousted = true;
                return;
            }
            tracing::error!(%fault, entries = entries.len(), "the ledger cannot be written; payments wait");
            tokio::time::sleep(REWRITE).await;
        }
    }

    fn look(&self, account: Account, voucher: bool) {
        let Some(session) = self.state.session(&account) else { return };
        let (chain, granted) = (self.chain.clone(), session.granted().clone());
        let asking = async move {
            let view = chain.session(account).await?;
            let voucher = match voucher {
                true => Some(chain.voucher(&granted.terms, &granted.voucher).await?),
                false => None,
            };
            Ok(Box::new(Look { view, voucher }))
        };
        let answer = async move {
            let look = tokio::time::timeout(QUESTION, asking).await.unwrap_or_else(|_| Err(slow()));
            EventKind::Seen { account, look }
        };
        self.answers.push(answer.boxed());
    }
}

fn submit(chain: Arc<dyn Chain>, account: Account, step: u32, id: StepId, intent: Intent) -> Answer {
    async move {
        let delivery = tokio::time::timeout(STEP, chain.submit(id, intent)).await;
        let delivery = delivery.unwrap_or_else(|_| Delivery::Unknown { transaction: None, fault: slow() });
        EventKind::Answered { account, step, delivery: Box::new(delivery) }
    }
    .boxed()
}

fn slow() -> Fault {
    Fault::new(FaultCode::ChainUnavailable, "the chain does not answer").retry_after_ms(1_000)
}
