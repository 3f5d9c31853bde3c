//! A chain of its own with everything on it, people, a coalition of two, and an orchestrator's payments.
//!
//! Time stands still unless a test lets it pass: blocks are one second apart, and [`World::pass`] moves the chain's clock
//! and everybody else's together. The coalition serves eight layers for 0.01 USDCx a second, a session is opened with
//! 2 USDC, of which 0.9 stay in its account while it streams: 110 s are paid for.

mod books;
mod clock;
mod people;
mod serving;
mod set_up;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolCall;
use computepool_chain::devnet::Devnet;
use computepool_chain::rpc::{Patience, Rpc};
use computepool_chain::sender::{Folder, Sender, SenderOptions};
use computepool_chain::{ChainError, Network, Sessions};
use computepool_core::Account;
use computepool_core::ports::CoalitionId;
use computepool_payments::quote::{QuoteKey, Tariff};
use computepool_payments::{Payments, Ports, Settings};
use computepool_store::{Store, StoreError};
use computepool_wallet::Wallet;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::clock::Watch;
pub(crate) use self::people::People;
pub(crate) use self::serving::{account, asked, payload, read, reason, step};

/// How long anything may take that happens by itself, before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// After so many looks a second passes: payments read their meters four times in a real one.
const GLANCES: u32 = 12;

/// How an orchestrator reaches the chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// Where it asks; the chain itself where nothing is named.
    pub(crate) endpoints: Vec<String>,
    /// How deep a block must lie to count; 1 where it is 0.
    pub(crate) depth: u64,
    /// How long an admission waits for the chain; long enough on any machine where nothing is said.
    pub(crate) admission: Option<Duration>,
}

pub(crate) struct World {
    pub(crate) devnet: Devnet,
    /// Straight to the chain.
    pub(crate) rpc: Rpc,
    pub(crate) clock: Arc<Watch>,
    pub(crate) people: People,
    pub(crate) wallet: Wallet,
    pub(crate) coalition: CoalitionId,
    /// The chain as the orchestrator sees it, and acts on it.
    pub(crate) meter: Arc<Sessions>,
    pub(crate) toll: Payments,
    /// The chain as it is.
    witness: Sessions,
    store: Arc<Store>,
    reach: Reach,
    /// All USDCx wei that people had together in the beginning.
    wealth: U256,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Reach::default()).await
    }

    pub(crate) async fn with(reach: Reach) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Watch::new());
        let wallet = people::wallet(&folder.path().join("wallets"), &clock);
        let devnet = set_up::devnet(&wallet).await;
        let rpc = Rpc::new(&devnet.network, Patience::default()).unwrap();
        let people = People::of(&wallet.card().accounts);
        let coalition = set_up::coalition(&devnet, &rpc, &wallet, &people).await;
        clock.reach(rpc.time().await.unwrap());
        let network = devnet.network.clone();
        let outbox = Folder::open(&folder.path().join("witness"), 31_337, people.stranger.0).unwrap();
        let options = SenderOptions::of(&network);
        let vault = people::vault(&wallet);
        let idle = Sender::start(rpc.clone(), vault, people.stranger.0, Box::new(outbox), options).unwrap();
        let witness = Sessions::new(network, devnet.book.clone(), idle);
        let meter = meter(&devnet, &wallet, &people, &reach, &folder);
        let store = open(&folder.path().join("ledger.db")).await;
        let toll = toll(&meter, &store, &clock, coalition, &reach).await;
        let mut world = Self {
            devnet,
            rpc,
            clock,
            people,
            wallet,
            coalition,
            meter,
            toll,
            witness,
            store,
            reach,
            wealth: U256::ZERO,
            folder,
        };
        world.wealth = world.wealth_now().await;
        world
    }

    /// The orchestrator ends without closing anything, and another life of it begins with what was written down.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(self.reach.clone()).await;
    }

    /// The same, and it reaches the chain in another way from then on.
    pub(crate) async fn restart_with(&mut self, reach: Reach) {
        self.toll.drain(Duration::ZERO).await;
        self.store.close().await.unwrap();
        self.store = open(&self.folder.path().join("ledger.db")).await;
        self.meter = meter(&self.devnet, &self.wallet, &self.people, &reach, &self.folder);
        self.toll = toll(&self.meter, &self.store, &self.clock, self.coalition, &reach).await;
        self.reach = reach;
    }

    /// The orchestrator ends without closing anything, for good.
    pub(crate) async fn abandon(&self) {
        self.toll.drain(Duration::ZERO).await;
    }

    /// Tells anvil something.
    pub(crate) async fn tell(&self, method: &'static str, params: Value) -> Value {
        self.rpc.request(method, params).await.unwrap()
    }

    /// Nothing gets into a block until [`World::release_blocks`].
    pub(crate) async fn hold_blocks(&self) {
        self.tell("evm_setAutomine", json!([false])).await;
    }

    /// What waits gets into a block, those who pay most first, and from then on everything at once.
    pub(crate) async fn release_blocks(&self) {
        self.tell("evm_mine", json!([])).await;
        self.tell("evm_setAutomine", json!([true])).await;
    }

    /// Time passes, on the chain and everywhere. What waits for a block gets into it.
    pub(crate) async fn pass(&self, seconds: u64) {
        let until = self.rpc.time().await.unwrap() + seconds;
        loop {
            // Somebody's block may come in between; then time has passed already.
            let set: Result<Value, ChainError> = self.rpc.request("evm_setNextBlockTimestamp", json!([until])).await;
            if set.is_ok() {
                self.tell("evm_mine", json!([])).await;
            }
            let now = self.rpc.time().await.unwrap();
            if now >= until {
                return self.clock.reach(now);
            }
        }
    }

    /// Lets time pass, slowly enough for everybody to act in it, until something is there.
    pub(crate) async fn in_time<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let mut glances = 0_u32;
        eventually(what, async || {
            glances += 1;
            if glances.is_multiple_of(GLANCES) {
                self.pass(1).await;
            }
            look().await
        })
        .await
    }

    /// Asks a contract.
    pub(crate) async fn ask<C: SolCall>(&self, contract: Account, question: &C) -> C::Return {
        self.rpc.call(contract.0, question).await.unwrap()
    }

    /// Somebody sends a transaction that must succeed, and waits for it.
    pub(crate) async fn does(&self, who: Account, contract: Account, call: &impl SolCall) {
        set_up::does(&self.rpc, who, contract, call).await;
    }

    /// Somebody tries what the contract refuses; returns why.
    pub(crate) async fn may_not<C: SolCall>(&self, who: Account, contract: Account, call: &C) -> String {
        let tried = self.rpc.call_at(contract.0, call, Some(who.0), Default::default()).await;
        match tried {
            Err(ChainError::Reverted { reason, .. }) => reason,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{who} may {}", C::SIGNATURE),
        }
    }

    /// Somebody pays enough for gas to come before everybody else in the next block. Nothing waits for that block.
    pub(crate) async fn rushes(&self, who: Account, contract: Account, call: &impl SolCall) -> B256 {
        let gwei = |gwei: u64| U256::from(gwei) * U256::from(1_000_000_000);
        let fees = json!({ "maxFeePerGas": gwei(400), "maxPriorityFeePerGas": gwei(200) });
        set_up::send(&self.rpc, who, contract, call, fees).await.unwrap()
    }

    /// Anvil signs typed data of the token with the key of one of its accounts, whatever it says.
    pub(crate) async fn sign_anything(
        &self,
        who: Account,
        domain: Value,
        kind: &str,
        fields: Value,
        says: Value,
    ) -> Bytes {
        let own = |(name, kind): (&str, &str)| json!({ "name": name, "type": kind });
        let of_domain =
            [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")];
        let domain_fields: Vec<Value> = of_domain.into_iter().map(own).collect();
        let data = json!({
            "types": { "EIP712Domain": domain_fields, kind: fields },
            "primaryType": kind, "domain": domain, "message": says,
        });
        self.rpc.request("eth_signTypedData_v4", (who, data)).await.unwrap()
    }
}

