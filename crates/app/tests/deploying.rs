//! Everything on a chain, as `computepool deploy` lays it down, on a real anvil with nothing on it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use computepool_app::accounts::{Keeping, Origin, Preset, Secret, Wallets};
use computepool_app::deployments::{Deploying, DeploymentSettings};
use computepool_app::purse::PurseSettings;
use computepool_chain::devnet::{Anvil, AnvilOptions, find_anvil};
use computepool_core::FaultCode;
use computepool_core::money::ChainId;
use computepool_wallet::Limits;

/// What anvil's accounts come from.
const PHRASE: &str = "test test test test test test test test test test test junk";
const PASSPHRASE: &str = "correct horse";

/// A wallet that may deploy on a devnet and no more, with so many accounts.
fn wallet(folder: &Path, accounts: usize) -> PurseSettings {
    let wallets = Wallets::open(&folder.join("wallets")).unwrap();
    let (name, passphrase) = ("deployer".parse().unwrap(), Secret::new(PASSPHRASE.to_owned()));
    let words = Origin::Words(Secret::new(PHRASE.to_owned()));
    wallets.create(&name, Keeping::File, words, Some(&passphrase)).unwrap();
    for _ in 1..accounts {
        wallets.add_account(&name, Some(&passphrase)).unwrap();
    }
    let mut limits = Limits::default();
    Preset::Deployer.set(&mut limits, ChainId::DEVNET);
    wallets.set_limits(&name, &limits).unwrap();
    let file = folder.join("passphrase");
    std::fs::write(&file, PASSPHRASE).unwrap();
    PurseSettings { folder: Some(folder.join("wallets")), wallet: name.to_string(), passphrase_file: Some(file) }
}

fn settings(folder: &Path, chain: ChainId, endpoint: &str, accounts: usize) -> DeploymentSettings {
    DeploymentSettings {
        chain,
        endpoints: vec![endpoint.to_owned()],
        usdc: None,
        purse: wallet(folder, accounts),
        outbox: Some(folder.join("outbox")),
    }
}

#[tokio::test]
async fn a_chain_is_deployed_to_once_and_a_session_is_paid_on_it() {
    let program = find_anvil(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let anvil = Anvil::start(&AnvilOptions { program, port: 0, block_time: None, phrase: None }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let deploying = Deploying::open(settings(folder.path(), ChainId::DEVNET, anvil.endpoint(), 2)).await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |step: &str, done: bool| {
        told.lock().unwrap_or_else(PoisonError::into_inner).push((step.to_owned(), done));
    };
    let (card, first) = deploying.deploy(&tell).await.unwrap();
    assert!(first.transactions > 0 && told.lock().unwrap().iter().any(|(_, done)| !done));
    let place = folder.path().join("card.json");
    card.write(&place).unwrap();
    assert_eq!(computepool_app::chains::ChainCard::read(&place).unwrap(), card);
    let (again, second) = deploying.deploy(&|_, done| assert!(done)).await.unwrap();
    assert_eq!((again, second.transactions), (card.clone(), 0));

    let sound = deploying.verify(&card, true).await.unwrap();
    let paid = sound.paid.unwrap();
    assert!(!paid.received.is_zero());
    assert_eq!(paid.received.plus(paid.refund).unwrap(), paid.paid_in);
    assert_eq!(deploying.verify(&card, false).await.unwrap().paid, None);
    let mut wrong = card;
    wrong.book.usdcx = wrong.book.usdc;
    assert!(deploying.verify(&wrong, true).await.is_err());
    anvil.end().await;
}

#[tokio::test]
async fn nothing_is_sent_where_something_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = "http://127.0.0.1:1";
    let unnamed = Deploying::open(settings(folder.path(), ChainId::ZEROG, nowhere, 1)).await.unwrap();
    let unnamed = unnamed.deploy(&|_, _| {}).await.unwrap_err();
    assert!(unnamed.message.contains("0G"), "real money has to be named: {unnamed}");
    let unknown = DeploymentSettings {
        chain: ChainId(1),
        purse: PurseSettings { folder: None, wallet: "nobody".to_owned(), passphrase_file: None },
        endpoints: Vec::new(),
        usdc: None,
        outbox: None,
    };
    let unknown = Deploying::open(unknown).await.unwrap_err();
    assert!(unknown.code == FaultCode::InvalidRequest && unknown.hint.unwrap().contains("--endpoint"));
}
