//! Several endpoints of one chain, asked as if they were one.
//!
//! A request goes to the best endpoint; where that fails, is too slow, is busy or lies, to the next. After a round
//! without an answer comes a pause, twice as long each time, until the patience is used up. An endpoint that failed
//! rests for a while, longer each time. Before an endpoint is used it is asked which chain it serves. How many requests
//! are under way at a time is bounded, and so is the time each may take.
//!
//! Every request may be sent more than once, to several endpoints: those that are used here are questions, or signed
//! transactions, of which a chain takes only one.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{Id, RequestPacket, ResponsePacket, ResponsePayload, SerializedRequest};
use alloy::transports::{BoxTransport, TransportError, TransportErrorKind, TransportFut};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tower::Service;

use super::lie::{Lie, examine};
use crate::ChainError;

/// How long and how often endpoints are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For one endpoint to answer one request.
    pub answer: Duration,
    /// For one request, over all endpoints and rounds.
    pub request: Duration,
    /// The pause after the first round without an answer; it doubles.
    pub pause: Duration,
    /// How long an endpoint rests after its first failure; it doubles, up to a minute.
    pub rest: Duration,
    /// How many requests may be under way at a time.
    pub concurrency: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            request: Duration::from_secs(30),
            pause: Duration::from_millis(250),
            rest: Duration::from_millis(500),
            concurrency: 16,
        }
    }
}

/// The longest that one endpoint is waited for where several are asked at once.
const ONCE: Duration = Duration::from_secs(2);

impl Patience {
    /// For an endpoint of which a failure is an answer, too: it is asked once.
    pub(super) fn once(self) -> Self {
        Self { answer: self.answer.min(ONCE), request: self.pause, ..self }
    }
}

/// The longest rest. A wrong chain id does not get better by waiting, and is asked for again only this often.
const LONGEST_REST: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct Endpoints {
    shared: Arc<Shared>,
}

struct Shared {
    chain_id: u64,
    patience: Patience,
    endpoints: Vec<Endpoint>,
    room: Semaphore,
}

struct Endpoint {
    /// For messages: never the path or the query, which may be a key.
    name: String,
    transport: BoxTransport,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    identified: bool,
    highest: u64,
    failures: u32,
    rests_until: Option<Instant>,
    why: Option<Failing>,
}

/// What an endpoint did instead of answering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Failing {
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("{0}")]
    Broken(String),
    #[error("too busy ({0})")]
    Busy(String),
    #[error("lied: {0}")]
    Lied(Lie),
}

impl Endpoints {
    pub(super) fn new(chain_id: u64, endpoints: Vec<(String, BoxTransport)>, patience: Patience) -> Self {
        let endpoints = endpoints
            .into_iter()
            .map(|(name, transport)| Endpoint { name, transport, standing: Mutex::default() })
            .collect();
        let room = Semaphore::new(patience.concurrency.max(1));
        Self { shared: Arc::new(Shared { chain_id, patience, endpoints, room }) }
    }

    pub(super) fn client(self) -> RpcClient {
        RpcClient::new(self, false)
    }
}

impl Service<RequestPacket> for Endpoints {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.ask(packet).await.map_err(TransportErrorKind::custom) })
    }
}

impl Shared {
    async fn ask(&self, packet: RequestPacket) -> Result<ResponsePacket, ChainError> {
        let RequestPacket::Single(request) = packet else {
            return Err(ChainError::Setting {
                what: "a batch of requests".to_owned(),
                why: "each is asked for itself, so that each can go elsewhere".to_owned(),
            });
        };
        let until = Instant::now() + self.patience.request;
        let Ok(Ok(_room)) = tokio::time::timeout_at(until, self.room.acquire()).await else {
            return Err(self.nobody(&request));
        };
        let mut pause = self.patience.pause;
        loop {
            for endpoint in self.awake() {
                if Instant::now() >= until {
                    return Err(self.nobody(&request));
                }
                match endpoint.ask(&request, self.chain_id, self.patience.answer).await {
                    Ok(answer) => return Ok(answer),
                    Err(failing) => endpoint.failed(failing, self.patience.rest),
                }
            }
            let again = Instant::now() + jittered(pause);
            let again = again.max(self.first_awake().unwrap_or(again));
            if again >= until {
                return Err(self.nobody(&request));
            }
            sleep_until(again).await;
            pause *= 2;
        }
    }

