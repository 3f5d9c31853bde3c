//! A client that pays, at an endpoint of ours and at servers that behave worse.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use computepool_api::ApiOptions;
use computepool_api::testkit::FakeInference;
use computepool_app::paying::{Payer, PayingClient, PaymentBook, Rates, SessionsOnly};
use computepool_core::ports::{Chain, Clock, CoalitionId, SystemClock};
use computepool_core::{Amount, Fault, FaultCode, ModelId};
use computepool_payments::client::Escrow;
use computepool_payments::quote::QuoteKey;
use computepool_payments::testkit::{self, FakeChain, MemoryLedger, tariff, token_domain};
use computepool_payments::x402::{PaymentPayload, decode};
use computepool_payments::{Payments, Ports, Settings};
use futures::future::BoxFuture;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

fn payer(most: u64) -> Payer {
    let vault = testkit::Payer::new(7).unwrap();
    let account = vault.account();
    Payer { vault: Arc::new(vault), account, tokens: vec![token_domain()], most: Amount::usdc(most), sessions: None }
}

fn client(most: u64) -> PayingClient {
    PayingClient::new(reqwest::Client::new(), Some(payer(most)))
}

/// An endpoint that wants two dollars for a session, and its chain.
async fn endpoint() -> (String, FakeChain) {
    let chain = FakeChain::new(SystemClock.now_ms() / 1000);
    chain.with(|world| world.fund(payer(0).account, 100_000_000));
    let ports = Ports {
        chain: Arc::new(chain.clone()),
        ledger: Arc::new(MemoryLedger::default()),
        clock: Arc::new(SystemClock),
        random: Box::new(StdRng::seed_from_u64(1)),
    };
    let settings = Settings::new(vec![tariff(&ModelId::new("fake").unwrap())], QuoteKey::new([9; 32]));
    let toll = Arc::new(Payments::start(ports, settings).await.unwrap());
    let router = computepool_api::router(ApiOptions::default(), Arc::new(FakeInference::saying("hello")), Some(toll));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(computepool_api::serve(listener, router, std::future::pending()));
    (base, chain)
}

fn chat(base: &str) -> reqwest::RequestBuilder {
    let body = json!({ "model": "fake", "messages": [{ "role": "user", "content": "Hello?" }] });
    reqwest::Client::new().post(format!("{base}/chat/completions")).json(&body)
}

#[tokio::test]
async fn one_payment_serves_a_whole_session() {
    let (base, chain) = endpoint().await;
    let client = client(2_000_000);
    assert_eq!(client.paid(), None);
    let together = futures::future::join_all((0..4).map(|_| client.send(chat(&base)))).await;
    for response in together {
        let answer: Value = response.unwrap().error_for_status().unwrap().json().await.unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "hello");
    }
    let paid = client.paid().unwrap();
    assert_eq!(paid.payment.authorization.value, Amount::usdc(2_000_000));
    assert!(paid.settlement.unwrap().taken);
    chain.with(|world| assert_eq!(world.openings(), 1));
    // The session's own pages ask for its token.
    let bill: Value =
        client.send(reqwest::Client::new().get(format!("{base}/session"))).await.unwrap().json().await.unwrap();
    assert_eq!(bill["account"], paid.payment.authorization.to.to_string());
    client.send(reqwest::Client::new().delete(format!("{base}/session"))).await.unwrap().error_for_status().unwrap();
    // When it is over, the next one is paid.
    client.send(chat(&base)).await.unwrap().error_for_status().unwrap();
    assert_ne!(client.paid().unwrap().payment.authorization.to, paid.payment.authorization.to);
}

#[tokio::test]
async fn who_has_nothing_to_pay_with_gets_the_402_and_who_allows_less_a_reason() {
    let (base, chain) = endpoint().await;
    let nobody = PayingClient::new(reqwest::Client::new(), None);
    assert_eq!(nobody.send(chat(&base)).await.unwrap().status(), StatusCode::PAYMENT_REQUIRED);
    let fault = client(1_999_999).send(chat(&base)).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::SpendLimit, "{fault}");
    assert!(fault.message.contains("2 USDC"), "{fault}");
    chain.with(|world| assert_eq!(world.openings(), 0));
}

