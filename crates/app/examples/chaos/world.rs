//! Processes that can be killed and started again as they were, and the chain that they are paid on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_app::chains::ChainCard;
use computepool_app::devnet::{DevnetSettings, RunningDevnet};
use computepool_app::onlooker::{Onlooker, Share};
use computepool_app::orchestrator::OrchestratorAddress;
use computepool_app::paying::{PaymentBook, SessionsOnly};
use computepool_app::purse::{Purse, PurseSettings};
use computepool_app::supervised::Supervised;
use computepool_chain::coalitions::Coalitions;
use computepool_chain::tokens::{Balances, Tokens};
use computepool_core::ports::{CoalitionId, NetworkStatus, ShardPhase};
use computepool_core::{Account, Amount};
use computepool_payments::client::Escrow;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::blows::signal;
use crate::proxy::Proxy;
use crate::vouchers::Remembering;

/// Nodes: three places, and a spare.
const NODES: usize = 4;
/// What is sold.
pub(crate) const MODEL: &str = "smollm2-135m-instruct";
/// The owner's key, to look at the network with.
const KEY: &str = "the-key-of-the-owner";
/// How long the network may take until it sells.
const UP: Duration = Duration::from_secs(120);

/// A process, and how it is started.
pub(crate) struct Kept {
    name: String,
    arguments: Vec<String>,
    process: Option<Supervised>,
    lives: u32,
}

/// Everything.
pub(crate) struct World {
    folder: tempfile::TempDir,
    program: PathBuf,
    devnet: RunningDevnet,
    pub(crate) proxy: Proxy,
    pub(crate) orchestrator: Kept,
    pub(crate) nodes: Vec<Kept>,
    api: String,
    web: reqwest::Client,
    pub(crate) vault: Remembering,
    pub(crate) user: Account,
}

/// What the user has, and what the pool has paid.
pub(crate) struct Books {
    pub(crate) user: Balances,
    pub(crate) shares: Vec<Share>,
}

impl Kept {
    fn new(name: &str, words: &str) -> Self {
        let arguments = words.split_whitespace().map(str::to_owned).collect();
        Self { name: name.to_owned(), arguments, process: None, lives: 0 }
    }

    async fn start<T: DeserializeOwned>(&mut self, program: &Path, folder: &Path) -> T {
        // A log for every life: the one that ended is what one wants to read.
        self.lives += 1;
        let log = folder.join(format!("{}-{}.log", self.name, self.lives));
        let started = Supervised::start(&self.name, program, &self.arguments, &log).await;
        let (process, ready) = started.unwrap();
        self.process = Some(process);
        ready
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("chaos").disable_cleanup(true).tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let devnet = folder.path().join("devnet");
        let devnet = DevnetSettings { port: 0, block_time: Some(1), folder: devnet, operators: NODES };
        let devnet = RunningDevnet::start(devnet).await.unwrap();
        let address = devnet.address().clone();
        let proxy = Proxy::new().await;
        proxy.stand_before(&address.endpoint);
        let card = ChainCard::read(&address.chain).unwrap();
        let proxied = ChainCard { endpoints: vec![proxy.url()], ..card.clone() };
        proxied.write(&folder.path().join("proxied.json")).unwrap();
        let purse = |wallet: &str| {
            let (wallets, passphrase) = (address.wallets.display(), address.passphrase_file.display());
            let chain = at("proxied.json");
            format!("--wallet {wallet} --wallets {wallets} --passphrase-file {passphrase} --chain {chain}")
        };
        let (control, http) = (port(), port());
        let model = format!("{MODEL}={}", computepool_app::sample_model_path().unwrap().display());
        let words = format!(
            "orchestrator --log warn,computepool_payments=debug --supervised --listen /ip4/127.0.0.1/tcp/{control} --identity {} --state {} --money-folder {} \
             --api 127.0.0.1:{http} --model {model} --shards 3 --kv-mb 256 --context 1024 --key-sha256 {} \
             --key-requests-per-minute 0 {}",
            at("orchestrator.key"),
            at("orchestrator.db"),
            at("money"),
            computepool_app::KeyDigest::of(KEY),
            purse("meter"),
        );
        let program = program();
        let mut orchestrator = Kept::new("orchestrator", &words);
        let known: OrchestratorAddress = orchestrator.start(&program, folder.path()).await;
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            let name = format!("node-{number}");
            let identity = at(&format!("{name}.key"));
            let earn = purse(&format!("operator-{number}"));
            let join: String = known.addresses.iter().map(|address| format!(" --orchestrator {address}")).collect();
            let words = format!(
                "node --supervised --loopback --identity {identity} --name {name} --models {model} --threads 1 {earn}{join}"
            );
            let mut node = Kept::new(&name, &words);
            let _: Value = node.start(&program, folder.path()).await;
            nodes.push(node);
        }
        let settings = PurseSettings {
            folder: Some(address.wallets),
            wallet: "user".to_owned(),
            passphrase_file: Some(address.passphrase_file),
        };
        let purse = Purse::open(&settings, card.contracts()).unwrap();
        let world = Self {
            program,
            proxy,
            orchestrator,
            nodes,
            api: format!("http://127.0.0.1:{http}/v1"),
            web: reqwest::Client::new(),
            vault: Remembering::new(purse.vault()),
            user: purse.account,
            devnet,
            folder,
        };
        let deadline = Instant::now() + UP;
        while !world.is_whole().await {
            assert!(Instant::now() < deadline, "the network does not sell; logs in {}", world.folder().display());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        world
    }

