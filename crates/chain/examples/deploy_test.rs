//! Deploys from an empty chain, twice, and once more while being killed at five points; `make deploy-test` runs it.
//!
//! The chain keeps EIP-170 and EIP-7825, and nothing is on it, not even the deployment proxy that anvil would bring.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a command line's only way to speak; it checks, and may fail loudly"
)]

#[path = "../tests/chain/anvils.rs"]
mod anvils;
#[path = "../tests/chain/key.rs"]
mod key;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, address};
use computepool_chain::deployment::{AddressBook, Deployed, Plan, deploy, verify};
use computepool_chain::devnet::{Anvil, AnvilOptions, find_anvil};
use computepool_chain::gas::TRANSACTION_GAS;
use computepool_chain::rpc::{Patience, Rpc};
use computepool_chain::sender::{Folder, Sender, SenderOptions};
use computepool_chain::{ChainError, Network};
use tokio::process::{Child, Command};

use crate::key::KnownKey;

const PROXY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// Where runs die: signing the first transaction, with one waiting at the chain, signing one in the middle, with one
/// that the chain then forgets, and signing a late one.
const DEATHS: [Death; 5] = [Death::Signing(1), Death::Waiting, Death::Signing(6), Death::Forgotten, Death::Signing(9)];

#[derive(Clone, Copy, Debug)]
enum Death {
    /// Instead of signing its n-th transaction.
    Signing(u32),
    /// Killed while its transaction waits for a block.
    Waiting,
    /// The same, and the chain loses what waited.
    Forgotten,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [endpoint, outbox, dies_at] = arguments.as_slice() {
        run_once(endpoint, Path::new(outbox), dies_at.parse().ok()).await.unwrap();
        return;
    }
    let (book, first, nonce) = uninterrupted().await;
    let resumed = interrupted(&book, nonce).await;
    println!(
        "transactions={} gas={} largest={} cap={TRANSACTION_GAS} second_run=0 resumed={resumed} contracts={}",
        first.transactions,
        first.gas,
        first.largest,
        book.contracts().len()
    );
}

/// A whole deployment, a second one that finds everything done, and a verification. Returns the owner's nonce, too.
async fn uninterrupted() -> (AddressBook, Deployed, u64) {
    let anvil = empty_chain().await;
    let (network, rpc) = reach(anvil.endpoint());
    let folder = tempfile::tempdir().unwrap();
    let sender = sender(&network, &rpc, folder.path(), None);
    println!("deploying to an empty chain");
    let tell = |step: &str, done: bool| println!("  {} {step}", if done { "found  " } else { "deploys" });
    let (book, first) = deploy(&sender, &network, &tell).await.unwrap();
    let nonce = rpc.nonce(sender.account(), BlockNumberOrTag::Latest).await.unwrap();
    let (again, second) = deploy(&sender, &network, &|_, _| {}).await.unwrap();
    assert_eq!((again, second.transactions), (book.clone(), 0), "the second run must find everything done");
    let trial = anvils::trial(&rpc, 1).await;
    let verified = verify(&sender, &network, &book, Some(&trial)).await.unwrap();
    let paid = verified.paid.unwrap();
    println!(
        "verified: {} checks; a session of {} brought its operator {}, and {} came back",
        verified.checks, paid.paid_in, paid.received, paid.refund
    );
    anvil.end().await;
    (book, first, nonce)
}

/// A deployment whose process dies five times. What comes of it must be the same, with as many transactions.
async fn interrupted(book: &AddressBook, nonce: u64) -> usize {
    let anvil = empty_chain().await;
    let (network, rpc) = reach(anvil.endpoint());
    let folder = tempfile::tempdir().unwrap();
    for death in DEATHS {
        let before = done(&network, &rpc).await;
        die(death, anvil.endpoint(), folder.path(), &rpc).await;
        println!("died ({death:?}); {} steps were done before, {} now", before, done(&network, &rpc).await);
    }
    let status = child(anvil.endpoint(), folder.path(), None).wait().await.unwrap();
    assert!(status.success(), "the last run must complete");
    let sender = sender(&network, &rpc, folder.path(), None);
    let (found, nothing) = deploy(&sender, &network, &|_, _| {}).await.unwrap();
    assert_eq!((&found, nothing.transactions), (book, 0));
    let used = rpc.nonce(sender.account(), BlockNumberOrTag::Latest).await.unwrap();
    assert_eq!(used, nonce, "nothing may be sent twice");
    let trial = anvils::trial(&rpc, 2).await;
    verify(&sender, &network, book, Some(&trial)).await.unwrap();
    anvil.end().await;
    DEATHS.len()
}

