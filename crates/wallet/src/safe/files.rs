//! Keystore files in a folder, one for each wallet.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rand::CryptoRng;

use super::{Safe, SafeError};
use crate::keystore::{self, Effort, MAX_KEYSTORE};
use crate::name::WalletName;
use crate::private_file::{self, FileError};
use crate::root::Root;
use crate::secret::Passphrase;

/// `<name>.keystore.json` in a folder.
pub(crate) struct Files {
    folder: PathBuf,
    effort: Effort,
    random: Arc<Mutex<dyn CryptoRng + Send>>,
}

impl Files {
    pub(crate) fn new(folder: &Path, effort: Effort, random: Arc<Mutex<dyn CryptoRng + Send>>) -> Self {
        Self { folder: folder.to_owned(), effort, random }
    }

    fn path(&self, name: &WalletName) -> PathBuf {
        self.folder.join(format!("{name}.keystore.json"))
    }
}

fn asked<'a>(name: &WalletName, passphrase: Option<&'a Passphrase>) -> Result<&'a Passphrase, SafeError> {
    passphrase.ok_or_else(|| SafeError::PassphraseMissing(name.clone()))
}

fn missing(name: &WalletName, error: FileError) -> SafeError {
    if error.is(ErrorKind::NotFound) { SafeError::Missing(name.clone()) } else { error.into() }
}

impl Safe for Files {
    fn store(&self, name: &WalletName, root: &Root, passphrase: Option<&Passphrase>) -> Result<(), SafeError> {
        let passphrase = asked(name, passphrase)?;
        let path = self.path(name);
        // Before the second that a seal takes; the creation itself does not write over anything either.
        if path.exists() {
            return Err(SafeError::Exists(name.clone()));
        }
        let text = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            keystore::seal(root, passphrase, self.effort, &mut *random)?
        };
        private_file::create(&path, text.as_bytes()).map_err(|error| {
            if error.is(ErrorKind::AlreadyExists) { SafeError::Exists(name.clone()) } else { error.into() }
        })
    }

    fn load(&self, name: &WalletName, passphrase: Option<&Passphrase>) -> Result<Root, SafeError> {
        let passphrase = asked(name, passphrase)?;
        let text = private_file::read(&self.path(name), MAX_KEYSTORE).map_err(|error| missing(name, error))?;
        Ok(keystore::open(&text, passphrase)?)
    }

    fn remove(&self, name: &WalletName) -> Result<(), SafeError> {
        let path = self.path(name);
        std::fs::remove_file(&path).map_err(|error| missing(name, private_file::at(&path)(error)))
    }
}
