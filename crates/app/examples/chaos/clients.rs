//! Who asks and pays. A client opens a session, asks in it a few times, and closes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use computepool_app::paying::{Payer, PayingClient};
use computepool_core::{Account, Amount, FaultCode};
use futures::StreamExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::world::{MODEL, World};

/// How long a client waits for an answer, or for the network to come back.
const PATIENCE: Duration = Duration::from_secs(90);
/// A token pays for the time since the one before, up to this (`payments::meter::STALL_MS`).
const PAID_PAUSE: Duration = Duration::from_millis(computepool_payments::meter::STALL_MS);
const PAUSE: Duration = Duration::from_millis(300);

/// What was seen of a session by whom it served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// From the first token of each answer to its last, all together; a pause counts for as long as one is paid.
    pub(crate) served: Duration,
    pub(crate) tokens: u64,
    /// The same, answer by answer.
    pub(crate) answers: Vec<(String, Duration)>,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) whole: AtomicU64,
    pub(crate) broken: AtomicU64,
    /// Asked in vain: the network was away, or had no place.
    pub(crate) refused: AtomicU64,
    pub(crate) tokens: AtomicU64,
}

/// All clients.
#[derive(Clone)]
pub(crate) struct Clients {
    api: String,
    payer: Payer,
    left: Arc<AtomicU64>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) seen: Arc<Mutex<BTreeMap<Account, Seen>>>,
}

enum Outcome {
    Whole,
    Broken,
    NotServed,
}

impl Clients {
    pub(crate) fn new(world: &World, generations: u64) -> Self {
        let payer = Payer {
            vault: Arc::new(world.vault.clone()),
            account: world.user,
            tokens: vec![world.card().book.token()],
            most: Amount::usdc(10_000_000),
            sessions: Some(world.sessions()),
        };
        let left = Arc::new(AtomicU64::new(generations));
        Self { api: world.api().to_owned(), payer, left, counts: Arc::default(), seen: Arc::default() }
    }

    /// Runs so many at the same time until all generations have been served.
    pub(crate) async fn run(self, clients: u64, seed: u64) {
        let clients = (0..clients).map(|number| {
            let this = self.clone();
            tokio::spawn(async move { this.client(StdRng::seed_from_u64(seed ^ (number + 1))).await })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
    }

    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    async fn client(&self, mut dice: StdRng) {
        while self.left.load(Ordering::SeqCst) > 0 {
            let web = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
            let client = PayingClient::new(web.clone(), Some(self.payer.clone()));
            for _ in 0..dice.random_range(1..8_u32) {
                if !self.take() {
                    break;
                }
                self.generation(&web, &client, &mut dice).await;
                if dice.random_bool(0.2) {
                    tokio::time::sleep(Duration::from_millis(dice.random_range(0..3_000))).await;
                }
            }
            self.close(&web, &client).await;
        }
    }

    /// Asks until something is served.
    async fn generation(&self, web: &reqwest::Client, client: &PayingClient, dice: &mut StdRng) {
        let tokens: u32 = dice.random_range(4..64);
        let began = Instant::now();
        loop {
            let counter = match self.ask(web, client, tokens).await {
                Outcome::Whole => &self.counts.whole,
                Outcome::Broken => &self.counts.broken,
                Outcome::NotServed => &self.counts.refused,
            };
            counter.fetch_add(1, Ordering::SeqCst);
            if !std::ptr::eq(counter, &self.counts.refused) {
                return;
            }
            assert!(began.elapsed() < 4 * PATIENCE, "nothing was served for {:?}", began.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self, web: &reqwest::Client, client: &PayingClient, tokens: u32) -> Outcome {
        let body = json!({
            "model": MODEL,
            "messages": [{ "role": "user", "content": "Tell me a story about a river." }],
            "max_tokens": tokens,
            "stream": true,
        });
        let request = web.post(format!("{}/chat/completions", self.api)).json(&body);
        let response = match client.send(request).await {
            Ok(response) if response.status().is_success() => response,
            Ok(_) => return Outcome::NotServed,
            Err(fault) => {
                if !matches!(fault.code, FaultCode::LinkLost | FaultCode::PaymentRefused) {
                    println!("a client could not pay: {fault}");
                }
                return Outcome::NotServed;
            }
        };
        let session = client.paid().map(|paid| paid.payment.authorization.to);
        let (mut served, mut last, mut count, mut ended) = (Duration::ZERO, None::<Instant>, 0_u64, false);
        let mut name = String::new();
        let mut parts = response.bytes_stream();
        let mut pending = Vec::new();
        while let Some(Ok(part)) = parts.next().await {
            pending.extend_from_slice(&part);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let Some(data) = line.trim().strip_prefix("data: ") else { continue };
                let Ok(chunk) = serde_json::from_str::<Value>(data) else { continue };
                if chunk["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()) {
                    served += last.map_or(Duration::ZERO, |last| last.elapsed().min(PAID_PAUSE));
                    last = Some(Instant::now());
                    count += 1;
                }
                name = chunk["id"].as_str().unwrap_or_default().to_owned();
                ended |= chunk["choices"][0]["finish_reason"].is_string();
            }
        }
        self.counts.tokens.fetch_add(count, Ordering::SeqCst);
        if let Some(session) = session {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = seen.entry(session).or_default();
            seen.tokens += count;
            seen.served += served;
            seen.answers.push((name, served));
        }
        match (ended, count) {
            (true, _) => Outcome::Whole,
            (false, 0) => Outcome::NotServed,
            (false, _) => Outcome::Broken,
        }
    }

    /// Closes the session. Where that does not work, it closes by itself.
    async fn close(&self, web: &reqwest::Client, client: &PayingClient) {
        for _ in 0..20 {
            match client.send(web.delete(format!("{}/session", self.api))).await {
                Ok(response) if !response.status().is_server_error() => return,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
