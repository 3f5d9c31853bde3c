//! What can be said on the command line.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use computepool_app::{KeyDigest, ModelSource, RelayLimits, ShelfSettings};
use computepool_core::{Fault, FaultCode, Invite, LayerRange};

use crate::chat::ChatOptions;
use crate::deploy::DeployArguments;
use crate::desktop::DesktopArguments;
use crate::devnet::DevnetArguments;
use crate::earnings::EarningsArguments;
use crate::memory::MemoryArguments;
use crate::purse::{EarnArguments, PayArguments, SellArguments};
use crate::sessions::SessionsArguments;
use crate::wallet::WalletArguments;

/// Runs one big model on several machines, layer by layer, behind an OpenAI-compatible endpoint.
#[derive(Parser)]
#[command(name = "computepool", version)]
pub(crate) struct Arguments {
    /// Which log lines go to standard error, in the syntax of RUST_LOG (which goes before).
    #[arg(long, global = true, default_value = "warn")]
    pub(crate) log: String,
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Split a model over nodes on this machine, ask it a question, and show what each shard did.
    Demo(DemoArguments),
    /// Like demo, but keep running and print the endpoint; Ctrl-C drains.
    Up(UpArguments),
    /// Serve a layer range of a model for an orchestrator.
    Node(NodeArguments),
    /// Join nodes into routes and offer models over HTTP.
    Orchestrator(OrchestratorArguments),
    /// Let nodes be reached that nobody can dial; for a machine with a public address.
    Relay(RelayArguments),
    /// The desktop application without a desktop: its page, for a browser on this machine.
    Desktop(Box<DesktopArguments>),
    /// A chain on this machine with all contracts and play money, to try and to test.
    Devnet(DevnetArguments),
    /// Lay down everything that ComputePool needs on a chain, and see that it is sound. Goes on where it was cut short.
    Deploy(DeployArguments),
    /// Keep keys, say what they may spend, and move their money.
    Wallet(WalletArguments),
    /// Show paid sessions: an orchestrator's own, or the one that a token is for.
    Sessions(SessionsArguments),
    /// Show what an operator has earned, from the chain alone.
    Earnings(EarningsArguments),
    /// Show the nodes of a network, how they reach each other, and how its models are served.
    Network(NetworkArguments),
    /// Say what this machine's network allows, before joining.
    Preflight(PreflightArguments),
    /// Chat in the terminal; with a wallet, for money.
    Chat(ChatArguments),
    /// Pay for a session, and get its token: a key for every OpenAI client.
    Pay(SessionArguments),
    /// List models on this machine, and how they would be split.
    Models(ModelsArguments),
    /// Compare a model unsharded and split over 2 and 3 nodes, side by side.
    Bench(BenchArguments),
    /// Show how much memory each shard's engine takes, beside what was reckoned.
    Memory(MemoryArguments),
}

/// What a cluster on this machine is made of.
#[derive(Args, Clone)]
pub(crate) struct ClusterArguments {
    /// A GGUF file or a Hugging Face folder, as PATH or ID=PATH; the sample model when absent.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// How many nodes, one shard each.
    #[arg(long, default_value_t = 3)]
    pub(crate) shards: usize,
    /// Processor threads for each node.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: u32,
    /// Mebibytes of KV for each shard.
    #[arg(long, default_value_t = 256)]
    pub(crate) kv_mb: u64,
    /// The longest sequence served, in tokens.
    #[arg(long, default_value_t = 4096)]
    pub(crate) context: u32,
    /// Give the answers away: no chain, no payments.
    #[arg(long)]
    pub(crate) unpaid: bool,
}

#[derive(Args)]
pub(crate) struct DemoArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    /// What to ask.
    #[arg(long, default_value = "Tell a story about a lighthouse keeper and a lost ship.")]
    pub(crate) ask: String,
    /// The longest answer, in tokens.
    #[arg(long, default_value_t = 320)]
    pub(crate) max_tokens: u32,
}