/// The chain's own word on what coalitions take.
struct Asked(FakeChain);

impl Rates for Asked {
    fn rate(&self, coalition: CoalitionId) -> BoxFuture<'_, Result<Option<Amount>, Fault>> {
        Box::pin(async move { Ok(Some(self.0.coalition(coalition).await?.rate)) })
    }
}

/// A payer that pays sessions of its own alone, at most so much an hour, and writes down what it pays.
fn careful(folder: &std::path::Path, chain: &FakeChain, most_per_hour: u64) -> PayingClient {
    let (token, accounts) = (token_domain(), chain.clone());
    let sessions = SessionsOnly {
        escrow: Escrow::new(token.chain, move |terms| accounts.session_account(terms)),
        rates: Arc::new(Asked(chain.clone())),
        most_per_hour: Amount::usdc(most_per_hour),
        book: PaymentBook::at(folder.join("payments.jsonl")),
    };
    let payer = Payer { sessions: Some(sessions), ..payer(2_000_000) };
    PayingClient::new(reqwest::Client::new(), Some(payer))
}

/// What an hour costs with the coalition of the tests.
const HOURLY: u64 = 36_000_000;

#[tokio::test]
async fn what_is_paid_is_written_down_and_comes_back_to_whoever_paid() {
    let (base, chain) = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let client = careful(folder.path(), &chain, HOURLY);
    let opening = reqwest::Client::new().post(format!("{base}/session")).json(&json!({ "model": "fake" }));
    let bill: Value = client.send(opening).await.unwrap().error_for_status().unwrap().json().await.unwrap();
    assert!(client.session_token(&base).is_some());
    let [kept] = PaymentBook::at(folder.path().join("payments.jsonl")).read().unwrap().try_into().unwrap();
    assert_eq!((bill["account"].clone(), kept.amount), (kept.to.to_string().into(), Amount::usdc(2_000_000)));
    assert_eq!((kept.terms.payer, kept.voucher.authorization.from), (kept.from, kept.from));
    assert_eq!(chain.session_account(&kept.terms), kept.to);
    client.send(chat(&base)).await.unwrap().error_for_status().unwrap();
    chain.with(|world| assert_eq!(world.openings(), 1));
}

#[tokio::test]
async fn nothing_is_paid_that_cannot_be_written_down_or_is_no_session() {
    let (base, chain) = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("payments.jsonl")).unwrap();
    let fault = careful(folder.path(), &chain, HOURLY).send(chat(&base)).await.unwrap_err();
    assert!(fault.code == FaultCode::Io && fault.message.starts_with("nothing is paid"), "{fault}");
    chain.with(|world| assert_eq!(world.openings(), 0));
    // Nor what is dearer than the server says that it is.
    let other = tempfile::tempdir().unwrap();
    let fault = careful(other.path(), &chain, HOURLY - 1).send(chat(&base)).await.unwrap_err();
    assert!(fault.code == FaultCode::SpendLimit && fault.message.contains("36 USDCx an hour"), "{fault}");
    // Nobody pays for looking.
    let look = careful(other.path(), &chain, HOURLY).send(reqwest::Client::new().get(format!("{base}/models"))).await;
    assert_eq!(look.unwrap().status(), StatusCode::OK);
    assert_eq!(PaymentBook::at(other.path().join("payments.jsonl")).read().unwrap(), []);
    chain.with(|world| assert_eq!(world.openings(), 0));
    // A server that is no endpoint of ours is paid by whoever pays anybody.
    let (other, stage) = Stage::open(&[Answer::Pay]).await;
    let fault = careful(folder.path(), &chain, HOURLY).send(reqwest::Client::new().post(&other)).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::PaymentRequired, "{fault}");
    assert_eq!(stage.saw("payment-signature"), [None]);
}

/// A server that answers as it was told, and keeps what it was asked.
#[derive(Clone, Default)]
struct Stage {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
}

#[derive(Clone, Copy)]
enum Answer {
    /// 402 with what to pay.
    Pay,
    /// Something else, without a word about a payment.
    Status(u16),
    /// The resource, and a token.
    Token(char),
}

