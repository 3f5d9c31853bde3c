//! A wallet in use by a running process: which of its accounts, on which chain.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use computepool_core::ports::Vault;
use computepool_core::{Account, Fault, FaultCode};
use computepool_wallet::{Contracts, Keeping, Passphrase, Secret, Wallet, WalletName, Wallets};

use crate::paths;

/// Which wallet a process signs with, and how it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurseSettings {
    /// The folder of wallets; the user's when absent.
    pub folder: Option<PathBuf>,
    /// The wallet's name.
    pub wallet: String,
    /// A file with the passphrase of a wallet that is kept in a keystore file: its first line.
    pub passphrase_file: Option<PathBuf>,
}

/// An open wallet, and the account of it that pays or is paid.
#[derive(Clone, Debug)]
pub struct Purse {
    /// Signs.
    pub wallet: Wallet,
    /// As whom.
    pub account: Account,
}

impl Purse {
    /// Opens a wallet for as long as the process runs. Blocks for up to a second, and longer where the system asks its user
    /// to open the keyring: call it where that may be.
    pub fn open(settings: &PurseSettings, contracts: Contracts) -> Result<Self, Fault> {
        let wallets = wallets(settings.folder.clone())?;
        let name: WalletName =
            settings.wallet.parse().map_err(|error| Fault::new(FaultCode::InvalidRequest, format!("{error}")))?;
        let wallet = wallets.wallet(&name, contracts)?;
        let passphrase = match wallet.card().keeping {
            Keeping::File => Some(given_passphrase(settings.passphrase_file.as_deref())?.ok_or_else(|| {
                Fault::new(FaultCode::WalletLocked, format!("the wallet {name} wants its passphrase"))
                    .hint(format!("name a file that holds it with --passphrase-file, or set {PASSPHRASE}"))
            })?),
            _ => None,
        };
        wallet.unlock(passphrase.as_ref(), None)?;
        let account = *wallet
            .card()
            .accounts
            .first()
            .ok_or_else(|| Fault::new(FaultCode::InvalidRequest, format!("the wallet {name} has no account")))?;
        Ok(Self { wallet, account })
    }

    /// What signs for it.
    pub fn vault(&self) -> Arc<dyn Vault> {
        Arc::new(self.wallet.clone())
    }
}

/// The environment's name for a passphrase.
pub const PASSPHRASE: &str = "COMPUTEPOOL_PASSPHRASE";

/// The wallets in a folder, or in the user's.
pub fn wallets(folder: Option<PathBuf>) -> Result<Wallets, Fault> {
    let folder = match folder {
        Some(folder) => folder,
        None => paths::data_folder()?.join("wallets"),
    };
    Ok(Wallets::open(&folder)?)
}

/// The passphrase that a file holds in its first line, or the environment; `None` where neither is given.
pub fn given_passphrase(file: Option<&Path>) -> Result<Option<Passphrase>, Fault> {
    let Some(path) = file else {
        return Ok(std::env::var(PASSPHRASE).ok().map(Secret::new));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::new(FaultCode::Io, format!("{} cannot be read: {error}", path.display())))?;
    // Wiped, and what is taken from it is wiped by whoever holds it.
    let text = Secret::new(text);
    Ok(Some(Secret::new(text.expose().lines().next().unwrap_or_default().to_owned())))
}