#[derive(Args)]
pub(crate) struct UpArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    /// Where the endpoint listens.
    #[arg(long, default_value = "127.0.0.1:8642")]
    pub(crate) api: String,
    /// An API key that clients must give; without any, everybody on this machine is let in.
    #[arg(long, env = "COMPUTEPOOL_API_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// A further key to accept, by its SHA-256 in hex; `:N` after it grants N requests a minute.
    #[arg(long, requires = "key")]
    pub(crate) key_sha256: Vec<AcceptedKey>,
    /// Leave when standard input closes, and say in JSON when up: for programs that start this one.
    #[arg(long)]
    pub(crate) supervised: bool,
}

/// A key that the endpoint accepts, as `DIGEST` or `DIGEST:REQUESTS_PER_MINUTE`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AcceptedKey {
    /// SHA-256 of the key.
    pub(crate) digest: KeyDigest,
    /// Its own rate; what all keys have when absent.
    pub(crate) per_minute: Option<NonZeroU32>,
}

impl FromStr for AcceptedKey {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let (digest, per_minute) = match text.split_once(':') {
            None => (text, None),
            Some((digest, rate)) => {
                let rate = rate.parse().map_err(|_| {
                    Fault::new(FaultCode::InvalidRequest, format!("{rate:?} is not a number of requests a minute"))
                })?;
                (digest, Some(rate))
            }
        };
        Ok(Self { digest: digest.parse()?, per_minute })
    }
}

impl fmt::Display for AcceptedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per_minute {
            None => write!(f, "{}", self.digest),
            Some(rate) => write!(f, "{}:{rate}", self.digest),
        }
    }
}

/// How a serving process is known and reached.
#[derive(Args)]
pub(crate) struct ServingArguments {
    /// Where to listen, as multiaddresses; all interfaces when absent.
    #[arg(long)]
    pub(crate) listen: Vec<String>,
    /// Stay on this machine: listen there unless told where to, and look for nobody outside.
    #[arg(long)]
    pub(crate) loopback: bool,
    /// A public address of this machine, as a multiaddress, where it does not find out by itself; may be given several
    /// times.
    #[arg(long)]
    pub(crate) external: Vec<String>,
    /// The file with this machine's identity; made when absent.
    #[arg(long)]
    pub(crate) identity: Option<PathBuf>,
    /// Take a fresh identity for this run.
    #[arg(long, conflicts_with = "identity")]
    pub(crate) ephemeral: bool,
    /// Leave when standard input closes, and say in JSON when up: for programs that start this one.
    #[arg(long)]
    pub(crate) supervised: bool,
}

/// Weights that come from others, and go to others.
#[derive(Args)]
pub(crate) struct ShelfArguments {
    /// A folder for fetched weights, from which others may fetch too; without it none are fetched or given.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) fetch: Option<PathBuf>,
    /// Gigabytes that fetched weights may take; as much as the disk has when absent.
    #[arg(long, requires = "fetch")]
    pub(crate) fetch_gb: Option<u64>,
    /// Megabytes a second that fetching may take.
    #[arg(long, requires = "fetch")]
    pub(crate) download_mb: Option<u64>,
    /// Megabytes a second that giving to others may take.
    #[arg(long, requires = "fetch")]
    pub(crate) upload_mb: Option<u64>,
}

impl ShelfArguments {
    /// As the parts below want them.
    pub(crate) fn settings(self) -> Option<ShelfSettings> {
        let million = |count: Option<u64>, of: u64| count.map(|count| count.saturating_mul(of));
        Some(ShelfSettings {
            folder: self.fetch?,
            max_bytes: million(self.fetch_gb, 1_000_000_000),
            download_limit: million(self.download_mb, 1_000_000),
            upload_limit: million(self.upload_mb, 1_000_000),
        })
    }
}

