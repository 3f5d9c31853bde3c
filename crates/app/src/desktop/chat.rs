//! Answers: asked of the endpoint that the owner has chosen, paid for with the owner's wallet, told piece by piece.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use computepool_core::{Amount, Asset, Fault, FaultCode, SignedReceipt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use ts_rs::TS;

use super::wire::{HostEvent, Problem};
use super::{Desktop, unknown};
use crate::endpoint::{Endpoint, Piece};
use crate::paying::{Payer, PaymentBook};

/// Answers under way at once.
const MAX_ANSWERS: usize = 8;

/// What became of an answer since it was told last.
#[derive(Clone, Debug, Serialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AnswerPiece {
    /// More of its text.
    Text {
        /// To be put behind what there is.
        text: String,
    },
    /// It has ended.
    Done {
        /// What it took.
        summary: AnswerSummary,
    },
    /// It was stopped by whoever asked.
    Stopped,
    /// It broke off.
    Failed {
        /// Why.
        problem: Problem,
    },
}

/// What an answer took.
#[derive(Clone, Debug, Serialize, TS)]
pub struct AnswerSummary {
    /// Why it ended: `stop`, `length`, …
    pub finish: String,
    /// Tokens of the question.
    #[ts(type = "number")]
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    #[ts(type = "number")]
    pub tokens: u64,
    /// Milliseconds to the first of them.
    #[ts(type = "number")]
    pub first_ms: u64,
    /// Milliseconds in all.
    #[ts(type = "number")]
    pub total_ms: u64,
    /// Who took part, in the order of the route.
    pub shards: Vec<ShardShare>,
}

/// A machine's part in an answer, by its own signed account.
#[derive(Clone, Debug, Serialize, TS)]
pub struct ShardShare {
    /// Its peer id.
    pub node: String,
    /// Its first block.
    pub from: u32,
    /// The block after its last.
    pub to: u32,
    /// Milliseconds that it computed.
    pub compute_ms: f64,
    /// Milliseconds until its numbers were on their way.
    pub hop_ms: f64,
}

/// The endpoints in use, and the answers under way.
#[derive(Default)]
pub(super) struct Chat {
    asked: Mutex<Option<Asked>>,
    running: Mutex<HashMap<String, CancellationToken>>,
}

struct Asked {
    base: String,
    wallet: Option<String>,
    endpoint: Arc<Endpoint>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address that is asked.
fn base(desktop: &Desktop) -> Result<String, Fault> {
    let options = &desktop.0.options;
    let set = desktop.settings().using.endpoint.or_else(|| options.endpoint.clone());
    set.ok_or_else(|| {
        Fault::new(FaultCode::InvalidRequest, "no endpoint is chosen yet")
            .hint("name one in the settings, or join a network by its invite link")
    })
}

impl Chat {
    /// The endpoint as its owner asks it, where this machine runs it; as anybody asks it otherwise.
    pub(super) fn owner(&self, desktop: &Desktop) -> Result<Arc<Endpoint>, Fault> {
        Ok(Arc::new(Endpoint::new(&base(desktop)?, desktop.0.options.endpoint_key.clone())))
    }

    /// The endpoint as this wallet asks it: with a session that goes on from answer to answer.
    pub(super) fn endpoint(&self, desktop: &Desktop) -> Result<Arc<Endpoint>, Fault> {
        let (base, using) = (base(desktop)?, desktop.settings().using);
        let mut asked = lock(&self.asked);
        if let Some(asked) = &*asked
            && asked.base == base
            && asked.wallet == using.wallet
        {
            return Ok(asked.endpoint.clone());
        }
        let endpoint = match &using.wallet {
            None => Endpoint::new(&base, None),
            Some(wallet) => Endpoint::paying(&base, payer(desktop, wallet)?),
        };
        let endpoint = Arc::new(endpoint);
        *asked = Some(Asked { base, wallet: using.wallet, endpoint: endpoint.clone() });
        Ok(endpoint)
    }

    /// What was paid with goes with the wallet.
    pub(super) fn forget_payer(&self) {
        *lock(&self.asked) = None;
    }

