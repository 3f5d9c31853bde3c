//! The task behind a sender: gives out nonces, and looks after what is under way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{B256, U256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::transaction::Hand;
use super::{Entry, Intent, Landed, Outbox, SenderOptions, Until};
use crate::ChainError;
use crate::finality::{Standing, standing};
use crate::gas::Fees;
use crate::rpc::Rpc;

/// How many results are remembered, for those who ask again.
const REMEMBERED: usize = 1_024;
/// How many forms an intent may take.
const FORMS: usize = 12;
/// For how long a used nonce may have no receipt before another transaction must have used it: an endpoint may know a
/// block and not yet its receipts.
const NO_RECEIPT: Duration = Duration::from_secs(30);

pub(super) struct Command {
    pub(super) intent: Intent,
    pub(super) until: Until,
    pub(super) answer: oneshot::Sender<Result<Answer, ChainError>>,
}

pub(super) enum Answer {
    Landed(Landed),
    /// The intent is new, and its gas has to be estimated first.
    Estimate,
}

struct Waiter {
    until: Until,
    since: Instant,
    answer: oneshot::Sender<Result<Answer, ChainError>>,
}

/// A transaction under way.
struct Flight {
    entry: Entry,
    waiters: Vec<Waiter>,
    since: Instant,
    /// When the newest form was signed, or found.
    renewed: Instant,
    /// When it was last handed to the chain.
    sent: Option<Instant>,
    /// Since when its nonce has been used without a receipt.
    missing: Option<Instant>,
}

pub(super) struct Queue {
    rpc: Rpc,
    hand: Hand,
    outbox: Box<dyn Outbox>,
    options: SenderOptions,
    commands: mpsc::Receiver<Command>,
    end: CancellationToken,
    flights: BTreeMap<u64, Flight>,
    /// The lowest nonce that nothing was ever signed under here.
    next: u64,
    results: VecDeque<(B256, Result<Landed, ChainError>)>,
}

impl Queue {
    pub(super) fn new(
        rpc: Rpc,
        hand: Hand,
        mut outbox: Box<dyn Outbox>,
        options: SenderOptions,
        commands: mpsc::Receiver<Command>,
        end: CancellationToken,
    ) -> Result<Self, ChainError> {
        let now = Instant::now();
        let flights: BTreeMap<u64, Flight> =
            outbox.load()?.into_iter().map(|entry| (entry.nonce, Flight::new(entry, now))).collect();
        let next = flights.last_key_value().map_or(0, |(nonce, _)| nonce + 1);
        Ok(Self { rpc, hand, outbox, options, commands, end, flights, next, results: VecDeque::new() })
    }