#[derive(Args)]
pub(crate) struct NodeArguments {
    #[command(flatten)]
    pub(crate) serving: ServingArguments,
    /// The invite link of the network to join: computepool://join/…
    #[arg(long, required_unless_present = "orchestrator")]
    pub(crate) join: Option<Invite>,
    /// The orchestrator's address, ending in /p2p/ID, in place of an invite; may be given several times.
    #[arg(long, conflicts_with = "join")]
    pub(crate) orchestrator: Vec<String>,
    /// Models on this machine, as PATH, ID=PATH or a folder; the user's model folder when absent.
    #[arg(long)]
    pub(crate) models: Vec<ModelSource>,
    #[command(flatten)]
    pub(crate) shelf: ShelfArguments,
    /// What to call this machine.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Serve these layers only, such as 0..10.
    #[arg(long)]
    pub(crate) layers: Option<LayerRange>,
    /// Mebibytes to offer for weights and KV; when absent most of the GPU's free memory, or half of the machine's.
    #[arg(long)]
    pub(crate) memory_mb: Option<u64>,
    /// Processor threads for the engine; one core stays free when absent.
    #[arg(long)]
    pub(crate) threads: Option<u32>,
    #[command(flatten)]
    pub(crate) earn: EarnArguments,
}

#[derive(Args)]
pub(crate) struct OrchestratorArguments {
    #[command(flatten)]
    pub(crate) serving: ServingArguments,
    /// A relay that invited nodes are told of, as a multiaddress ending in /p2p/ID; may be given several times.
    #[arg(long)]
    pub(crate) relays_via: Vec<String>,
    /// Serve as a relay too.
    #[arg(long)]
    pub(crate) relay: bool,
    /// Where to keep what must be found again after a restart: a file, or postgres://…; in the user's data folder when
    /// absent, and nowhere with --ephemeral.
    #[arg(long, env = "COMPUTEPOOL_STATE", hide_env_values = true)]
    pub(crate) state: Option<String>,
    /// Models to offer, as PATH, ID=PATH or a folder; the user's model folder when absent.
    #[arg(long)]
    pub(crate) model: Vec<ModelSource>,
    #[command(flatten)]
    pub(crate) shelf: ShelfArguments,
    /// A web folder in which the models' files lie, for nodes that fetch weights; may be given several times.
    #[arg(long, requires = "fetch")]
    pub(crate) weights_url: Vec<String>,
    /// Into how many shards each model is cut.
    #[arg(long, default_value_t = 3)]
    pub(crate) shards: usize,
    /// Seconds that a broken answer waits for somebody to go on with it, before it ends in an error.
    #[arg(long, default_value_t = 60)]
    pub(crate) patience: u64,
    /// Mebibytes of KV for each shard.
    #[arg(long, default_value_t = 1024)]
    pub(crate) kv_mb: u64,
    /// The longest sequence served, in tokens.
    #[arg(long, default_value_t = 4096)]
    pub(crate) context: u32,
    /// Where the HTTP endpoint listens.
    #[arg(long, default_value = "127.0.0.1:8642")]
    pub(crate) api: SocketAddr,
    /// SHA-256 of an API key to accept, in hex; `:N` after it grants N requests a minute. Without any, everybody is let in.
    #[arg(long)]
    pub(crate) key_sha256: Vec<AcceptedKey>,
    /// Generations one key may have running at once.
    #[arg(long, default_value_t = 64)]
    pub(crate) key_generations: u32,
    /// Requests a minute for one key; 0 does not count them.
    #[arg(long, default_value_t = 1200)]
    pub(crate) key_requests_per_minute: u32,
    /// Web origins that browsers may call from.
    #[arg(long)]
    pub(crate) allow_origin: Vec<String>,
    #[command(flatten)]
    pub(crate) sell: SellArguments,
}

#[derive(Args)]
pub(crate) struct RelayArguments {
    #[command(flatten)]
    pub(crate) serving: ServingArguments,
    /// Nodes that may be reached through it.
    #[arg(long, default_value_t = RelayLimits::default().max_reservations)]
    pub(crate) reservations: usize,
    /// Pairs of nodes that may talk through it at once.
    #[arg(long, default_value_t = RelayLimits::default().max_circuits)]
    pub(crate) circuits: usize,
}

