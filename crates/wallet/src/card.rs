//! What is known of a wallet without opening it.

use std::io::ErrorKind;
use std::path::Path;

use computepool_core::Account;
use serde::{Deserialize, Serialize};

use crate::name::WalletName;
use crate::private_file::{self, FileError, at};
use crate::safe::Keeping;

/// The most accounts that one wallet has.
pub const MAX_ACCOUNTS: usize = 32;
const MAX_TEXT: usize = 16 * 1024;

/// A wallet, as anybody on this machine may know it. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What it is called.
    pub name: WalletName,
    /// Where its secret lies.
    pub keeping: Keeping,
    /// Its accounts, in the order of their derivation.
    pub accounts: Vec<Account>,
    /// How many words its recovery phrase has; none where it is a single imported key.
    pub words: Option<u8>,
    /// Unix time in milliseconds.
    pub created_ms: u64,
    /// When the owner showed that a backup exists, in Unix milliseconds.
    pub backed_up_ms: Option<u64>,
}

impl Card {
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, FileError> {
        let text = match private_file::read(path, MAX_TEXT) {
            Ok(text) => text,
            Err(error) if error.is(ErrorKind::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |why: String| at(path)(std::io::Error::new(ErrorKind::InvalidData, why));
        let card: Self = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        if card.accounts.is_empty() || card.accounts.len() > MAX_ACCOUNTS {
            return Err(invalid(format!("a wallet has 1 to {MAX_ACCOUNTS} accounts")));
        }
        Ok(Some(card))
    }
}
