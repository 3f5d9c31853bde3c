//! What can go wrong with a wallet, and what its owner can do about it.

use std::io::ErrorKind;

use computepool_core::{Fault, FaultCode};

use crate::append_log::LogError;
use crate::backup::WrongAnswer;
use crate::card::MAX_ACCOUNTS;
use crate::consent::ConsentError;
use crate::keystore::KeystoreError;
use crate::limits::LimitsError;
use crate::name::{BadName, WalletName};
use crate::permission::Refusal;
use crate::phrase::PhraseError;
use crate::private_file::FileError;
use crate::safe::SafeError;
use crate::spends::SpendError;
use crate::wallets::MIN_PASSPHRASE;

/// Why something with a wallet did not work. No message repeats anything secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// Not a name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// There is no such wallet.
    #[error("there is no wallet `{0}` here")]
    NoWallet(WalletName),
    /// The name is taken.
    #[error("there is a wallet `{0}` already")]
    Exists(WalletName),
    /// Words that are no phrase.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// Digits that are no key.
    #[error("this is not a private key: it has 64 hexadecimal digits")]
    NotAKey,
    /// A new passphrase that keeps nobody out.
    #[error("a passphrase has at least {MIN_PASSPHRASE} characters")]
    ShortPassphrase,
    /// A secret that cannot be had.
    #[error(transparent)]
    Safe(#[from] SafeError),
    /// What the safe holds is not what the card says.
    #[error("the secret that is kept for the wallet `{0}` belongs to other accounts")]
    OtherSecret(WalletName),
    /// Only phrases have more than one account.
    #[error("the wallet `{0}` is a single key and has one account")]
    SingleKey(WalletName),
    /// Enough is enough.
    #[error("a wallet has at most {MAX_ACCOUNTS} accounts")]
    TooManyAccounts,
    /// The backup was not shown to exist.
    #[error("nobody has shown that a backup of the wallet `{0}` exists")]
    NotBackedUp(WalletName),
    /// Not what was written down.
    #[error(transparent)]
    WrongAnswer(#[from] WrongAnswer),
    /// Opened for no time at all.
    #[error("the wallet `{0}` is locked")]
    Locked(WalletName),
    /// An account of somebody else.
    #[error("the wallet `{wallet}` has no account {account}")]
    NoAccount {
        /// The wallet.
        wallet: WalletName,
        /// The account.
        account: computepool_core::Account,
    },
    /// Not to be signed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Over a limit, or not to be written down.
    #[error(transparent)]
    Spend(#[from] SpendError),
    /// Limits that contradict themselves.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// A file of the wallet that makes no sense.
    #[error("{file} is damaged: {why}")]
    Damaged {
        /// Which file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<KeystoreError> for WalletError {
    fn from(error: KeystoreError) -> Self {
        Self::Safe(error.into())
    }
}

impl From<WalletError> for Fault {
    fn from(error: WalletError) -> Self {
        use WalletError as E;
        let message = error.to_string();
        let is = |code: FaultCode| Fault::new(code, message.clone());
        match error {
            E::NoWallet(_) => is(FaultCode::InvalidRequest).hint("`computepool wallet create` makes one"),
            E::Exists(_) => is(FaultCode::InvalidRequest).hint("choose another name"),
            E::Locked(_) => computepool_core::ports::locked(),
            E::NotBackedUp(_) => is(FaultCode::InvalidRequest)
                .hint("`computepool wallet backup` shows what to write down and asks for some of it back"),
            E::OtherSecret(_) => is(FaultCode::Io).hint("a keystore file was exchanged; put the right one back"),
            E::NoAccount { .. } | E::Refused(_) => is(FaultCode::Unauthorized),
            E::Spend(error) => spend_fault(error, message),
            E::Safe(error) => safe_fault(&error, message),
            E::Damaged { .. } => is(FaultCode::Io).hint("restore the file from a backup"),
            E::File(error) => file_fault(&error, message),
            E::ShortPassphrase
            | E::Name(_)
            | E::Phrase(_)
            | E::NotAKey
            | E::SingleKey(_)
            | E::TooManyAccounts
            | E::WrongAnswer(_)
            | E::Limits(_) => is(FaultCode::InvalidRequest),
        }
    }
}

impl From<ConsentError> for Fault {
    fn from(error: ConsentError) -> Self {
        let message = error.to_string();
        match error {
            ConsentError::Log(error) => log_fault(&error, message),
            _ => Fault::new(FaultCode::InvalidRequest, message),
        }
    }
}

fn spend_fault(error: SpendError, message: String) -> Fault {
    let over = Fault::new(FaultCode::SpendLimit, message.clone());
    match error {
        SpendError::TooMuch { wait_ms: Some(wait), .. } => {
            over.hint("wait, or raise the limit with `computepool wallet limits`").retry_after_ms(wait)
        }
        SpendError::TooMuch { .. } | SpendError::NoLimit { .. } => {
            over.hint("`computepool wallet limits` sets what may be spent")
        }
        SpendError::TooMany { .. } => over.hint("something asks far too often").retry_after_ms(60_000),
        SpendError::Money(_) => over,
        SpendError::Log(error) => log_fault(&error, message),
    }
}

fn log_fault(error: &LogError, message: String) -> Fault {
    let fault = Fault::new(FaultCode::Io, message);
    match error {
        LogError::Busy(_) => fault.hint("another process of ComputePool hangs; end it").retry_after_ms(1000),
        LogError::File(error) => file_fault(error, fault.message),
        _ => fault.hint("nothing is signed without it: restore the file from a backup, or make a new wallet"),
    }
}

fn safe_fault(error: &SafeError, message: String) -> Fault {
    match error {
        SafeError::File(error) => file_fault(error, message),
        SafeError::Keystore(KeystoreError::WrongPassphrase) => Fault::new(FaultCode::Unauthorized, message),
        SafeError::Keystore(_) => Fault::new(FaultCode::InvalidRequest, message),
        SafeError::PassphraseMissing(_) => {
            Fault::new(FaultCode::Unauthorized, message).hint("give the passphrase that the wallet was made with")
        }
        SafeError::NoKeyring(_) | SafeError::KeyringNotBuilt => Fault::new(FaultCode::Io, message).hint(
            "unlock the keyring of your login, or keep the wallet in a file that opens with a passphrase (`--file`)",
        ),
        SafeError::Exists(_) => Fault::new(FaultCode::InvalidRequest, message)
            .hint("choose another name, or take the secret that is there with `computepool wallet adopt`"),
        SafeError::Missing(_) => Fault::new(FaultCode::Io, message)
            .hint("import the wallet again from its recovery phrase, under another name"),
        SafeError::Damaged(_) => Fault::new(FaultCode::Io, message).hint("restore it from a backup"),
    }
}

fn file_fault(error: &FileError, message: String) -> Fault {
    let fault = Fault::new(FaultCode::Io, message);
    match error.source.kind() {
        ErrorKind::PermissionDenied => fault.hint("the file belongs to somebody else"),
        ErrorKind::InvalidData => fault.hint("restore the file from a backup"),
        _ => fault,
    }
}