    pub(super) async fn run(mut self) {
        let span = tracing::info_span!("sender", chain = self.rpc.chain_id(), account = %self.hand.account);
        async move {
            let mut tick = interval(self.options.poll);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = self.end.cancelled() => return,
                    command = self.commands.recv() => match command {
                        Some(command) => self.handle_command(command).await,
                        None => return,
                    },
                    _ = tick.tick(), if !self.flights.is_empty() => self.handle_tick().await,
                }
            }
        }
        .instrument(span)
        .await;
    }

    async fn handle_command(&mut self, command: Command) {
        let Command { intent, until, answer } = command;
        if let Some((_, result)) = self.results.iter().find(|(id, _)| *id == intent.id) {
            answer.send(result.clone().map(Answer::Landed)).ok();
            return;
        }
        let waiter = Waiter { until, since: Instant::now(), answer };
        if let Some(flight) = self.flights.values_mut().find(|flight| flight.entry.intent.id == intent.id) {
            flight.waiters.push(waiter);
            return;
        }
        let Some(gas) = intent.gas else {
            waiter.answer.send(Ok(Answer::Estimate)).ok();
            return;
        };
        match self.launch(intent, gas).await {
            Ok(nonce) => {
                if let Some(flight) = self.flights.get_mut(&nonce) {
                    flight.waiters.push(waiter);
                }
                self.hand_over(nonce).await;
            }
            Err(error) => {
                waiter.answer.send(Err(error)).ok();
            }
        }
    }

    /// Signs an intent and writes it down. Until this returns well nothing has left, and the nonce is free.
    async fn launch(&mut self, intent: Intent, gas: u64) -> Result<u64, ChainError> {
        let account = self.hand.account;
        if self.flights.len() >= self.options.under_way {
            return Err(ChainError::Busy { account, count: self.flights.len() });
        }
        let fees = self.fees().await?;
        let cost = |gas: u64, fees: Fees, value: U256| U256::from(gas) * U256::from(fees.most()) + value;
        let committed = self.flights.values().map(|flight| {
            let fees = flight.entry.forms.last().map_or(fees, |form| form.fees);
            cost(flight.entry.intent.gas.unwrap_or(gas), fees, flight.entry.intent.value)
        });
        let needs = committed.fold(cost(gas, fees, intent.value), U256::saturating_add);
        let has = self.rpc.balance(account).await?;
        if has < needs {
            return Err(ChainError::Funds { account, has, needs, what: intent.what });
        }
        // Somebody else may have used the key; a nonce that the chain has seen is never used again.
        let nonce = self.next.max(self.rpc.nonce(account, BlockNumberOrTag::Pending).await?);
        let form = self.hand.signed(&intent, nonce, gas, fees).await?;
        tracing::debug!(what = %intent.what, nonce, hash = %form.hash, "signed");
        let entry = Entry { intent: Intent { gas: Some(gas), ..intent }, nonce, forms: vec![form] };
        self.outbox.put(&entry)?;
        self.next = nonce + 1;
        self.flights.insert(nonce, Flight::new(entry, Instant::now()));
        Ok(nonce)
    }

    async fn fees(&self) -> Result<Fees, ChainError> {
        self.options.gas.fees(&self.rpc).await
    }

    /// Hands the newest form to the chain. What it says against it decides nothing: it may be known, or be refused by
    /// one endpoint and not by the next. Only a receipt tells.
    async fn hand_over(&mut self, nonce: u64) {
        let Some(flight) = self.flights.get_mut(&nonce) else { return };
        let again = flight.sent.replace(Instant::now()).is_some();
        let Some(form) = flight.entry.forms.last() else { return };
        if again {
            self.rpc.send_raw_everywhere(&form.raw).await;
        } else if let Err(error) = self.rpc.send_raw(&form.raw).await {
            tracing::debug!(nonce, hash = %form.hash, %error, "not taken; it will be sent again");
        }
    }

    async fn handle_tick(&mut self) {
        let used = match self.rpc.nonce(self.hand.account, BlockNumberOrTag::Latest).await {
            Ok(used) => used,
            Err(error) => {
                tracing::debug!(%error, "cannot look at what is under way");
                self.answer_impatient();
                return;
            }
        };
        let nonces: Vec<u64> = self.flights.keys().copied().collect();
        for nonce in nonces {
            let looked = if nonce < used { self.look_up(nonce).await } else { self.push_on(nonce).await };
            if let Err(error) = looked {
                tracing::debug!(nonce, %error, "cannot look after a transaction");
            }
        }
        self.answer_impatient();
    }

    /// The nonce was used: by one of the forms, or by a stranger.
    async fn look_up(&mut self, nonce: u64) -> Result<(), ChainError> {
        let Some(flight) = self.flights.get(&nonce) else { return Ok(()) };
        let hashes: Vec<B256> = flight.entry.forms.iter().rev().map(|form| form.hash).collect();
        for hash in &hashes {
            match standing(&self.rpc, *hash, self.options.depth).await? {
                Standing::Absent => {}
                Standing::Confirming(receipt) => {
                    if let Some(flight) = self.flights.get_mut(&nonce) {
                        flight.missing = None;
                        flight.included(&outcome(&flight.entry.intent, &receipt));
                    }
                    return Ok(());
                }
                Standing::Final(receipt) => {
                    let Some(flight) = self.flights.get(&nonce) else { return Ok(()) };
                    let result = outcome(&flight.entry.intent, &receipt);
                    return self.finish(nonce, result);
                }
            }
        }
        let Some(flight) = self.flights.get_mut(&nonce) else { return Ok(()) };
        let missing = *flight.missing.get_or_insert_with(Instant::now);
        if missing.elapsed() > NO_RECEIPT {
            let hash = hashes.first().copied().unwrap_or_default();
            tracing::warn!(nonce, %hash, "another transaction took the nonce");
            return self.finish(nonce, Err(ChainError::NonceTaken { account: self.hand.account, nonce, hash }));
        }
        Ok(())
    }

    /// The nonce is free still: the transaction waits, is stuck, or was forgotten.
    async fn push_on(&mut self, nonce: u64) -> Result<(), ChainError> {
        let Some(flight) = self.flights.get_mut(&nonce) else { return Ok(()) };
        flight.missing = None;
        if flight.renewed.elapsed() > self.options.stuck && flight.entry.forms.len() < FORMS {
            flight.renewed = Instant::now();
            self.replace(nonce).await?;
            self.hand_over(nonce).await;
        } else if flight.sent.is_none_or(|sent| sent.elapsed() > self.options.stuck / 4) {
            self.hand_over(nonce).await;
        }
        Ok(())
    }

    /// Signs the same intent under the same nonce with higher fees, as far as the cap allows.
    async fn replace(&mut self, nonce: u64) -> Result<(), ChainError> {
        let fresh = self.fees().await?;
        let Some(flight) = self.flights.get_mut(&nonce) else { return Ok(()) };
        let (intent, Some(old)) = (&flight.entry.intent, flight.entry.forms.last()) else { return Ok(()) };
        let (Some(fees), Some(gas)) = (self.options.gas.replacing(old.fees, fresh), intent.gas) else { return Ok(()) };
        let form = self.hand.signed(intent, nonce, gas, fees).await?;
        tracing::info!(what = %intent.what, nonce, hash = %form.hash, "stuck: replaced by one that pays more");
        let mut entry = flight.entry.clone();
        entry.forms.push(form);
        self.outbox.put(&entry)?;
        flight.entry = entry;
        Ok(())
    }

    fn finish(&mut self, nonce: u64, result: Result<Landed, ChainError>) -> Result<(), ChainError> {
        self.outbox.remove(nonce)?;
        let Some(flight) = self.flights.remove(&nonce) else { return Ok(()) };
        for waiter in flight.waiters {
            waiter.answer.send(result.clone().map(Answer::Landed)).ok();
        }
        if self.results.len() == REMEMBERED {
            self.results.pop_front();
        }
        self.results.push_back((flight.entry.intent.id, result));
        Ok(())
    }

    /// Tells those who have waited long enough that nothing is known.
    fn answer_impatient(&mut self) {
        let wait = self.options.wait;
        for (nonce, flight) in &mut self.flights {
            let (tired, patient) = flight.waiters.drain(..).partition(|waiter| waiter.since.elapsed() > wait);
            flight.waiters = patient;
            let tired: Vec<Waiter> = tired;
            for waiter in tired {
                let hash = flight.entry.forms.last().map_or(B256::ZERO, |form| form.hash);
                let seconds = flight.since.elapsed().as_secs();
                waiter.answer.send(Err(ChainError::Pending { hash, nonce: *nonce, seconds })).ok();
            }
        }
    }
}

impl Flight {
    fn new(entry: Entry, now: Instant) -> Self {
        Self { entry, waiters: Vec::new(), since: now, renewed: now, sent: None, missing: None }
    }

    /// Answers those for whom being in a block is enough.
    fn included(&mut self, result: &Result<Landed, ChainError>) {
        let (content, waiting): (Vec<Waiter>, _) =
            self.waiters.drain(..).partition(|waiter| waiter.until == Until::Included);
        self.waiters = waiting;
        for waiter in content {
            waiter.answer.send(result.clone().map(Answer::Landed)).ok();
        }
    }
}

fn outcome(intent: &Intent, receipt: &alloy::rpc::types::TransactionReceipt) -> Result<Landed, ChainError> {
    if receipt.status() {
        return Ok(Landed::from_receipt(receipt));
    }
    let reason = format!("transaction {} failed", receipt.transaction_hash);
    Err(ChainError::Reverted { what: intent.what.clone(), reason })
}
