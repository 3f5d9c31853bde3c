//! The playground: what can be asked, asking, and what was asked before.

use computepool_core::money::U256;
use computepool_core::ports::Bill;
use computepool_core::{Amount, Asset, Fault, FaultCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ts_rs::TS;

use super::super::consents::Scope;
use super::super::threads::{Thread, ThreadHead};
use super::super::wire::Money;
use super::super::{Desktop, unknown};
use super::Nothing;
use crate::endpoint::Endpoint;

/// A question with what came before it.
#[derive(Clone, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Question {
    /// A name for the answer, under which it is told in events.
    answer: String,
    /// The model.
    model: String,
    /// The conversation.
    messages: Vec<Message>,
    /// How it is sampled.
    sampling: Sampling,
}

/// A message.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Message {
    /// Whose.
    role: Role,
    /// Its text.
    content: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub(in crate::desktop) enum Role {
    /// Whoever made the rules.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// How an answer is sampled; the endpoint's usual way where nothing is said.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Sampling {
    /// From 0, always the likeliest, to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    /// Only the likeliest that make up this much together.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    /// Only so many of the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    /// The longest answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    /// The same seed gives the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(type = "number | null")]
    seed: Option<u64>,
}

/// An answer by its name.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Answer {
    /// Its name.
    answer: String,
}

/// A text to be looked for.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Query {
    /// Everything where it is empty.
    query: String,
}

/// A conversation by its name.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct ThreadId {
    /// Its name.
    id: String,
}

/// A conversation to be kept.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Keep {
    /// It.
    thread: Thread,
}

/// What can be asked.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct Offer {
    /// Where it is asked.
    endpoint: String,
    /// The models.
    models: Vec<OfferedModel>,
    /// Strangers pay there.
    paid: bool,
    /// What a session costs an hour, where strangers pay.
    per_hour: Option<Money>,
    /// What a session is opened with; what is not used comes back.
    session: Option<Money>,
}

/// A model that can be asked.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct OfferedModel {
    /// Its name.
    id: String,
    /// It answers now.
    available: bool,
    /// The longest conversation, in tokens.
    context: Option<u32>,
}

/// The session that pays for answers.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct SessionMeter {
    /// Its account on the chain.
    account: String,
    /// How far settling is.
    phase: String,
    /// What was paid in.
    paid_in: Money,
    /// What is paid a second.
    per_second: Money,
    /// Milliseconds served so far.
    #[ts(type = "number")]
    served_ms: u64,
    /// What that costs.
    cost: Money,
}

const MAX_MESSAGES: usize = 2_000;
const MAX_NAME: usize = 64;

pub(super) async fn offer(desktop: &Desktop, _: Nothing) -> Result<Offer, Fault> {
    let owner = desktop.0.chat.owner(desktop)?;
    let listed = owner.get("/models").await?;
    let models: Vec<OfferedModel> = listed["data"].as_array().into_iter().flatten().filter_map(offered).collect();
    let price = match models.iter().find(|model| model.available) {
        None => None,
        Some(model) => price(&Endpoint::new(owner.base(), None), &model.id).await?,
    };
    let (per_hour, session) = price.unzip();
    Ok(Offer {
        endpoint: owner.base().to_owned(),
        models,
        paid: session.is_some(),
        per_hour: per_hour.map(Money::from),
        session: session.map(Money::from),
    })
}

