//! `computepool demo` and `computepool up`: a whole network on this machine.

mod paid;

pub(crate) use paid::payer;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use computepool_app::cluster::{Cluster, ClusterSettings};
use computepool_app::onlooker::Settlement;
use computepool_app::supervised::{announce, asked_to_end, told_to_leave};
use computepool_core::money::U256;
use computepool_core::ports::{NetworkStatus, ShardPhase};
use computepool_core::{Amount, Asset, Fault, FaultCode, SignedReceipt};
use serde_json::{Value, json};

use crate::arguments::{ClusterArguments, DemoArguments, UpArguments};
use crate::show::{bytes, table};
use computepool_app::endpoint::{Endpoint, Piece};

impl ClusterArguments {
    /// As the application wants it.
    pub(crate) fn settings(&self, api: &str) -> Result<ClusterSettings, Fault> {
        let own = std::env::current_exe();
        Ok(ClusterSettings {
            program: own
                .map_err(|error| Fault::new(FaultCode::Io, format!("this program cannot be found: {error}")))?,
            model: model(self.model.as_deref())?,
            shards: self.shards,
            nodes: None,
            threads: self.threads,
            kv_bytes: self.kv_mb << 20,
            max_context: self.context,
            api: api.to_owned(),
            key: None,
            orchestrator_arguments: Vec::new(),
            paid: !self.unpaid,
            logs: logs()?,
        })
    }
}

/// The model that was named, or the sample model.
pub(crate) fn model(named: Option<&str>) -> Result<String, Fault> {
    match named {
        Some(model) => Ok(model.to_owned()),
        None => Ok(format!("smollm2-135m-instruct={}", computepool_app::sample_model_path()?.display())),
    }
}

fn logs() -> Result<PathBuf, Fault> {
    let folder = computepool_app::paths::cache_folder()?.join("logs").join(std::process::id().to_string());
    computepool_app::paths::make_folder(&folder)?;
    Ok(folder)
}

fn stage(started: Instant, text: &str) {
    println!("[{:5.2} s] {text}", started.elapsed().as_secs_f64());
}

async fn started(settings: &ClusterSettings, began: Instant) -> Result<(Cluster, NetworkStatus), Fault> {
    stage(began, &format!("starting an orchestrator and {} nodes, each a process of its own", settings.shards));
    let mut cluster = Cluster::start(settings).await?;
    if let Some(devnet) = cluster.devnet() {
        let how = if devnet.loaded { "loaded from its snapshot" } else { "deployed from an empty chain" };
        let took = devnet.took_ms as f64 / 1e3;
        stage(began, &format!("a chain of its own: Superfluid, USDC and our contracts, {how} in {took:.1} s"));
    }
    let mut told = Vec::new();
    let status = cluster
        .ready(|status| {
            for node in status.nodes.iter().filter(|node| node.phase == ShardPhase::Ready) {
                if let (Some(shard), false) = (&node.shard, told.contains(&node.node)) {
                    let (layers, size) = (shard.layers, bytes(shard.weight_bytes));
                    stage(
                        began,
                        &format!(
                            "{} ({}) serves layers {layers}: {size}, {}",
                            node.name,
                            short(&node.node),
                            shard.device
                        ),
                    );
                    told.push(node.node.clone());
                }
            }
        })
        .await?;
    Ok((cluster, status))
}

fn short(node: &computepool_core::NodeId) -> String {
    let text = node.as_str();
    format!("…{}", &text[text.len().saturating_sub(6)..])
}

/// Asks one question of a fresh cluster and shows what each shard did, and what it was paid for it.
pub(crate) async fn demo(arguments: DemoArguments) -> Result<bool, Fault> {
    let began = Instant::now();
    let settings = arguments.cluster.settings("127.0.0.1:0")?;
    let (cluster, status) = started(&settings, began).await?;
    let asked = match cluster.devnet() {
        Some(devnet) => paid::ask(&cluster, devnet, &arguments, &status, began).await,
        None => ask(&Endpoint::new(cluster.api(), None), &arguments, &status, &mut |text| show(text)).await,
    };
    stage(began, "draining");
    let left = cluster.leave().await;
    stage(began, if left { "every process has left" } else { "a process had to be ended" });
    let asked = asked?;
    std::fs::remove_dir_all(&settings.logs).ok();
    println!("{}", asked.figures(settings.shards));
    Ok(left)
}

