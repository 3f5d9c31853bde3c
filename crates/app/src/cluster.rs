//! An orchestrator and its nodes as separate processes on one machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use computepool_api::KeyDigest;
use computepool_core::ports::{NetworkStatus, ShardPhase};
use computepool_core::{Fault, FaultCode, LayerRange};

use serde::{Deserialize, Serialize};

use crate::devnet::DevnetAddress;
use crate::node::NodeAddress;
use crate::orchestrator::OrchestratorAddress;
use crate::supervised::Supervised;

/// What to start.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The `computepool` executable; the engines lie beside it.
    pub program: PathBuf,
    /// The model, as `PATH` or `ID=PATH`.
    pub model: String,
    /// Into how many shards the model is cut.
    pub shards: usize,
    /// How many nodes are started; one for each shard where nothing is said.
    pub nodes: Option<usize>,
    /// Processor threads for each engine.
    pub threads: u32,
    /// Bytes of KV for each shard.
    pub kv_bytes: u64,
    /// The longest sequence served, in tokens.
    pub max_context: u32,
    /// Where the HTTP face listens.
    pub api: String,
    /// An API key that the HTTP face wants from everybody, this program included; nobody needs one when absent.
    pub key: Option<String>,
    /// Further arguments for the orchestrator.
    pub orchestrator_arguments: Vec<String>,
    /// Sells the answers for play money: with a devnet of its own, and an operator's wallet for each node.
    pub paid: bool,
    /// Where logs go.
    pub logs: PathBuf,
}

impl ClusterSettings {
    /// A network with play money, as somebody who tries it wants it.
    pub fn trial(program: PathBuf, model: String, logs: PathBuf) -> Self {
        Self {
            program,
            model,
            shards: 3,
            nodes: None,
            threads: 1,
            kv_bytes: 256 << 20,
            max_context: 4096,
            api: "127.0.0.1:0".to_owned(),
            key: None,
            orchestrator_arguments: Vec::new(),
            paid: true,
            logs,
        }
    }
}

/// How a running cluster is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterAddress {
    /// The orchestrator, and the endpoint.
    #[serde(flatten)]
    pub orchestrator: OrchestratorAddress,
    /// The key that asks for nothing.
    pub key: Option<String>,
    /// The chain that strangers pay on.
    pub devnet: Option<DevnetAddress>,
}

/// How long the shards may take to load.
const LOAD: Duration = Duration::from_secs(15 * 60);

/// The processes.
pub struct Cluster {
    devnet: Option<(Supervised, DevnetAddress)>,
    orchestrator: Supervised,
    address: OrchestratorAddress,
    key: Option<String>,
    nodes: Nodes,
}

/// Node processes that were started for an orchestrator.
pub struct Nodes(Vec<Supervised>);

impl Nodes {
    /// Starts `count` nodes that look for the orchestrator at `addresses`.
    pub async fn start(settings: &ClusterSettings, addresses: &[String]) -> Result<Self, Fault> {
        Self::start_paid(settings, addresses, None).await
    }

    async fn start_paid(
        settings: &ClusterSettings,
        addresses: &[String],
        devnet: Option<&DevnetAddress>,
    ) -> Result<Self, Fault> {
        let mut nodes = Self(Vec::new());
        for number in 1..=settings.nodes.unwrap_or(settings.shards) {
            let earn = devnet.map(|devnet| purse(devnet, &format!("operator-{number}"))).unwrap_or_default();
            nodes.add_with(settings, addresses, &format!("node-{number}"), None, earn).await?;
        }
        Ok(nodes)
    }

    /// Starts one more node.
    pub async fn add(
        &mut self,
        settings: &ClusterSettings,
        addresses: &[String],
        name: &str,
        layers: Option<LayerRange>,
    ) -> Result<NodeAddress, Fault> {
        self.add_with(settings, addresses, name, layers, Vec::new()).await
    }