    /// The endpoint of the session that is open, if there is one.
    pub(super) fn session(&self) -> Option<Arc<Endpoint>> {
        lock(&self.asked).as_ref().map(|asked| asked.endpoint.clone()).filter(|endpoint| endpoint.paid().is_some())
    }

    /// Begins an answer; it is told in events under the name that the page gave it.
    pub(super) fn begin(&self, desktop: &Desktop, answer: String, body: Value) -> Result<(), Fault> {
        let endpoint = self.endpoint(desktop)?;
        let stop = CancellationToken::new();
        {
            let mut running = lock(&self.running);
            if running.len() >= MAX_ANSWERS {
                return Err(Fault::new(FaultCode::NoCapacity, format!("{MAX_ANSWERS} answers are under way"))
                    .hint("stop one, or wait until one has ended"));
            }
            if running.contains_key(&answer) {
                return Err(unknown("an answer of this name is under way".to_owned()));
            }
            running.insert(answer.clone(), stop.clone());
        }
        let desktop = desktop.clone();
        tokio::spawn(async move {
            let told = desktop.clone();
            let tell = |piece| told.tell(HostEvent::Answer { answer: answer.clone(), piece });
            let last = match stop.run_until_cancelled(stream(&endpoint, &body, &tell)).await {
                None => AnswerPiece::Stopped,
                Some(Ok(summary)) => AnswerPiece::Done { summary },
                Some(Err(fault)) => AnswerPiece::Failed { problem: fault.into() },
            };
            lock(&desktop.0.chat.running).remove(&answer);
            tell(last);
            desktop.tell(HostEvent::Money);
        });
        Ok(())
    }

    /// Stops an answer; whether it was under way.
    pub(super) fn stop(&self, answer: &str) -> bool {
        lock(&self.running).get(answer).is_some_and(|stop| {
            stop.cancel();
            true
        })
    }

    /// Stops all.
    pub(super) fn stop_all(&self) {
        lock(&self.running).values().for_each(CancellationToken::cancel);
    }
}

fn payer(desktop: &Desktop, wallet: &str) -> Result<Payer, Fault> {
    let purses = &desktop.0.purses;
    let (card, purse) = (purses.card()?, purses.purse(wallet)?);
    let usdc = |text: Option<String>, usual: &str| {
        Amount::parse(text.as_deref().unwrap_or(usual), Asset::Usdc).map_err(Fault::from)
    };
    let using = desktop.settings().using;
    let book = PaymentBook::usual(Some(purses.folder()))?;
    let (most, hourly) = (usdc(using.most_per_session, "1")?, usdc(using.most_per_hour, "2")?);
    Payer::of_sessions(&purse, &card, most, hourly, book)
}

async fn stream(endpoint: &Endpoint, body: &Value, tell: &impl Fn(AnswerPiece)) -> Result<AnswerSummary, Fault> {
    let mut body = body.clone();
    // Whoever answers signs for its part.
    body["include_receipts"] = json!(true);
    let began = Instant::now();
    let (mut first, mut usage, mut receipts, mut finish) = (None, Value::Null, Vec::new(), String::new());
    let asked = endpoint.chat(&body, |piece| match piece {
        Piece::Text(text) => {
            first.get_or_insert_with(|| began.elapsed());
            tell(AnswerPiece::Text { text });
        }
        Piece::Finish(reason) => finish = reason,
        Piece::Usage(value, signed) => (usage, receipts) = (value, signed),
    });
    asked.await?;
    let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Ok(AnswerSummary {
        finish,
        prompt_tokens: usage["prompt_tokens"].as_u64().unwrap_or(0),
        tokens: usage["completion_tokens"].as_u64().unwrap_or(0),
        first_ms: millis(first.unwrap_or_default()),
        total_ms: millis(began.elapsed()),
        shards: receipts.iter().map(share).collect(),
    })
}

fn share(signed: &SignedReceipt) -> ShardShare {
    let receipt = &signed.receipt;
    ShardShare {
        node: receipt.node.to_string(),
        from: receipt.layers.start(),
        to: receipt.layers.end(),
        compute_ms: receipt.compute_us as f64 / 1e3,
        hop_ms: receipt.hop_us as f64 / 1e3,
    }
}
