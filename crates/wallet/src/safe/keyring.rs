//! The keyring of the person's login.

use keyring::{Entry, Error};
use zeroize::Zeroizing;

use super::{Safe, SafeError};
use crate::name::WalletName;
use crate::root::Root;
use crate::secret::Passphrase;

/// Under what the entries stand, where a person looks through their keyring.
const SERVICE: &str = "ComputePool wallet";

/// Entries of this program in the system's keyring.
pub(crate) struct Keyring {
    service: String,
}

impl Default for Keyring {
    fn default() -> Self {
        Self { service: SERVICE.to_owned() }
    }
}

impl Keyring {
    #[cfg(test)]
    pub(crate) fn of_service(service: &str) -> Self {
        Self { service: service.to_owned() }
    }

    fn entry(&self, name: &WalletName) -> Result<Entry, SafeError> {
        // `Entry::new` says only that there is no store; why there is none stands here.
        if let Err(error) = Entry::store_status() {
            return Err(SafeError::NoKeyring(error.to_string()));
        }
        Entry::new(&self.service, name.as_str()).map_err(|error| refused(name, error))
    }
}

/// `keyring`'s errors carry what was read from the store; of that nothing is repeated.
fn refused(name: &WalletName, error: Error) -> SafeError {
    match error {
        Error::NoEntry => SafeError::Missing(name.clone()),
        Error::BadEncoding(bytes) | Error::BadDataFormat(bytes, _) => {
            drop(Zeroizing::new(bytes));
            SafeError::Damaged(name.clone())
        }
        Error::Ambiguous(entries) => SafeError::NoKeyring(format!("{} entries have this name", entries.len())),
        other => SafeError::NoKeyring(other.to_string()),
    }
}

impl Safe for Keyring {
    fn store(&self, name: &WalletName, root: &Root, _passphrase: Option<&Passphrase>) -> Result<(), SafeError> {
        let entry = self.entry(name)?;
        match entry.get_secret() {
            Err(Error::NoEntry) => {}
            Err(error) => return Err(refused(name, error)),
            Ok(bytes) => {
                drop(Zeroizing::new(bytes));
                return Err(SafeError::Exists(name.clone()));
            }
        }
        entry.set_secret(&root.pack()).map_err(|error| refused(name, error))
    }

    fn load(&self, name: &WalletName, _passphrase: Option<&Passphrase>) -> Result<Root, SafeError> {
        let bytes = self.entry(name)?.get_secret().map_err(|error| refused(name, error))?;
        Root::unpack(&Zeroizing::new(bytes)).map_err(|_| SafeError::Damaged(name.clone()))
    }

    fn remove(&self, name: &WalletName) -> Result<(), SafeError> {
        self.entry(name)?.delete_credential().map_err(|error| refused(name, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::Phrase;

    #[test]
    fn without_an_entry_or_a_keyring_the_error_is_plain() {
        let keyring = Keyring::of_service("ComputePool test of nothing");
        match keyring.load(&"nobody".parse().unwrap(), None).unwrap_err() {
            SafeError::Missing(name) => assert_eq!(name.as_str(), "nobody"),
            SafeError::NoKeyring(why) => assert!(!why.is_empty()),
            other => panic!("{other}"),
        }
    }

    /// `dbus-run-session -- sh -c 'printf pw | gnome-keyring-daemon --unlock --components=secrets && …'`, with this test
    /// named and `--ignored`.
    #[test]
    #[ignore = "writes to the keyring of the login"]
    fn a_real_keyring_keeps_a_secret_until_it_is_removed() {
        let keyring = Keyring::of_service(&format!("ComputePool test {}", std::process::id()));
        let name: WalletName = "main".parse().unwrap();
        let root = Root::Phrase(Phrase::from_entropy(&[5; 32]).unwrap());
        keyring.store(&name, &root, None).unwrap();
        assert!(matches!(keyring.store(&name, &root, None).unwrap_err(), SafeError::Exists(_)));
        assert_eq!(keyring.load(&name, None).unwrap().pack(), root.pack());
        keyring.remove(&name).unwrap();
        assert!(matches!(keyring.load(&name, None).unwrap_err(), SafeError::Missing(_)));
    }
}