    /// Where logs and state are. They stay.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// The chain itself, not what stands before it.
    pub(crate) fn card(&self) -> ChainCard {
        ChainCard::read(&self.devnet.address().chain).unwrap()
    }

    /// What the user pays for, and nothing else. It looks at the chain itself, not at what stands before it.
    pub(crate) fn sessions(&self) -> SessionsOnly {
        let card = self.card();
        let (rates, book) = (Coalitions::new(card.rpc().unwrap(), &card.book), card.book);
        SessionsOnly {
            escrow: Escrow::new(book.chain_id, move |terms| book.session_account(terms)),
            rates: Arc::new(rates),
            most_per_hour: Amount::usdc(1_000_000),
            book: PaymentBook::at(self.folder().join("payments.jsonl")),
        }
    }

    pub(crate) fn onlooker(&self) -> Onlooker {
        Onlooker::new(&self.devnet.address().chain).unwrap()
    }

    /// The network as its owner sees it; `None` while the orchestrator is away.
    pub(crate) async fn status(&self) -> Option<NetworkStatus> {
        let asking = self.web.get(format!("{}/network", self.api)).bearer_auth(KEY).timeout(Duration::from_secs(2));
        asking.send().await.ok()?.json().await.ok()
    }

    /// What a stranger has to pay for; `None` while nothing is sold.
    pub(crate) async fn coalition(&self) -> Option<CoalitionId> {
        let body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "?" }] });
        let asking = self.web.post(format!("{}/chat/completions", self.api)).json(&body);
        let answer: Value = asking.timeout(Duration::from_secs(5)).send().await.ok()?.json().await.ok()?;
        let bound = &answer["payment"]["accepts"][0]["extra"]["computepool"];
        serde_json::from_value(bound["coalition"].clone()).ok()
    }

    /// Every node serves, and the model is sold.
    async fn is_whole(&self) -> bool {
        let Some(status) = self.status().await else { return false };
        let ready = status.nodes.iter().filter(|node| node.phase == ShardPhase::Ready).count();
        ready == NODES && self.coalition().await.is_some()
    }

    pub(crate) async fn books(&self) -> Books {
        let card = self.card();
        let user = Tokens::new(card.rpc().unwrap(), &card.book).balances(self.user).await.unwrap();
        let coalition = self.coalition().await.unwrap();
        Books { user, shares: self.onlooker().shares(coalition).await.unwrap() }
    }

    pub(crate) async fn kill_orchestrator(&mut self, pause: Duration) {
        self.orchestrator.kill().await;
        tokio::time::sleep(pause).await;
        let _: Value = self.orchestrator.start(&self.program, self.folder.path()).await;
    }

    pub(crate) async fn kill_node(&mut self, index: usize, pause: Duration) {
        self.nodes[index].kill().await;
        tokio::time::sleep(pause).await;
        let _: Value = self.nodes[index].start(&self.program, self.folder.path()).await;
    }

    /// Everything is as it should be from now on; waits until it is.
    pub(crate) async fn calm(&mut self) {
        self.proxy.fall_silent(false);
        self.proxy.lose_transactions(false);
        self.proxy.behave(|_, _, _| crate::proxy::Says::Truth);
        for kept in self.nodes.iter_mut().chain([&mut self.orchestrator]) {
            if let Some(pid) = kept.pid() {
                signal(pid, "CONT");
            }
            if kept.process.is_none() {
                let _: Value = kept.start(&self.program, self.folder.path()).await;
            }
        }
        let deadline = Instant::now() + UP;
        while !self.is_whole().await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    pub(crate) async fn leave(self) {
        for kept in [self.orchestrator].into_iter().chain(self.nodes) {
            if let Some(process) = kept.process {
                process.leave().await;
            }
        }
        self.devnet.leave().await;
    }
}

/// A port that nobody listens on.
fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The executable beside the examples' folder.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join(format!("computepool{}", std::env::consts::EXE_SUFFIX))
}