/// What came of a demonstration.
struct Shown {
    tokens: u64,
    rate: f64,
    settlement: Option<Settlement>,
}

impl Shown {
    fn figures(&self, shards: usize) -> String {
        let Self { tokens, rate, settlement } = self;
        let mut figures = format!("shards={shards} tokens={tokens} tokens_per_second={rate:.1}");
        if let Some(settlement) = settlement {
            let operators = settlement.shares.iter().filter(|(share, _)| share.operators);
            let sum = |amounts: &mut dyn Iterator<Item = Amount>| {
                Amount::sum(Asset::Usdcx, amounts).map_or(U256::ZERO, |sum| sum.units)
            };
            let operators = sum(&mut operators.map(|(_, amount)| *amount));
            let fee =
                sum(&mut settlement.shares.iter().filter(|(share, _)| !share.operators).map(|(_, amount)| *amount));
            let (paid_in, refund) = (settlement.paid_in.units, settlement.refund.units);
            figures.push_str(&format!(" paid_in={paid_in} operators={operators} fee={fee} refund={refund}"));
        }
        figures
    }
}

fn show(text: &str) {
    print!("{text}");
    std::io::stdout().flush().ok();
}

async fn ask(
    endpoint: &Endpoint,
    arguments: &DemoArguments,
    status: &NetworkStatus,
    show: &mut dyn FnMut(&str),
) -> Result<Shown, Fault> {
    let model = status.pools.first().map(|pool| pool.model.to_string()).unwrap_or_default();
    let body = json!({
        "model": model,
        "messages": [{"role": "user", "content": arguments.ask}],
        "max_tokens": arguments.max_tokens,
        "temperature": 0,
        "include_receipts": true,
    });
    println!("\n> {}\n", arguments.ask);
    let sent = Instant::now();
    let (mut first, mut usage, mut receipts, mut finish) = (None, Value::Null, Vec::new(), String::new());
    endpoint
        .chat(&body, |piece| match piece {
            Piece::Text(text) => {
                first.get_or_insert_with(|| sent.elapsed());
                show(&text);
            }
            Piece::Finish(reason) => finish = reason,
            Piece::Usage(value, shards) => {
                usage = value;
                receipts = shards;
            }
        })
        .await?;
    let took = sent.elapsed();
    let first = first.unwrap_or(took);
    let tokens = usage["completion_tokens"].as_u64().unwrap_or(0);
    let rate = tokens.saturating_sub(1) as f64 / (took - first).max(Duration::from_micros(1)).as_secs_f64();
    println!("\n\n{}", shards(status, &receipts));
    println!(
        "{} prompt tokens, {tokens} tokens answered, first after {:.0} ms, then {rate:.1} per second ({finish})\n",
        usage["prompt_tokens"],
        first.as_secs_f64() * 1e3
    );
    if tokens == 0 || receipts.len() != status.nodes.len() {
        return Err(Fault::new(
            FaultCode::Internal,
            format!("{tokens} tokens were answered and {} of {} shards reported", receipts.len(), status.nodes.len()),
        ));
    }
    Ok(Shown { tokens, rate, settlement: None })
}

