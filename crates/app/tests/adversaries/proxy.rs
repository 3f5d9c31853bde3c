//! An RPC endpoint that stands before the chain and does what it likes with what it hears.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::keccak256;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// What becomes of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// It is given.
    Truth,
    /// It is given after so long.
    Late(Duration),
    /// Another one is given.
    This(Value),
    /// The question is asked twice, and the second answer is given.
    Twice,
    /// An error of HTTP.
    Fails(u16),
}

/// Decides, from a method, its parameters, and the true answer's result, what is said.
type Whim = Box<dyn FnMut(&str, &Value, &Value) -> Says + Send>;

struct Inner {
    anvil: String,
    silent: bool,
    deaf: bool,
    whim: Whim,
    asked: u64,
}

/// A proxy of JSON-RPC over HTTP. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Proxy {
    url: String,
    client: reqwest::Client,
    inner: Arc<Mutex<Inner>>,
}

impl Proxy {
    /// A proxy that tells the truth, once it [knows](Proxy::stand_before) where the chain is.
    pub(crate) async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let whim: Whim = Box::new(|_, _, _| Says::Truth);
        let inner = Inner { anvil: String::new(), silent: false, deaf: false, whim, asked: 0 };
        let proxy = Self { url, client: reqwest::Client::new(), inner: Arc::new(Mutex::new(inner)) };
        let router = Router::new().route("/", post(answer)).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn stand_before(&self, anvil: &str) {
        self.with(|inner| inner.anvil = anvil.to_owned());
    }

    /// Takes questions and says nothing.
    pub(crate) fn fall_silent(&self, silent: bool) {
        self.with(|inner| inner.silent = silent);
    }

    /// Says that it took transactions, and loses them.
    pub(crate) fn lose_transactions(&self, deaf: bool) {
        self.with(|inner| inner.deaf = deaf);
    }

    /// What it does from now on.
    pub(crate) fn behave(&self, whim: impl FnMut(&str, &Value, &Value) -> Says + Send + 'static) {
        self.with(|inner| inner.whim = Box::new(whim));
    }

    /// How many questions it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.with(|inner| inner.asked)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn ask(&self, anvil: &str, question: &str) -> Option<Value> {
        let request = self.client.post(anvil).header("content-type", "application/json").body(question.to_owned());
        serde_json::from_str(&request.send().await.ok()?.text().await.ok()?).ok()
    }
}

async fn answer(State(proxy): State<Proxy>, question: String) -> Response {
    let (anvil, silent, deaf) = proxy.with(|inner| {
        inner.asked += 1;
        (inner.anvil.clone(), inner.silent, inner.deaf)
    });
    if silent {
        return std::future::pending().await;
    }
    let asked: Value = serde_json::from_str(&question).unwrap();
    let method = asked["method"].as_str().unwrap_or_default();
    if deaf && method == "eth_sendRawTransaction" {
        let raw = hex::decode(&asked["params"][0].as_str().unwrap_or_default()[2..]).unwrap();
        let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": keccak256(raw) });
        return answer.to_string().into_response();
    }
    let Some(mut truth) = proxy.ask(&anvil, &question).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let says = proxy.with(|inner| (inner.whim)(method, &asked["params"], &truth["result"]));
    match says {
        Says::Truth => {}
        Says::Late(by) => tokio::time::sleep(by).await,
        Says::This(result) => truth["result"] = result,
        Says::Twice => truth = proxy.ask(&anvil, &question).await.unwrap_or(truth),
        Says::Fails(status) => {
            return StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        }
    }
    truth.to_string().into_response()
}