/// The orchestrator's hands: its sessions, over its own way to the chain.
fn meter(devnet: &Devnet, wallet: &Wallet, people: &People, reach: &Reach, folder: &TempDir) -> Arc<Sessions> {
    let mut network: Network = devnet.network.clone();
    network.depth = reach.depth.max(1);
    if !reach.endpoints.is_empty() {
        network = network.at(reach.endpoints.clone());
    }
    let patience =
        Patience { pause: Duration::from_millis(20), rest: Duration::from_millis(20), ..Patience::default() };
    let rpc = Rpc::new(&network, patience).unwrap();
    let account = people.meter.0;
    let outbox = Folder::open(&folder.path().join("outbox"), 31_337, account).unwrap();
    let (stuck, wait) = (Duration::from_secs(2), Duration::from_secs(3));
    let options = SenderOptions { stuck, wait, ..SenderOptions::of(&network) };
    let sender = Sender::start(rpc, people::vault(wallet), account, Box::new(outbox), options).unwrap();
    Arc::new(Sessions::new(network, devnet.book.clone(), sender))
}

async fn toll(
    meter: &Arc<Sessions>,
    store: &Arc<Store>,
    clock: &Arc<Watch>,
    coalition: CoalitionId,
    reach: &Reach,
) -> Payments {
    let tariff = Tariff {
        model: asked().model,
        coalition,
        amount: computepool_core::Amount::usdc(2_000_000),
        lifetime_s: 3_600,
    };
    let mut settings = Settings::new(vec![tariff], QuoteKey::new([9; 32]));
    settings.patience = reach.admission.unwrap_or(PATIENCE);
    let (chain, ledger, clock) = (meter.clone(), store.clone(), clock.clone());
    let ports = Ports { chain, ledger, clock, random: Box::new(StdRng::from_os_rng()) };
    Payments::start(ports, settings).await.unwrap()
}

/// The ledger. Another test that starts its anvil at this moment holds the lock for as long as that takes.
async fn open(path: &Path) -> Arc<Store> {
    let url = path.to_str().unwrap();
    eventually("the ledger", async || match Store::open(url, &"house".parse().unwrap()).await {
        Err(StoreError::InUse { .. }) => None,
        opened => Some(opened.unwrap()),
    })
    .await
}

/// Looks until something is there.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never: {what}"))
}
