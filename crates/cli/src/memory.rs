//! `computepool memory`: what each engine really took, beside what it may take and what was reckoned before.

use std::time::{Duration, Instant};

use clap::Args;
use computepool_app::models;
use computepool_core::ports::{NetworkStatus, NodeStatus};
use computepool_core::{EngineUsage, Fault, FaultCode};

use crate::bench::Split;
use crate::show::{bytes, table};

/// What an engine may take besides its weights and its KV.
const ALLOWANCE: u64 = 150_000_000;

/// Tokens of the sequence that are produced; the others are its prompt.
const PRODUCED: u32 = 32;

/// Engines say what they use several times a second.
const WORD: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct MemoryArguments {
    /// The model; the sample model when absent.
    #[arg(long)]
    model: Option<String>,
    /// How many nodes, one shard each.
    #[arg(long, default_value_t = 3)]
    shards: usize,
    /// Tokens of the sequence that fills the KV.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(64..))]
    tokens: u32,
}

/// Runs a sequence to its full length and prints the table; `false` when an engine took more than it may, or more than
/// was reckoned.
pub(crate) async fn memory(arguments: MemoryArguments) -> Result<bool, Fault> {
    let model = crate::demo::model(arguments.model.as_deref())?;
    let catalogue = models::scan(vec![model.parse()?]).await?;
    let entry = catalogue.entries().first();
    let entry = entry.ok_or_else(|| Fault::new(FaultCode::ModelNotFound, format!("no model was found at {model}")))?;

    let split = Split::start(&model, arguments.shards, arguments.tokens).await?;
    let measured = measure(&split, arguments.tokens).await;
    let left = split.leave().await;
    let (loaded, full) = measured?;

    let head =
        ["shard", "layers", "weights", "KV", "limit", "reckoned", "loaded", "peak", "peak/limit", "peak/reckoned"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (mut well, mut worst_limit, mut worst_fit) = (left, 0.0_f64, 0.0_f64);
    for node in &full.nodes {
        let layers = node.layers;
        let layers =
            layers.ok_or_else(|| Fault::new(FaultCode::Internal, format!("{} serves no layers", node.name)))?;
        let fit = models::fit(entry, layers, u64::from(arguments.tokens))?;
        let limit = fit.weights + fit.kv + ALLOWANCE;
        let before =
            loaded.nodes.iter().find(|other| other.node == node.node).map_or(0, |other| usage(other).rss_bytes);
        let peak = usage(node).peak_rss_bytes;
        let (of_limit, of_fit) = (peak as f64 / limit as f64, peak as f64 / fit.total() as f64);
        well &= peak > 0 && of_limit <= 1.0 && of_fit <= 1.0;
        (worst_limit, worst_fit) = (worst_limit.max(of_limit), worst_fit.max(of_fit));
        rows.push(vec![
            node.name.clone(),
            node.layers.map(|layers| layers.to_string()).unwrap_or_default(),
            bytes(fit.weights),
            bytes(fit.kv),
            bytes(limit),
            bytes(fit.total()),
            bytes(before),
            bytes(peak),
            format!("{of_limit:.2}"),
            format!("{of_fit:.2}"),
        ]);
    }
    println!("{}", table(&rows));
    println!("limit: weights + KV of {} tokens + {}; reckoned: the fit estimate", arguments.tokens, bytes(ALLOWANCE));
    println!(
        "shards={} tokens={} peak_of_limit={worst_limit:.2} peak_of_reckoned={worst_fit:.2}",
        full.nodes.len(),
        arguments.tokens
    );
    Ok(well)
}

/// The network after loading, and after a sequence of this many tokens.
async fn measure(split: &Split, tokens: u32) -> Result<(NetworkStatus, NetworkStatus), Fault> {
    let loaded = told(split, |node| usage(node).rss_bytes > 0).await?;
    split.generate(split.prompt(tokens - PRODUCED, 7), PRODUCED).await?;
    // Its end is told together with its KV being free.
    let full = told(split, |node| usage(node).kv_tokens_used == 0 && usage(node).peak_rss_bytes > 0).await?;
    Ok((loaded, full))
}

/// Waits for a word of every engine that `says` enough.
async fn told(split: &Split, says: impl Fn(&NodeStatus) -> bool) -> Result<NetworkStatus, Fault> {
    let began = Instant::now();
    loop {
        // What is known may be older than what was just done: one report later it is not.
        tokio::time::sleep(Duration::from_millis(750)).await;
        let network = split.network();
        if network.nodes.iter().all(&says) {
            return Ok(network);
        }
        if began.elapsed() > WORD {
            return Err(Fault::new(FaultCode::Stalled, "an engine does not say how much memory it uses"));
        }
    }
}

fn usage(node: &NodeStatus) -> EngineUsage {
    node.usage.unwrap_or_default()
}
