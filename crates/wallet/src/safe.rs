//! Where the secret of a wallet lies while nobody uses it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::keystore::KeystoreError;
use crate::name::WalletName;
use crate::private_file::FileError;
use crate::root::Root;
use crate::secret::Passphrase;

mod files;
#[cfg(feature = "keyring")]
mod keyring;
mod memory;

pub(crate) use files::Files;
#[cfg(feature = "keyring")]
pub(crate) use keyring::Keyring;
pub(crate) use memory::Memory;

/// The kinds of places for a wallet's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// A keystore file that opens with a passphrase: for machines without a desktop.
    File,
    /// The keyring of the person's login: Secret Service, Credential Manager, Keychain. It asks for no passphrase of ours.
    Keyring,
    /// This process alone, and gone with it: tests, and chains of play money.
    Memory,
}

impl Keeping {
    /// Whether a wallet kept so is opened with a passphrase.
    pub fn wants_passphrase(self) -> bool {
        self == Keeping::File
    }
}

impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Keeping::File => "keystore file",
            Keeping::Keyring => "keyring of the login",
            Keeping::Memory => "memory",
        })
    }
}

/// Why a secret could not be put away, taken out or thrown away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SafeError {
    /// A file does not do what it should.
    #[error(transparent)]
    File(#[from] FileError),
    /// The keystore in the file cannot be opened.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A file wants a passphrase, and none was given.
    #[error("the wallet `{0}` opens with a passphrase, and none was given")]
    PassphraseMissing(WalletName),
    /// The system has no keyring that answers.
    #[error("this system's keyring cannot be used: {0}")]
    NoKeyring(String),
    /// This build has no keyring in it.
    #[error("this build of ComputePool knows no keyring")]
    KeyringNotBuilt,
    /// There is something under this name already.
    #[error("there is a secret of a wallet `{0}` already")]
    Exists(WalletName),
    /// There is nothing under this name.
    #[error("the secret of the wallet `{0}` is not there")]
    Missing(WalletName),
    /// What is there was not written by this program.
    #[error("what is kept for the wallet `{0}` is damaged")]
    Damaged(WalletName),
}

/// Keeps the secrets of wallets by name. Calls may take a second, and may ask a person to unlock something.
pub(crate) trait Safe: Send + Sync {
    /// Puts a secret away; never over another one.
    fn store(&self, name: &WalletName, root: &Root, passphrase: Option<&Passphrase>) -> Result<(), SafeError>;
    /// Takes a copy out.
    fn load(&self, name: &WalletName, passphrase: Option<&Passphrase>) -> Result<Root, SafeError>;
    /// Throws it away.
    fn remove(&self, name: &WalletName) -> Result<(), SafeError>;
}