#[derive(Args)]
pub(crate) struct NetworkArguments {
    /// Base address of the endpoint.
    #[arg(long, default_value = "http://127.0.0.1:8642/v1", env = "OPENAI_BASE_URL")]
    pub(crate) endpoint: String,
    /// API key, where the endpoint wants one.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

#[derive(Args)]
pub(crate) struct PreflightArguments {
    /// The invite link of the network to join: computepool://join/…
    #[arg(long)]
    pub(crate) join: Invite,
    /// Seconds to look around for.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

#[derive(Args)]
pub(crate) struct ChatArguments {
    /// Base address of the endpoint.
    #[arg(long, default_value = "http://127.0.0.1:8642/v1", env = "OPENAI_BASE_URL")]
    endpoint: String,
    /// API key, where the endpoint wants one.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, conflicts_with = "wallet")]
    key: Option<String>,
    /// The model; the first one offered when absent.
    #[arg(long)]
    model: Option<String>,
    /// A system message.
    #[arg(long)]
    system: Option<String>,
    /// Sampling temperature.
    #[arg(long)]
    temperature: Option<f32>,
    /// The longest answer, in tokens.
    #[arg(long)]
    max_tokens: Option<u32>,
    #[command(flatten)]
    pay: PayArguments,
}

impl ChatArguments {
    /// As the conversation wants them.
    pub(crate) fn options(self) -> Result<ChatOptions, Fault> {
        Ok(ChatOptions {
            endpoint: self.endpoint,
            key: self.key,
            model: self.model,
            system: self.system,
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            pay: self.pay.settings()?,
            history: computepool_app::paths::data_folder()?.join("chat-history.txt"),
        })
    }
}

#[derive(Args)]
pub(crate) struct SessionArguments {
    /// The model that will be asked.
    pub(crate) model: String,
    /// Base address of the endpoint.
    #[arg(long, default_value = "http://127.0.0.1:8642/v1", env = "OPENAI_BASE_URL")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) pay: PayArguments,
}

#[derive(Args)]
pub(crate) struct ModelsArguments {
    /// PATH, ID=PATH or a folder; the user's model folder when absent.
    pub(crate) sources: Vec<ModelSource>,
    /// Show the split into this many shards.
    #[arg(long, default_value_t = 3)]
    pub(crate) shards: usize,
    /// Tokens of KV to reckon with.
    #[arg(long, default_value_t = 4096)]
    pub(crate) context: u64,
}

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// The model; the sample model when absent.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Tokens of prompt.
    #[arg(long, default_value_t = 256)]
    pub(crate) prompt: u32,
    /// Tokens to produce.
    #[arg(long, default_value_t = 128)]
    pub(crate) tokens: u32,
    /// Rounds, each measuring every split once.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Streams at once in the second part; 0 leaves it out.
    #[arg(long, default_value_t = 32)]
    pub(crate) streams: usize,
    /// Rounds of the third part, in which strangers pay on a devnet; 0 leaves it out.
    #[arg(long, default_value_t = 16)]
    pub(crate) paid: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_accepted_with_and_without_a_rate_of_their_own() {
        let digest = "ab".repeat(32);
        let plain: AcceptedKey = digest.parse().unwrap();
        assert_eq!((plain.per_minute, plain.to_string()), (None, digest.clone()));
        let limited: AcceptedKey = format!("{digest}:5").parse().unwrap();
        assert_eq!((limited.per_minute, limited.to_string()), (NonZeroU32::new(5), format!("{digest}:5")));
        for wrong in [format!("{digest}:0"), format!("{digest}:"), "abc".to_owned()] {
            assert!(wrong.parse::<AcceptedKey>().is_err(), "{wrong}");
        }
    }
}
