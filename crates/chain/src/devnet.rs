//! A chain of one's own, with everything deployed and accounts that have money.
//!
//! The first start deploys and keeps the chain's state in a file; later starts load it. The file is named after what is
//! in it: other bytecode, another owner or other accounts make another file.

mod anvil;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::{Bytes, U256, hex};
use computepool_core::money::Account;
use computepool_core::ports::{Purpose, Vault};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::anvil::{Anvil, AnvilOptions, find_anvil};
use crate::artifacts::Artifacts;
use crate::contracts::Usdc;
use crate::deployment::{AddressBook, deploy};
use crate::rpc::{Patience, Rpc};
use crate::sender::{Forgetful, Intent, Sender, SenderOptions, Until, replace};
use crate::{ChainError, Network};

/// Raised when what a snapshot holds changes without the bytecode.
const FORM: u32 = 1;

/// How to start a devnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevnetOptions {
    /// How to start its anvil.
    pub anvil: AnvilOptions,
    /// Where snapshots are kept.
    pub cache: PathBuf,
    /// Who deploys. It must have native currency: anvil gives it to the accounts of its phrase.
    pub owner: Account,
    /// Who gets USDC from the faucet.
    pub funded: Vec<Account>,
}

/// A running devnet.
#[derive(Debug)]
pub struct Devnet {
    /// The chain.
    pub anvil: Anvil,
    /// How to reach it.
    pub network: Network,
    /// What is on it.
    pub book: AddressBook,
    /// Whether it was loaded and not deployed.
    pub loaded: bool,
}

/// What is kept of a chain.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    book: AddressBook,
    /// As anvil gives and takes it.
    state: Bytes,
}

impl Devnet {
    /// Starts a devnet: from its snapshot, or, where there is none, by deploying, for which `vault` signs as the owner.
    pub async fn start(options: &DevnetOptions, vault: Arc<dyn Vault>) -> Result<Self, ChainError> {
        let path = options.cache.join(format!("devnet-{}.json", options.digest()));
        if let Some(snapshot) = read(&path) {
            let anvil = Anvil::start(&options.anvil).await?;
            let network = Network::devnet(anvil.endpoint());
            let rpc = Rpc::new(&network, Patience::default())?;
            if rpc.request("anvil_loadState", (&snapshot.state,)).await? {
                return Ok(Self { anvil, network, book: snapshot.book, loaded: true });
            }
            tracing::warn!(path = %path.display(), "anvil does not take the snapshot: it is made anew");
        }
        // While it is being made nobody waits for blocks.
        let quick = AnvilOptions { block_time: None, ..options.anvil.clone() };
        let anvil = Anvil::start(&quick).await?;
        let network = Network::devnet(anvil.endpoint());
        let rpc = Rpc::new(&network, Patience::default())?;
        let book = options.fill(&rpc, &network, vault).await?;
        let state: Bytes = rpc.request("anvil_dumpState", ()).await?;
        std::fs::create_dir_all(&options.cache).map_err(|error| ChainError::file(&options.cache, error))?;
        let snapshot = Snapshot { book: book.clone(), state };
        let text = serde_json::to_vec(&snapshot).map_err(|error| ChainError::file(&path, error))?;
        replace(&path, &text).map_err(|error| ChainError::file(&path, error))?;
        if let Some(seconds) = options.anvil.block_time {
            let _: Option<bool> = rpc.request("evm_setIntervalMining", (seconds,)).await?;
        }
        Ok(Self { anvil, network, book, loaded: false })
    }
}

impl Devnet {
    /// Gives accounts `wei` of native currency each, and some of them USDC from the faucet, which the owner pays gas for.
    pub async fn fund(
        &self,
        vault: Arc<dyn Vault>,
        owner: Account,
        wei: U256,
        native: &[Account],
        usdc: &[Account],
    ) -> Result<(), ChainError> {
        let rpc = Rpc::new(&self.network, Patience::default())?;
        for account in native {
            // Anvil answers null.
            let _: Option<bool> = rpc.request("anvil_setBalance", (account.0, wei)).await?;
        }
        let options = SenderOptions::of(&self.network);
        let sender = Sender::start(rpc, vault, owner.0, Box::new(Forgetful::default()), options)?;
        let drips = usdc.iter().map(|account| {
            let call = Usdc::faucetCall { to: account.0 };
            sender.send(Intent::new("faucet", Purpose::Deployment, self.book.usdc.0).calling(&call), Until::Included)
        });
        futures::future::try_join_all(drips).await?;
        Ok(())
    }
}

impl DevnetOptions {
    /// Deploys everything and funds the accounts.
    async fn fill(&self, rpc: &Rpc, network: &Network, vault: Arc<dyn Vault>) -> Result<AddressBook, ChainError> {
        let options = SenderOptions::of(network);
        let sender = Sender::start(rpc.clone(), vault, self.owner.0, Box::new(Forgetful::default()), options)?;
        let (book, _) = deploy(&sender, network, &|step, _| tracing::debug!(step, "devnet")).await?;
        for account in &self.funded {
            let call = Usdc::faucetCall { to: account.0 };
            let intent = Intent::new("faucet", Purpose::Deployment, book.usdc.0).calling(&call);
            sender.send(intent, Until::Final).await?;
        }
        Ok(book)
    }

    /// What a snapshot's content depends on.
    fn digest(&self) -> String {
        let mut sha = Sha256::new();
        sha.update(FORM.to_be_bytes());
        sha.update(Artifacts::digest());
        sha.update(self.anvil.phrase.as_deref().unwrap_or_default());
        sha.update(self.owner.0);
        for account in &self.funded {
            sha.update(account.0);
        }
        hex::encode(&sha.finalize()[..12])
    }
}

/// A snapshot that can be used. One that cannot is made anew.
fn read(path: &Path) -> Option<Snapshot> {
    let text = std::fs::read(path).ok()?;
    serde_json::from_slice(&text)
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "the snapshot is damaged"))
        .ok()
}
