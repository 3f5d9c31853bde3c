//! A chain on this machine with everything deployed, and wallets that have play money: to try, to show and to test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use computepool_chain::Network;
use computepool_chain::devnet::{AnvilOptions, Devnet, DevnetOptions, find_anvil};
use computepool_core::money::{ChainId, U256};
use computepool_core::ports::{Purpose, SystemClock};
use computepool_core::{Account, Amount, Asset, Fault, FaultCode};
use computepool_wallet::{
    Contracts, Effort, Keeping, Limit, Limits, Origin, PhraseLength, Secret, Wallet, WalletName, Wallets,
};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use crate::chains::ChainCard;
use crate::deployments::set_up;
use crate::paths;

/// Anvil's well-known phrase: its first account deploys. Everybody knows it; on a devnet nothing is worth anything.
const PHRASE: &str = "test test test test test test test test test test test junk";
/// What opens the wallets of a devnet.
const PASSPHRASE: &str = "devnet-only";
/// The meter's wallet: it pays gas, and nothing else.
const METER: &str = "meter";
/// What each wallet has of the native currency: 100.
const NATIVE: u128 = 100_000_000_000_000_000_000;

/// How to start a devnet.
#[derive(Clone, Debug)]
pub struct DevnetSettings {
    /// Where it answers, on the loopback interface; any free port where it is 0.
    pub port: u16,
    /// Seconds from block to block; a block for every transaction, at once, where it is none.
    pub block_time: Option<u32>,
    /// Where its card and its wallets go. Wallets that an earlier devnet left there are replaced.
    pub folder: PathBuf,
    /// Wallets for operators, beside the meter's and the user's.
    pub operators: usize,
}

/// How a running devnet is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DevnetAddress {
    /// Its JSON-RPC endpoint.
    pub endpoint: String,
    /// The chain's card.
    pub chain: PathBuf,
    /// The folder of its wallets: `meter`, `user`, `operator-1`, `operator-2`, ….
    pub wallets: PathBuf,
    /// The file with what opens them.
    pub passphrase_file: PathBuf,
    /// Every wallet's account.
    pub accounts: Vec<(String, Account)>,
    /// Whether the deployment was loaded, and not made.
    pub loaded: bool,
    /// Milliseconds from the beginning until everything was there.
    pub took_ms: u64,
}

/// A running devnet.
#[derive(Debug)]
pub struct RunningDevnet {
    devnet: Devnet,
    address: DevnetAddress,
}

impl RunningDevnet {
    /// Starts one: in a moment where its snapshot is in the cache, else by deploying everything.
    pub async fn start(settings: DevnetSettings) -> Result<Self, Fault> {
        let began = Instant::now();
        let program = anvil()?;
        let cache = paths::cache_folder()?.join("devnet");
        let anvil = AnvilOptions { program, port: settings.port, block_time: settings.block_time, phrase: None };
        let folder = settings.folder.clone();
        let operators = settings.operators;
        let (deployer, accounts) = tokio::task::spawn_blocking(move || wallets(&folder, operators))
            .await
            .map_err(|error| Fault::new(FaultCode::Internal, format!("no wallets were made: {error}")))??;
        let owner = deployer.card().accounts[0];
        let options = DevnetOptions { anvil, cache, owner, funded: Vec::new() };
        let devnet = Devnet::start(&options, Arc::new(deployer.clone())).await?;
        let card = ChainCard { endpoints: devnet.network.endpoints.clone(), book: devnet.book.clone() };
        let everybody: Vec<Account> = accounts.iter().map(|(_, account)| *account).collect();
        let payers: Vec<Account> =
            accounts.iter().filter(|(name, _)| name != METER).map(|(_, account)| *account).collect();
        devnet.fund(Arc::new(deployer), owner, U256::from(NATIVE), &everybody, &payers).await?;
        let chain = settings.folder.join("chain.json");
        card.write(&chain)?;
        let address = DevnetAddress {
            endpoint: devnet.anvil.endpoint().to_owned(),
            chain,
            wallets: wallet_folder(&settings.folder),
            passphrase_file: passphrase_file(&settings.folder),
            accounts,
            loaded: devnet.loaded,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        Ok(Self { devnet, address })
    }

    /// How it is used.
    pub fn address(&self) -> &DevnetAddress {
        &self.address
    }

    /// Whether the chain has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.devnet.anvil.has_ended()
    }

    /// Ends it.
    pub async fn leave(self) {
        self.devnet.anvil.end().await;
    }
}

fn anvil() -> Result<PathBuf, Fault> {
    let here = std::env::current_dir().unwrap_or_default();
    find_anvil(&here).ok_or_else(|| {
        Fault::new(FaultCode::Io, "a devnet needs anvil, and there is none here")
            .hint("`scripts/setup foundry` installs it; or name it with COMPUTEPOOL_ANVIL")
    })
}

fn wallet_folder(folder: &Path) -> PathBuf {
    folder.join("wallets")
}

fn passphrase_file(folder: &Path) -> PathBuf {
    folder.join("passphrase")
}

/// Makes the wallets, and the deployer's, which lies in memory.
fn wallets(folder: &Path, operators: usize) -> Result<(Wallet, Vec<(String, Account)>), Fault> {
    let place = wallet_folder(folder);
    let failed = |error: std::io::Error| Fault::new(FaultCode::Io, format!("{}: {error}", folder.display()));
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    paths::make_folder(folder)?;
    std::fs::write(passphrase_file(folder), format!("{PASSPHRASE}\n")).map_err(failed)?;
    let random = Arc::new(Mutex::new(OsRng.unwrap_err()));
    // What they hold is worth nothing, and they are opened often.
    let wallets = Wallets::with(&place, Arc::new(SystemClock), random, Effort::Light)?;
    let passphrase = Secret::new(PASSPHRASE.to_owned());
    let names = [METER.to_owned(), "user".to_owned()];
    let names = names.into_iter().chain((1..=operators).map(|number| format!("operator-{number}")));
    let mut accounts = Vec::new();
    for name in names {
        let wallet = wallet_name(&name)?;
        let card = wallets.create(&wallet, Keeping::File, Origin::New(PhraseLength::Twelve), Some(&passphrase))?;
        wallets.set_limits(&wallet, &limits())?;
        accounts.push((name, card.accounts[0]));
    }
    let name = wallet_name("deployer")?;
    wallets.create(&name, Keeping::Memory, Origin::Words(Secret::new(PHRASE.to_owned())), None)?;
    wallets.set_limits(&name, &limits())?;
    let deployer = wallets.wallet(&name, Contracts::default())?;
    deployer.know(set_up(&Network::devnet(String::new()), deployer.card().accounts[0])?);
    deployer.unlock(None, None)?;
    Ok((deployer, accounts))
}

fn wallet_name(name: &str) -> Result<WalletName, Fault> {
    name.parse().map_err(|error| Fault::new(FaultCode::Internal, format!("{name}: {error}")))
}

/// Play money may go: much more of it than there is.
fn limits() -> Limits {
    let most =
        [Amount::usdc(1_000_000_000_000), Amount::usdcx(1 << 90), Amount::new(U256::from(NATIVE) << 10, Asset::Native)];
    let limit = |purpose| most.map(|amount| Limit::flat(purpose, ChainId::DEVNET, amount));
    Limits {
        spending: Purpose::ALL.into_iter().flat_map(limit).collect(),
        signatures_per_hour: 10_000,
        ..Limits::default()
    }
}