/// What a stranger is told: what a session costs an hour, and what it is opened with. Nothing where nobody pays.
async fn price(stranger: &Endpoint, model: &str) -> Result<Option<(Amount, Amount)>, Fault> {
    let question = json!({ "model": model, "messages": [{"role": "user", "content": "?"}], "max_tokens": 1 });
    let quote = match stranger.price(&question).await {
        Ok(quote) => quote,
        Err(fault) if fault.code == FaultCode::InvalidRequest => return Ok(None),
        // A price that cannot be told now is no reason to show nothing.
        Err(fault) if matches!(fault.code, FaultCode::NoCapacity | FaultCode::NoRoute) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let offer = &quote["accepts"][0];
    let units = |value: &Value| value.as_str().and_then(|text| text.parse::<U256>().ok());
    let bad = || Fault::new(FaultCode::BadFrame, "the endpoint asks for payment in words that are not known here");
    let session = units(&offer["amount"]).ok_or_else(bad)?;
    let rate = units(&offer["extra"]["computepool"]["rate"]).ok_or_else(bad)?;
    let per_hour = Amount::new(rate, Asset::Usdcx).times(3_600)?;
    Ok(Some((per_hour, Amount::new(session, Asset::Usdc))))
}

fn offered(model: &Value) -> Option<OfferedModel> {
    Some(OfferedModel {
        id: model["id"].as_str()?.to_owned(),
        available: model["available"].as_bool().unwrap_or(true),
        context: model["context_length"].as_u64().and_then(|tokens| u32::try_from(tokens).ok()),
    })
}

pub(super) async fn start(desktop: &Desktop, question: Question) -> Result<Nothing, Fault> {
    desktop.may_ask()?;
    let fits = !question.answer.is_empty() && question.answer.len() <= MAX_NAME;
    if !fits || question.messages.is_empty() || question.messages.len() > MAX_MESSAGES {
        return Err(unknown(format!("a question has a name, and between 1 and {MAX_MESSAGES} messages")));
    }
    let mut body = serde_json::to_value(&question.sampling).map_err(|error| unknown(error.to_string()))?;
    body["model"] = json!(question.model);
    body["messages"] = json!(question.messages);
    desktop.0.chat.begin(desktop, question.answer, body)?;
    Ok(Nothing {})
}

impl Desktop {
    /// What a session pays an hour where strangers pay, in USDC, and how many machines share it.
    pub(in crate::desktop) async fn hourly_price(&self) -> Result<Option<(f64, u32)>, Fault> {
        let offer = offer(self, Nothing {}).await?;
        let price = offer.per_hour.and_then(|price| price.amount.parse().ok());
        let Some(price) = price else { return Ok(None) };
        let network = super::network::network(self, Nothing {}).await?;
        // A network of one machine shares with the next that comes.
        Ok(Some((price, network.most_places().max(2))))
    }

    /// Whether the owner has agreed to what asking takes.
    pub(in crate::desktop) fn may_ask(&self) -> Result<(), Fault> {
        if !self.0.consents.agreed(Scope::Ask)? {
            return Err(Fault::new(FaultCode::Unauthorized, "you have not agreed that questions leave this computer")
                .hint("read and accept “Ask the pool” under Privacy"));
        }
        if self.settings().using.wallet.is_some() && !self.0.consents.agreed(Scope::Pay)? {
            return Err(Fault::new(FaultCode::Unauthorized, "you have not agreed that the wallet pays for answers")
                .hint("read and accept “Pay for answers” under Privacy"));
        }
        Ok(())
    }
}

pub(super) async fn stop(desktop: &Desktop, answer: Answer) -> Result<bool, Fault> {
    Ok(desktop.0.chat.stop(&answer.answer))
}

pub(super) async fn session(desktop: &Desktop, _: Nothing) -> Result<Option<SessionMeter>, Fault> {
    let Some(endpoint) = desktop.0.chat.session() else { return Ok(None) };
    let bill: Bill = serde_json::from_value(endpoint.get("/session").await?)
        .map_err(|error| Fault::new(FaultCode::BadFrame, format!("the endpoint says of its session: {error}")))?;
    let wei = bill.rate.units.checked_mul(U256::from(bill.served_ms)).unwrap_or(U256::MAX) / U256::from(1_000);
    let phase = serde_json::to_value(bill.phase).ok().and_then(|phase| phase.as_str().map(str::to_owned));
    Ok(Some(SessionMeter {
        account: bill.account.to_string(),
        phase: phase.unwrap_or_default(),
        paid_in: bill.paid_in.into(),
        per_second: bill.rate.into(),
        served_ms: bill.served_ms,
        cost: Amount::new(wei, Asset::Usdcx).into(),
    }))
}

pub(super) async fn session_close(desktop: &Desktop, _: Nothing) -> Result<Nothing, Fault> {
    if let Some(endpoint) = desktop.0.chat.session() {
        endpoint.delete("/session").await?;
        desktop.0.chat.forget_payer();
        desktop.tell(super::super::HostEvent::Money);
    }
    Ok(Nothing {})
}

pub(super) async fn threads(desktop: &Desktop, query: Query) -> Result<Vec<ThreadHead>, Fault> {
    on_disk(desktop, move |threads| threads.list(&query.query)).await
}

pub(super) async fn thread_get(desktop: &Desktop, thread: ThreadId) -> Result<Thread, Fault> {
    on_disk(desktop, move |threads| threads.get(&thread.id)).await
}

pub(super) async fn thread_put(desktop: &Desktop, keep: Keep) -> Result<Nothing, Fault> {
    on_disk(desktop, move |threads| threads.put(&keep.thread).map(|()| Nothing {})).await
}

pub(super) async fn thread_delete(desktop: &Desktop, thread: ThreadId) -> Result<Nothing, Fault> {
    on_disk(desktop, move |threads| threads.delete(&thread.id).map(|()| Nothing {})).await
}

async fn on_disk<T: Send + 'static>(
    desktop: &Desktop,
    act: impl FnOnce(&super::super::threads::Threads) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let threads = desktop.0.threads.clone();
    let acted = tokio::task::spawn_blocking(move || act(&threads)).await;
    acted.map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))?
}
