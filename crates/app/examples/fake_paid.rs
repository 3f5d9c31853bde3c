//! Serves a scripted model for money on a chain in memory, to try x402's clients against: `fake_paid ACCOUNT`. The
//! account has plenty. Says where it listens, in one line of JSON, and ends with its standard input.

#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use computepool_api::ApiOptions;
use computepool_api::testkit::FakeInference;
use computepool_core::ModelId;
use computepool_core::money::Account;
use computepool_core::ports::{Clock as _, SystemClock};
use computepool_payments::quote::QuoteKey;
use computepool_payments::testkit::{FakeChain, MemoryLedger, Mood, tariff};
use computepool_payments::{Payments, Ports, Settings};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

const MODEL: &str = "fake";
/// How long the chain takes over everything. Requests are answered before it has.
const BLOCK: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let payer: Account = std::env::args().nth(1).ok_or("whose is the money?")?.parse()?;
    let chain = FakeChain::new(SystemClock.now_ms() / 1000);
    chain.with(|world| world.fund(payer, 1_000_000_000));
    chain.behave(Mood::Slow(BLOCK));
    let ports = Ports {
        chain: Arc::new(chain),
        ledger: Arc::new(MemoryLedger::default()),
        clock: Arc::new(SystemClock),
        random: Box::new(StdRng::from_os_rng()),
    };
    let settings = Settings::new(vec![tariff(&ModelId::new(MODEL)?)], QuoteKey::new(rand::random()));
    let toll = Payments::start(ports, settings).await?;
    let inference = Arc::new(FakeInference::answering_questions(MODEL));
    let router = computepool_api::router(ApiOptions::default(), inference, Some(Arc::new(toll)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({ "api": format!("http://{}/v1", listener.local_addr()?), "model": MODEL }));
    let stop = async {
        let mut rest = Vec::new();
        // However it ends, it has ended.
        let _ = tokio::io::stdin().take(1 << 16).read_to_end(&mut rest).await;
    };
    Ok(computepool_api::serve(listener, router, stop).await?)
}
