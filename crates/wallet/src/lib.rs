//! The only room that ever sees a private key.
//!
//! A [`Wallet`] signs through `computepool_core::ports::Vault`: every request names its purpose and shows what is to be
//! signed, the wallet understands it (or refuses), holds it against the owner's [`Limits`], writes it down, and only then
//! signs. [`Wallets`] is everything else that an owner does: create, import, back up, lock, forget, set limits. Secrets
//! lie in the login's keyring, in an encrypted keystore file, or in memory ([`Keeping`]).
//!
//! | module | what |
//! |---|---|
//! | `secret`, `key`, `phrase`, `root` | secrets while they are in memory |
//! | `keystore`, `safe`, `private_file` | secrets while they are not |
//! | `typed_data`, `transaction`, `permission` | what a request means, and who may ask for it |
//! | `limits`, `spends`, `append_log` | how much, and what a crash must not make forgotten |
//! | `wallets`, `card`, `backup`, `consent` | what the owner does |
//!
//! **What this guards against**: our own mistakes, servers that ask for too much, a lost or copied keystore file, crashes,
//! clocks that are set back. **What it does not**: somebody who runs programs as the owner of the machine. They can read
//! the memory of an open wallet, and change the file of its limits.

mod append_log;
mod backup;
mod card;
mod consent;
mod error;
#[cfg(test)]
mod fuzz_cases;
mod key;
mod keystore;
mod limits;
mod name;
mod permission;
mod phrase;
mod private_file;
mod root;
mod safe;
mod secret;
mod spends;
mod transaction;
mod typed_data;
mod wallet;
mod wallets;

pub use append_log::LogError;
pub use backup::{Backup, BackupQuestion, WrongAnswer};
pub use card::{Card, MAX_ACCOUNTS};
pub use consent::{Consent, ConsentError, Consents};
pub use error::WalletError;
pub use keystore::{Effort, KeystoreError, MAX_KEYSTORE};
pub use limits::{Limit, Limits, LimitsError};
pub use name::{BadName, WalletName};
pub use permission::{Calls, Contracts, Deployed, Refusal, Target, Whom};
pub use phrase::{PhraseError, PhraseLength};
pub use private_file::FileError;
pub use safe::{Keeping, SafeError};
pub use secret::{Passphrase, Secret};
pub use spends::{Spend, SpendError, Spent, Usage, Window};
pub use transaction::BadTransaction;
pub use typed_data::TypedDataError;
pub use wallet::Wallet;
pub use wallets::{Forget, MIN_PASSPHRASE, Origin, Wallets};