    /// Those that do not rest: first who failed least, then in the order given.
    fn awake(&self) -> Vec<&Endpoint> {
        let now = Instant::now();
        let mut awake: Vec<_> = self
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let standing = endpoint.standing();
                let rested = standing.rests_until.is_none_or(|until| until <= now);
                rested.then_some((standing.failures, endpoint))
            })
            .collect();
        awake.sort_by_key(|(failures, _)| *failures);
        awake.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    fn first_awake(&self) -> Option<Instant> {
        self.endpoints.iter().map(|endpoint| endpoint.standing().rests_until).min().flatten()
    }

    fn nobody(&self, request: &SerializedRequest) -> ChainError {
        if let [only] = self.endpoints.as_slice()
            && let Some(Failing::Lied(lie)) = &only.standing().why
        {
            return ChainError::Lied { endpoint: only.name.clone(), lie: lie.clone() };
        }
        let said = |endpoint: &Endpoint| {
            let standing = endpoint.standing();
            format!("{}: {}", endpoint.name, standing.why.as_ref().map_or("not asked".to_owned(), Failing::to_string))
        };
        let tried: Vec<String> = self.endpoints.iter().map(said).collect();
        ChainError::Unreachable {
            chain_id: self.chain_id,
            method: request.method().to_owned(),
            tried: if tried.is_empty() { "there is none".to_owned() } else { tried.join("; ") },
        }
    }
}

impl Endpoint {
    async fn ask(
        &self,
        request: &SerializedRequest,
        chain_id: u64,
        patience: Duration,
    ) -> Result<ResponsePacket, Failing> {
        if !self.standing().identified && request.method() != "eth_chainId" {
            let question = identify().map_err(Failing::Broken)?;
            self.answer(question, chain_id, patience).await?;
        }
        let answer = self.answer(request.clone(), chain_id, patience).await?;
        let mut standing = self.standing();
        standing.failures = 0;
        standing.rests_until = None;
        standing.why = None;
        Ok(answer)
    }

    async fn answer(
        &self,
        request: SerializedRequest,
        chain_id: u64,
        patience: Duration,
    ) -> Result<ResponsePacket, Failing> {
        let method = request.method().to_owned();
        let params = request.params().map_or(Value::Null, |raw| parsed(raw.get()));
        let asked = self.transport.clone().call(RequestPacket::Single(request));
        let answer = match timeout(patience, asked).await {
            Err(_) => return Err(Failing::Slow(patience)),
            Ok(Err(error)) => return Err(self.broken(&error)),
            Ok(Ok(answer)) => answer,
        };
        match answer.single_payload() {
            None => Err(Failing::Broken("a batch where one answer was expected".to_owned())),
            Some(ResponsePayload::Failure(error)) if error.is_retry_err() => {
                Err(Failing::Busy(error.message.chars().take(120).collect()))
            }
            // An answer all the same: a call that reverts reverts elsewhere, too.
            Some(ResponsePayload::Failure(_)) => Ok(answer),
            Some(ResponsePayload::Success(result)) => {
                let result = parsed(result.get());
                let mut standing = self.standing();
                examine(chain_id, &mut standing.highest, &method, &params, &result).map_err(Failing::Lied)?;
                standing.identified |= method == "eth_chainId";
                Ok(answer)
            }
        }
    }

    /// What a transport says can contain the address it talks to, and that a key.
    fn broken(&self, error: &TransportError) -> Failing {
        match error {
            TransportError::Transport(TransportErrorKind::HttpError(http)) => match http.status {
                429 => Failing::Busy("HTTP 429".to_owned()),
                status => Failing::Broken(format!("HTTP {status}")),
            },
            TransportError::Transport(TransportErrorKind::HttpErrorWithRetryAfter { error, .. }) => {
                Failing::Busy(format!("HTTP {}", error.status))
            }
            TransportError::DeserError { .. } => Failing::Broken("an answer that is not JSON-RPC".to_owned()),
            TransportError::Transport(_) => Failing::Broken("no connection".to_owned()),
            _ => Failing::Broken("no answer".to_owned()),
        }
    }

    fn failed(&self, why: Failing, rest: Duration) {
        tracing::debug!(endpoint = %self.name, %why, "an RPC endpoint failed");
        let mut standing = self.standing();
        standing.failures = standing.failures.saturating_add(1);
        let doubled = rest * 2_u32.pow((standing.failures - 1).min(10));
        let rest = if matches!(why, Failing::Lied(_)) { LONGEST_REST } else { doubled.min(LONGEST_REST) };
        standing.rests_until = Some(Instant::now() + rest);
        standing.why = Some(why);
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identify() -> Result<SerializedRequest, String> {
    let request = alloy::rpc::json_rpc::Request::<[(); 0]>::new("eth_chainId", Id::Number(0), []);
    request.serialize().map_err(|error| error.to_string())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// Up to a quarter more: those who fail together should not come back together.
fn jittered(pause: Duration) -> Duration {
    pause + pause.mul_f64(rand::random_range(0.0..0.25))
}

#[cfg(test)]
pub(in crate::rpc) mod tests;
