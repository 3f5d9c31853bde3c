//! Secrets that live as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use super::{Safe, SafeError};
use crate::name::WalletName;
use crate::root::Root;
use crate::secret::Passphrase;

/// Nothing of it reaches a disk.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<WalletName, Zeroizing<Vec<u8>>>>);

impl Safe for Memory {
    fn store(&self, name: &WalletName, root: &Root, _passphrase: Option<&Passphrase>) -> Result<(), SafeError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.contains_key(name) {
            return Err(SafeError::Exists(name.clone()));
        }
        kept.insert(name.clone(), root.pack());
        Ok(())
    }

    fn load(&self, name: &WalletName, _passphrase: Option<&Passphrase>) -> Result<Root, SafeError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = kept.get(name).ok_or_else(|| SafeError::Missing(name.clone()))?;
        Root::unpack(packed).map_err(|_| SafeError::Damaged(name.clone()))
    }

    fn remove(&self, name: &WalletName) -> Result<(), SafeError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(name).map(drop).ok_or_else(|| SafeError::Missing(name.clone()))
    }
}
