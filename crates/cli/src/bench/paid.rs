//! What being paid costs the first token: the same questions, in turn, with the owner's key, with a voucher, and in a session
//! that a voucher has opened before.

use std::time::{Duration, Instant};

use computepool_app::cluster::Cluster;
use computepool_core::{Fault, FaultCode};
use serde_json::json;

use super::median;
use crate::arguments::ClusterArguments;
use crate::demo::payer;
use crate::show::table;
use computepool_app::endpoint::{Endpoint, Piece};

/// Milliseconds that settling may put before the first token.
const TARGET_MS: f64 = 50.0;
/// The ways to ask.
const WAYS: [&str; 3] = ["the owner's key", "a voucher", "a session"];

/// Measures and prints; returns the figures, and whether the target was met.
pub(super) async fn first_token(model: &str, rounds: usize) -> Result<(String, bool), Fault> {
    let arguments = ClusterArguments {
        model: Some(model.to_owned()),
        shards: 2,
        threads: 1,
        kv_mb: 256,
        context: 2048,
        unpaid: false,
    };
    let settings = arguments.settings("127.0.0.1:0")?;
    let mut cluster = Cluster::start(&settings).await?;
    cluster.ready(|_| {}).await?;
    let waits = ask_all(&cluster, rounds).await;
    let left = cluster.leave().await;
    let waits = waits?;
    let mut rows =
        vec![["first token with", "median ms", "more than the key", "at most more"].map(str::to_owned).to_vec()];
    let more = |way: usize| -> Vec<f64> { waits[way].iter().zip(&waits[0]).map(|(paid, free)| paid - free).collect() };
    for (way, name) in WAYS.iter().enumerate() {
        let most = more(way).into_iter().fold(f64::MIN, f64::max);
        let (middle, by) = (median(waits[way].clone()), median(more(way)));
        rows.push(vec![(*name).to_owned(), format!("{middle:.1}"), format!("{by:.1}"), format!("{most:.1}")]);
    }
    println!("{}", table(&rows));
    let (voucher, session) = (median(more(1)), median(more(2)));
    let figures = format!(
        "first_token_ms={:.1} voucher_adds_ms={voucher:.1} session_adds_ms={session:.1}",
        median(waits[0].clone())
    );
    Ok((figures, left && voucher <= TARGET_MS && session <= TARGET_MS))
}

/// Milliseconds to the first token, way by way and round by round. What a voucher takes includes the answer 402 and the
/// signature.
async fn ask_all(cluster: &Cluster, rounds: usize) -> Result<[Vec<f64>; 3], Fault> {
    let devnet = cluster.devnet().ok_or_else(|| Fault::new(FaultCode::Internal, "the cluster has no devnet"))?;
    let payer = payer(devnet).await?;
    let known = Endpoint::new(cluster.api(), cluster.key().map(str::to_owned));
    let mut waits = [const { Vec::new() }; 3];
    // The first round warms everything up, the chain's answers included.
    for round in 0..=rounds {
        let paying = Endpoint::paying(cluster.api(), payer.clone());
        let free = round % 2 == 0;
        if free {
            waits[0].push(ask(&known, round).await?);
        }
        waits[1].push(ask(&paying, round).await?);
        waits[2].push(ask(&paying, round).await?);
        if !free {
            waits[0].push(ask(&known, round).await?);
        }
        paying.delete("/session").await?;
        if round == 0 {
            waits = [const { Vec::new() }; 3];
        }
    }
    Ok(waits)
}

async fn ask(endpoint: &Endpoint, round: usize) -> Result<f64, Fault> {
    let model = endpoint.get("/models").await?["data"][0]["id"].clone();
    let question = format!("What is {round} and {}?", round * 7 + 1);
    let body = json!({ "model": model, "max_tokens": 3, "messages": [{ "role": "user", "content": question }] });
    let began = Instant::now();
    let mut first: Option<Duration> = None;
    endpoint
        .chat(&body, |piece| {
            if let Piece::Text(_) = piece {
                first.get_or_insert_with(|| began.elapsed());
            }
        })
        .await?;
    Ok(first.unwrap_or_else(|| began.elapsed()).as_secs_f64() * 1e3)
}