    async fn add_with(
        &mut self,
        settings: &ClusterSettings,
        addresses: &[String],
        name: &str,
        layers: Option<LayerRange>,
        more: Vec<String>,
    ) -> Result<NodeAddress, Fault> {
        let mut arguments = to_strings(&["node", "--supervised", "--ephemeral", "--loopback", "--name", name]);
        arguments.extend(["--models".to_owned(), settings.model.clone()]);
        arguments.extend(["--threads".to_owned(), settings.threads.to_string()]);
        for address in addresses {
            arguments.extend(["--orchestrator".to_owned(), address.clone()]);
        }
        if let Some(layers) = layers {
            arguments.extend(["--layers".to_owned(), layers.to_string()]);
        }
        arguments.extend(more);
        let log = log_path(&settings.logs, name);
        let (process, address) = Supervised::start(name, &settings.program, &arguments, &log).await?;
        self.0.push(process);
        Ok(address)
    }

    /// The processes, in the order they were started.
    pub fn processes(&mut self) -> &mut [Supervised] {
        &mut self.0
    }

    /// Asks every node to leave; `false` if one of them had to be ended.
    pub async fn leave(self) -> bool {
        let left = futures::future::join_all(self.0.into_iter().map(Supervised::leave)).await;
        left.into_iter().all(|left| left)
    }
}

async fn start_devnet(settings: &ClusterSettings) -> Result<(Supervised, DevnetAddress), Fault> {
    let mut arguments = to_strings(&["devnet", "--supervised", "--port", "0", "--block-time", "1", "--folder"]);
    arguments.push(settings.logs.join("devnet").display().to_string());
    arguments.extend(["--operators".to_owned(), settings.shards.to_string()]);
    Supervised::start("devnet", &settings.program, &arguments, &log_path(&settings.logs, "devnet")).await
}

/// The arguments that name a wallet of a devnet.
fn purse(devnet: &DevnetAddress, wallet: &str) -> Vec<String> {
    let paths =
        [("--wallets", &devnet.wallets), ("--passphrase-file", &devnet.passphrase_file), ("--chain", &devnet.chain)];
    let paths = paths.into_iter().flat_map(|(name, path)| [name.to_owned(), path.display().to_string()]);
    ["--wallet".to_owned(), wallet.to_owned()].into_iter().chain(paths).collect()
}

/// A key that nobody else has.
fn own_key() -> String {
    format!("cpk_{}", hex::encode(rand::random::<[u8; 24]>()))
}

fn to_strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

fn log_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

impl Cluster {
    /// Starts the orchestrator, then the nodes.
    pub async fn start(settings: &ClusterSettings) -> Result<Self, Fault> {
        crate::paths::make_folder(&settings.logs)?;
        // Hashing a big model takes minutes: once, here, and the processes find it in the cache.
        crate::models::scan(vec![settings.model.parse()?]).await?;
        let mut arguments = to_strings(&["orchestrator", "--supervised", "--ephemeral", "--loopback"]);
        arguments.extend(["--api".to_owned(), settings.api.clone(), "--model".to_owned(), settings.model.clone()]);
        arguments.extend(["--shards".to_owned(), settings.shards.to_string()]);
        arguments.extend(["--kv-mb".to_owned(), (settings.kv_bytes >> 20).to_string()]);
        arguments.extend(["--context".to_owned(), settings.max_context.to_string()]);
        // Where strangers pay, the owner has a key.
        let key = settings.key.clone().or_else(|| settings.paid.then(own_key));
        if let Some(key) = &key {
            arguments.extend(["--key-sha256".to_owned(), KeyDigest::of(key).to_string()]);
        }
        let devnet = if settings.paid { Some(start_devnet(settings).await?) } else { None };
        if let Some((_, devnet)) = &devnet {
            arguments.extend(purse(devnet, "meter"));
            arguments.extend(["--state".to_owned(), settings.logs.join("orchestrator.db").display().to_string()]);
        }
        arguments.extend(settings.orchestrator_arguments.iter().cloned());
        let log = log_path(&settings.logs, "orchestrator");
        let (orchestrator, address): (_, OrchestratorAddress) =
            Supervised::start("orchestrator", &settings.program, &arguments, &log).await?;
        let nodes = Nodes::start_paid(settings, &address.addresses, devnet.as_ref().map(|(_, it)| it)).await?;
        Ok(Self { devnet, orchestrator, address, key, nodes })
    }