impl Stage {
    async fn open(answers: &[Answer]) -> (String, Self) {
        let stage = Self::default();
        stage.answers.lock().unwrap().extend(answers);
        let router = Router::new().route("/", post(Self::answer)).with_state(stage.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (base, stage)
    }

    async fn answer(State(stage): State<Stage>, headers: HeaderMap) -> Response {
        stage.asked.lock().unwrap().push(headers);
        match stage.answers.lock().unwrap().pop_front() {
            Some(Answer::Pay) => (StatusCode::PAYMENT_REQUIRED, required().to_string()).into_response(),
            Some(Answer::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
            Some(Answer::Token(letter)) => {
                let token = format!("cps_{}", String::from(letter).repeat(43));
                ([("computepool-session", token)], "told").into_response()
            }
            None => StatusCode::IM_A_TEAPOT.into_response(),
        }
    }

    /// The values of a header, request by request.
    fn saw(&self, header: &str) -> Vec<Option<String>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|headers| Some(headers.get(header)?.to_str().unwrap().to_owned())).collect()
    }

    /// The nonces of the payments that came.
    fn nonces(&self) -> Vec<String> {
        let nonce = |header: String| decode::<Value>(&header).unwrap()["payload"]["authorization"]["nonce"].to_string();
        self.saw("payment-signature").into_iter().flatten().map(nonce).collect()
    }
}

/// What a server without ComputePool's terms asks for, in its body.
fn required() -> Value {
    json!({ "x402Version": 2, "accepts": [{
        "scheme": "exact", "network": "eip155:31337", "amount": "5", "asset": token_domain().contract,
        "payTo": "0x209693bc6afc0c5328ba36faf03c514ef312287c", "maxTimeoutSeconds": 60,
        "extra": { "name": "USD Coin", "version": "2" },
    }], "error": "try again" })
}

async fn send(client: &PayingClient, base: &str) -> Result<u16, FaultCode> {
    let sent = client.send(reqwest::Client::new().post(base).body("x")).await;
    sent.map(|response| response.status().as_u16()).map_err(|fault| fault.code)
}

#[tokio::test]
async fn a_server_that_is_never_content_is_paid_once_a_request() {
    let (base, stage) = Stage::open(&[Answer::Pay; 4]).await;
    let client = client(5);
    for _ in 0..2 {
        assert_eq!(send(&client, &base).await, Err(FaultCode::PaymentRefused));
    }
    let nonces = stage.nonces();
    assert!(nonces.len() == 2 && nonces[0] != nonces[1], "{nonces:?}");
    assert_eq!(client.paid(), None);
    let sent = stage.saw("payment-signature").remove(1).unwrap();
    assert!(decode::<PaymentPayload>(&sent).is_err(), "what is not ours has no terms of ours");
}

#[tokio::test]
async fn a_payment_without_an_answer_is_presented_again() {
    let (base, stage) = Stage::open(&[Answer::Pay, Answer::Status(502), Answer::Pay, Answer::Status(200)]).await;
    let client = client(5);
    assert_eq!(send(&client, &base).await, Ok(502));
    assert_eq!(send(&client, &base).await, Ok(200));
    let nonces = stage.nonces();
    assert!(nonces.len() == 2 && nonces[0] == nonces[1], "{nonces:?}");
    assert_eq!(client.paid().unwrap().settlement, None, "nothing was said");
}

#[tokio::test]
async fn a_token_is_shown_to_who_gave_it() {
    let (base, stage) = Stage::open(&[Answer::Pay, Answer::Token('A'), Answer::Status(200)]).await;
    let (other, stranger) = Stage::open(&[Answer::Status(200)]).await;
    let client = client(5);
    for (place, status) in [(&base, 200), (&base, 200), (&other, 200)] {
        assert_eq!(send(&client, place).await, Ok(status));
    }
    let bearer = format!("Bearer cps_{}", "A".repeat(43));
    assert_eq!(stage.saw("authorization"), [None, None, Some(bearer)]);
    assert_eq!(stranger.saw("authorization"), [None]);
    assert!(!format!("{client:?}").contains("AAA"));
}