async fn die(death: Death, endpoint: &str, outbox: &Path, rpc: &Rpc) {
    let Death::Signing(count) = death else {
        tell(rpc, "evm_setAutomine", (false,)).await;
        let mut child = child(endpoint, outbox, None);
        while waiting(rpc).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().await.unwrap();
        if matches!(death, Death::Forgotten) {
            tell(rpc, "anvil_dropAllTransactions", ()).await;
        }
        tell(rpc, "evm_setAutomine", (true,)).await;
        if matches!(death, Death::Waiting) {
            tell(rpc, "evm_mine", ()).await;
        }
        return;
    };
    let status = child(endpoint, outbox, Some(count)).wait().await.unwrap();
    assert!(!status.success(), "it was to die signing transaction {count}");
}

/// One deployment in a process of its own.
fn child(endpoint: &str, outbox: &Path, dies_at: Option<u32>) -> Child {
    let program = std::env::current_exe().unwrap();
    let dies_at = dies_at.map_or("never".to_owned(), |count| count.to_string());
    let mut command = Command::new(program);
    command.arg(endpoint).arg(outbox).arg(dies_at).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap()
}

async fn run_once(endpoint: &str, outbox: &Path, dies_at: Option<u32>) -> Result<(), ChainError> {
    let (network, rpc) = reach(endpoint);
    let sender = sender(&network, &rpc, outbox, dies_at);
    deploy(&sender, &network, &|_, _| {}).await.map(|_| ())
}

async fn empty_chain() -> Anvil {
    let here: PathBuf = std::env::current_dir().unwrap();
    let program = find_anvil(&here).expect("anvil: `scripts/setup contracts` installs it");
    let anvil = Anvil::start(&AnvilOptions { program, port: 0, block_time: None, phrase: None }).await.unwrap();
    let (_, rpc) = reach(anvil.endpoint());
    tell(&rpc, "anvil_setCode", (PROXY, "0x")).await;
    tell(&rpc, "anvil_setNonce", (PROXY, "0x0")).await;
    anvil
}

fn reach(endpoint: &str) -> (Network, Rpc) {
    let network = Network::devnet(endpoint);
    let rpc = Rpc::new(&network, Patience::default()).unwrap();
    (network, rpc)
}

fn sender(network: &Network, rpc: &Rpc, outbox: &Path, dies_at: Option<u32>) -> Sender {
    let mut key = KnownKey::new();
    key.dies_at = dies_at;
    let account = key.account.0;
    let outbox = Folder::open(outbox, network.chain_id.0, account).unwrap();
    Sender::start(rpc.clone(), Arc::new(key), account, Box::new(outbox), SenderOptions::of(network)).unwrap()
}

/// How many of the plan's contracts are there.
async fn done(network: &Network, rpc: &Rpc) -> usize {
    let book = Plan::new(network, KnownKey::new().account.0).unwrap().book;
    let mut count = 0;
    for (_, account) in book.contracts() {
        count += usize::from(!rpc.code(account.0).await.unwrap().is_empty());
    }
    count
}

async fn waiting(rpc: &Rpc) -> u64 {
    let status: serde_json::Value = rpc.request("txpool_status", ()).await.unwrap();
    u64::from_str_radix(status["pending"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

async fn tell(
    rpc: &Rpc,
    method: &'static str,
    params: impl serde::Serialize + Clone + std::fmt::Debug + Send + Sync + Unpin,
) {
    let _: serde_json::Value = rpc.request(method, params).await.unwrap();
}