    /// Base address of the HTTP face.
    pub fn api(&self) -> &str {
        self.address.api.as_deref().unwrap_or_default()
    }

    /// The key that asks for nothing: the one that was given, or where strangers pay, the owner's own.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The orchestrator's addresses.
    pub fn address(&self) -> &OrchestratorAddress {
        &self.address
    }

    /// Everything that another program has to know of it.
    pub fn whole_address(&self) -> ClusterAddress {
        ClusterAddress { orchestrator: self.address.clone(), key: self.key.clone(), devnet: self.devnet().cloned() }
    }

    /// The chain that it is paid on.
    pub fn devnet(&self) -> Option<&DevnetAddress> {
        self.devnet.as_ref().map(|(_, address)| address)
    }

    /// The nodes.
    pub fn nodes(&mut self) -> &mut Nodes {
        &mut self.nodes
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Supervised> {
        let devnet = self.devnet.as_mut().map(|(process, _)| process);
        std::iter::once(&mut self.orchestrator).chain(devnet).chain(&mut self.nodes.0)
    }

    /// The name of a process that has ended by itself, if there is one.
    pub fn ended(&mut self) -> Option<String> {
        self.processes().find_map(|process| process.has_ended().then(|| process.name().to_owned()))
    }

    /// Waits until a complete route serves the model, telling `changed` of every change on the way.
    pub async fn ready(&mut self, mut changed: impl FnMut(&NetworkStatus)) -> Result<NetworkStatus, Fault> {
        let url = format!("{}/network", self.api());
        let client = reqwest::Client::new();
        let deadline = Instant::now() + LOAD;
        let mut last = NetworkStatus::default();
        loop {
            let mut request = client.get(&url);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            if let Ok(response) = request.send().await
                && let Ok(status) = response.json::<NetworkStatus>().await
            {
                if status != last {
                    changed(&status);
                    last = status.clone();
                }
                let ready = status.nodes.iter().filter(|node| node.phase == ShardPhase::Ready).count();
                if ready == self.nodes.0.len() && (self.devnet.is_none() || self.is_sold(&client, &status).await) {
                    return Ok(status);
                }
            }
            if let Some(process) = self.processes().find_map(|process| process.has_ended().then_some(process)) {
                let what = format!("{} ended:\n{}", process.name(), process.last_log_lines());
                return Err(Fault::new(FaultCode::NodeLost, what));
            }
            if Instant::now() > deadline {
                let reasons: String = last
                    .nodes
                    .iter()
                    .map(|node| format!("\n{}: {:?}, {}", node.name, node.phase, node.reason))
                    .collect();
                return Err(Fault::new(FaultCode::NoRoute, format!("the shards were not ready in time{reasons}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether a stranger is told a price.
    async fn is_sold(&self, client: &reqwest::Client, status: &NetworkStatus) -> bool {
        let Some(pool) = status.pools.first() else { return false };
        let body = serde_json::json!({ "model": pool.model, "messages": [{ "role": "user", "content": "?" }] });
        let answer = client.post(format!("{}/chat/completions", self.api())).json(&body).send().await;
        answer.is_ok_and(|answer| answer.status() == reqwest::StatusCode::PAYMENT_REQUIRED)
    }

    /// Lets everything finish and leave; `false` if a process had to be ended.
    pub async fn leave(self) -> bool {
        let orchestrator = self.orchestrator.leave().await;
        let nodes = self.nodes.leave().await;
        // Streams are stopped on the chain before it ends.
        let devnet = match self.devnet {
            Some((process, _)) => process.leave().await,
            None => true,
        };
        orchestrator && nodes && devnet
    }
}
