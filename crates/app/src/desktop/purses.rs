//! The owner's wallets, and those of them that are open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use computepool_core::{Account, Fault, FaultCode};
use computepool_wallet::{BackupQuestion, Passphrase, WalletName, Wallets};

use crate::chains::ChainCard;
use crate::purse::{Purse, wallets};

/// The wallets in a folder. A wallet that was opened stays open until it is locked or the application ends.
#[derive(Clone)]
pub(super) struct Purses {
    folder: PathBuf,
    chain: Option<PathBuf>,
    open: Arc<Mutex<BTreeMap<String, Purse>>>,
    asked: Arc<Mutex<BTreeMap<String, BackupQuestion>>>,
}

impl Purses {
    pub(super) fn within(folder: PathBuf, chain: Option<PathBuf>) -> Self {
        Self { folder, chain, open: Arc::default(), asked: Arc::default() }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the chain's card lies.
    pub(super) fn card_path(&self) -> Result<PathBuf, Fault> {
        match &self.chain {
            Some(path) => Ok(path.clone()),
            None => ChainCard::place(None),
        }
    }

    /// The chain that money is on.
    pub(super) fn card(&self) -> Result<ChainCard, Fault> {
        ChainCard::read(&self.card_path()?)
    }

    /// Does something with the wallets where it may block.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Wallets) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let folder = self.folder.clone();
        let acted = tokio::task::spawn_blocking(move || act(&wallets(Some(folder))?)).await;
        acted.map_err(|error| Fault::new(FaultCode::Internal, format!("the wallet was not reached: {error}")))?
    }

    /// Opens a wallet.
    pub(super) async fn unlock(&self, name: WalletName, passphrase: Option<Passphrase>) -> Result<(), Fault> {
        let contracts = self.card()?.contracts();
        let key = name.to_string();
        let opened = self
            .with(move |wallets| {
                let wallet = wallets.wallet(&name, contracts)?;
                wallet.unlock(passphrase.as_ref(), None)?;
                let account = first(&wallet.card().accounts, &name)?;
                Ok(Purse { wallet, account })
            })
            .await?;
        self.opened().insert(key, opened);
        Ok(())
    }

    /// Closes it.
    pub(super) fn lock(&self, name: &WalletName) {
        if let Some(purse) = self.opened().remove(&name.to_string()) {
            purse.wallet.lock();
        }
    }

    pub(super) fn is_open(&self, name: &WalletName) -> bool {
        self.opened().contains_key(&name.to_string())
    }

    /// Remembers what an owner was asked for.
    pub(super) fn ask_back(&self, name: &WalletName, question: BackupQuestion) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string(), question);
    }

    /// What an owner was asked for last.
    pub(super) fn asked_back(&self, name: &WalletName) -> Result<BackupQuestion, Fault> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let none = || Fault::new(FaultCode::InvalidRequest, "no words were asked for yet");
        asked.get(&name.to_string()).cloned().ok_or_else(none)
    }

    /// An open wallet.
    pub(super) fn purse(&self, name: &str) -> Result<Purse, Fault> {
        self.opened().get(name).cloned().ok_or_else(|| {
            Fault::new(FaultCode::WalletLocked, format!("the wallet {name} is locked"))
                .hint("unlock it, then try again")
        })
    }

    fn opened(&self) -> MutexGuard<'_, BTreeMap<String, Purse>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account that a wallet pays and is paid with.
pub(super) fn first(accounts: &[Account], name: &WalletName) -> Result<Account, Fault> {
    let missing = || Fault::new(FaultCode::InvalidRequest, format!("the wallet {name} has no account"));
    accounts.first().copied().ok_or_else(missing)
}
