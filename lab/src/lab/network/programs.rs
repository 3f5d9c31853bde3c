//! The executables, the model, and how each program is called.

use std::path::PathBuf;

use crate::lab::outcome::Failure;
use crate::lab::world::Public;

/// The port that public hosts listen on for peers, and the orchestrator for HTTP.
const PEERS: u16 = 4001;
pub(super) const HTTP: u16 = 8642;

/// An API key, and its SHA-256: an orchestrator that others can reach wants one.
pub(super) const KEY: &str = "computepool-lab";
const KEY_SHA256: &str = "aba4ddfcec8d87be767bb115c5f67ac6fd2b07f805fd3ecbf8b10997e0f7f85e";

/// The sample model, which `scripts/sample-model` fetches.
const SAMPLE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// What the lab runs, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// `computepool`; its engines lie beside it.
    pub(crate) computepool: PathBuf,
    /// The model, a file or folder.
    pub(crate) model: PathBuf,
    /// Where logs and states go.
    pub(crate) folder: PathBuf,
    /// Which log lines are kept, in the syntax of RUST_LOG.
    pub(crate) log: String,
}

/// How an orchestrator cuts its model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    /// Into how many shards.
    pub(crate) shards: u32,
    /// The longest sequence, in tokens.
    pub(crate) context: u32,
    /// Mebibytes of KV for each shard.
    pub(crate) kv_mb: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self { shards: 3, context: 2048, kv_mb: 64 }
    }
}

impl Programs {
    /// `computepool` beside this program, and the model named or else the sample.
    pub(crate) fn find(model: Option<PathBuf>, folder: PathBuf, log: String) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::of("the lab's own executable"))?;
        let computepool = own.with_file_name("computepool");
        let model = model.or_else(sample).ok_or_else(|| Failure::new("name a model with --model"))?;
        for path in [&computepool, &model] {
            if !path.exists() {
                return Err(Failure::new(format!("{} is missing: `make lab` provides it", path.display())));
            }
        }
        std::fs::create_dir_all(&folder).map_err(Failure::of(folder.display()))?;
        Ok(Self { computepool, model, folder, log })
    }

    fn call(&self, task: &str, words: &[&str]) -> Vec<String> {
        let mut arguments = vec![task.to_owned(), "--supervised".to_owned(), "--log".to_owned(), self.log.clone()];
        arguments.extend(words.iter().map(|&word| word.to_owned()));
        arguments
    }

    fn public(who: Public) -> Vec<String> {
        let mut arguments = Vec::new();
        for (option, host) in [("--listen", "0.0.0.0".to_owned()), ("--external", who.address().to_string())] {
            for way in [format!("tcp/{PEERS}"), format!("udp/{PEERS}/quic-v1")] {
                arguments.extend([option.to_owned(), format!("/ip4/{host}/{way}")]);
            }
        }
        arguments
    }

    fn pool(&self, pool: Pool) -> Vec<String> {
        let (shards, context, kv) = (pool.shards.to_string(), pool.context.to_string(), pool.kv_mb.to_string());
        let words = ["--shards", &shards, "--context", &context, "--kv-mb", &kv, "--model"];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        arguments.push(self.model.display().to_string());
        arguments
    }

    /// A relay on its public host.
    pub(super) fn relay(&self) -> Vec<String> {
        [self.call("relay", &["--ephemeral"]), Self::public(Public::Relay)].concat()
    }

    /// An orchestrator on its public host, with nodes reaching each other through `relay`; it keeps what it knows in
    /// `state`, or forgets it.
    pub(super) fn orchestrator(&self, pool: Pool, relay: &[String], state: Option<&str>) -> Vec<String> {
        let memory = match state {
            Some(folder) => {
                let file = |option: &str, name: &str| [option.to_owned(), format!("{folder}/{name}")];
                [file("--state", "orchestrator.db"), file("--identity", "orchestrator.key")].concat()
            }
            None => ["--ephemeral".to_owned()].to_vec(),
        };
        let via = relay.iter().flat_map(|address| ["--relays-via".to_owned(), address.clone()]).collect();
        let http = format!("{}:{HTTP}", Public::Orchestrator.address());
        // The lab asks far more often than one client may.
        let api = ["--api", &http, "--key-sha256", KEY_SHA256, "--key-requests-per-minute", "0"].map(str::to_owned);
        [self.call("orchestrator", &[]), memory, Self::public(Public::Orchestrator), via, self.pool(pool), api.to_vec()]
            .concat()
    }

    /// A node that knows nothing but an invite link and where its models are.
    pub(super) fn node(&self, name: &str, invite: &str, threads: u32) -> Vec<String> {
        let (models, threads) = (self.model.display().to_string(), threads.to_string());
        self.call(
            "node",
            &["--ephemeral", "--name", name, "--join", invite, "--models", &models, "--threads", &threads],
        )
    }

    /// An orchestrator on the loopback, for one node that serves the whole model.
    pub(super) fn solo_orchestrator(&self, pool: Pool) -> Vec<String> {
        let api = format!("127.0.0.1:{HTTP}");
        let call = self.call("orchestrator", &["--ephemeral", "--loopback", "--api", &api]);
        [call, self.pool(Pool { shards: 1, ..pool })].concat()
    }

    /// That node.
    pub(super) fn solo_node(&self, orchestrator: &[String]) -> Vec<String> {
        let models = self.model.display().to_string();
        let mut arguments =
            self.call("node", &["--ephemeral", "--loopback", "--name", "solo", "--models", &models, "--threads", "2"]);
        arguments.extend(orchestrator.iter().flat_map(|address| ["--orchestrator".to_owned(), address.clone()]));
        arguments
    }
}

fn sample() -> Option<PathBuf> {
    let given = std::env::var_os("COMPUTEPOOL_SAMPLE_MODEL").map(PathBuf::from);
    let cache = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
    };
    given.or_else(|| Some(cache()?.join("computepool/models").join(SAMPLE)))
}