/// What each shard did, by its signed receipt.
fn shards(status: &NetworkStatus, receipts: &[SignedReceipt]) -> String {
    let head = ["shard", "layers", "weights", "prompt", "tokens", "steps", "compute ms", "hop ms", "sent"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for SignedReceipt { receipt, .. } in receipts {
        let node = status.nodes.iter().find(|node| node.node == receipt.node);
        let weights = node.and_then(|node| node.shard.as_ref()).map_or(0, |shard| shard.weight_bytes);
        let ms = |us: u64| format!("{:.1}", us as f64 / 1e3);
        rows.push(vec![
            node.map_or_else(|| short(&receipt.node), |node| node.name.clone()),
            receipt.layers.to_string(),
            bytes(weights),
            receipt.prefill_rows.to_string(),
            receipt.decode_rows.to_string(),
            receipt.steps.to_string(),
            ms(receipt.compute_us),
            ms(receipt.hop_us),
            bytes(receipt.bytes_sent),
        ]);
    }
    table(&rows)
}

/// Keeps a cluster running until Ctrl-C.
pub(crate) async fn up(arguments: UpArguments) -> Result<bool, Fault> {
    let began = Instant::now();
    let mut settings = arguments.cluster.settings(&arguments.api)?;
    settings.key = arguments.key.clone();
    for key in &arguments.key_sha256 {
        settings.orchestrator_arguments.extend(["--key-sha256".to_owned(), key.to_string()]);
    }
    let mut cluster = if arguments.supervised {
        let mut cluster = Cluster::start(&settings).await?;
        cluster.ready(|_| {}).await?;
        announce(&cluster.whole_address())?;
        cluster
    } else {
        let (cluster, _) = started(&settings, began).await?;
        invite(&cluster, &settings).await?;
        cluster
    };
    let mut told = std::pin::pin!(told_to_leave());
    let mut asked = std::pin::pin!(asked_to_end());
    let ended = loop {
        tokio::select! {
            () = &mut asked, if !arguments.supervised => break None,
            () = &mut told, if arguments.supervised => break None,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        if let Some(name) = cluster.ended() {
            break Some(name);
        }
    };
    let say = |text: &str| {
        if !arguments.supervised {
            println!("{text}");
        }
    };
    match &ended {
        Some(name) => eprintln!("{name} has ended; its log is in {}", settings.logs.display()),
        None => say("\ndraining"),
    }
    let left = cluster.leave().await;
    say(if left { "every process has left" } else { "a process had to be ended" });
    Ok(left && ended.is_none())
}

/// Says how the cluster is talked to.
async fn invite(cluster: &Cluster, settings: &ClusterSettings) -> Result<(), Fault> {
    let api = cluster.api();
    let models = Endpoint::new(api, cluster.key().map(str::to_owned)).get("/models").await?;
    let model = models["data"][0]["id"].as_str().unwrap_or_default();
    // A key that was given is not repeated where a screen may be seen or a log kept.
    let (header, key) = match (&settings.key, cluster.key()) {
        (Some(_), _) => (" -H \"Authorization: Bearer $COMPUTEPOOL_API_KEY\"".to_owned(), "your key".to_owned()),
        (None, Some(own)) => (format!(" -H 'Authorization: Bearer {own}'"), own.to_owned()),
        (None, None) => (String::new(), "none".to_owned()),
    };
    if let Some(devnet) = cluster.devnet() {
        println!(
            "\nStrangers pay by the second, with any x402 client; your own key below asks for nothing.\nChain: {} ({}); a wallet with play money pays: computepool chat --endpoint {api} --wallet user --wallets {} --passphrase-file {} --chain {}",
            devnet.endpoint,
            devnet.chain.display(),
            devnet.wallets.display(),
            devnet.passphrase_file.display(),
            devnet.chain.display(),
        );
    }
    println!(
        r#"
Endpoint: {api}

curl {api}/chat/completions{header} -H 'Content-Type: application/json' \
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}], "stream": true}}'

python3 -c 'from openai import OpenAI; c = OpenAI(base_url="{api}", api_key="{key}"); print(c.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello!"}}]).choices[0].message.content)'

Chat here:  computepool chat --endpoint {api}
Add a node: computepool node --orchestrator {}
Logs:       {}

Ctrl-C drains and leaves."#,
        cluster.address().addresses.first().map(String::as_str).unwrap_or_default(),
        settings.logs.display(),
    );
    Ok(())
}
