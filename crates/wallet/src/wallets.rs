//! The wallets of this machine: everything that a command line or a window does with them.
//!
//! In the wallets' folder, for each name: a card (`<name>.wallet.json`), limits (`<name>.limits.json`), what was signed
//! (`<name>.spends.jsonl`), and, where the secret lies in a file, its keystore (`<name>.keystore.json`). The card is
//! written last: there is no wallet before all of it is there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use computepool_core::Account;
use computepool_core::ports::{Clock, SystemClock};
use rand::rngs::OsRng;
use rand::{CryptoRng, TryRngCore as _};

use crate::backup::{Backup, BackupQuestion};
use crate::card::{Card, MAX_ACCOUNTS};
use crate::error::WalletError;
use crate::key::PrivateKey;
use crate::keystore::{self, Effort};
use crate::limits::{self, Limits};
use crate::name::WalletName;
use crate::permission::Contracts;
use crate::phrase::{Phrase, PhraseLength};
use crate::private_file::{self, FileError, at};
use crate::root::Root;
use crate::safe::{Files, Keeping, Memory, Safe, SafeError};
use crate::secret::{Passphrase, Secret};
use crate::spends::Spends;
use crate::wallet::Wallet;

/// The fewest characters of a new passphrase.
pub const MIN_PASSPHRASE: usize = 8;
/// The most wallets that are listed.
const MAX_WALLETS: usize = 256;

/// What a wallet is made from.
#[derive(Debug)]
#[non_exhaustive]
pub enum Origin {
    /// A new recovery phrase.
    New(PhraseLength),
    /// Words of a phrase that exists, in English.
    Words(Secret<String>),
    /// A private key: 64 hexadecimal digits.
    Key(Secret<String>),
    /// A keystore (Web3 Secret Storage, version 3), and what opens it.
    Keystore {
        /// Its text.
        text: String,
        /// Its own passphrase; the wallet's may be another one.
        passphrase: Passphrase,
    },
}

/// How sure the owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// Only where a backup was shown to exist.
    BackedUp,
    /// In any case. What was not written down is lost.
    Anyway,
}

/// The wallets in a folder. Everything here blocks: on the disk, on a passphrase's second, on a person before a keyring.
pub struct Wallets {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    random: Arc<Mutex<dyn CryptoRng + Send>>,
    files: Arc<dyn Safe>,
    memory: Arc<dyn Safe>,
    keyring: Option<Arc<dyn Safe>>,
    effort: Effort,
}

impl Wallets {
    /// The wallets in a folder, which is made where it is not there, for its owner alone. The machine's clock and dice.
    pub fn open(folder: &Path) -> Result<Self, WalletError> {
        Self::with(folder, Arc::new(SystemClock), Arc::new(Mutex::new(OsRng.unwrap_err())), Effort::Standard)
    }

    /// The same with a clock and dice of one's own, and another effort for keystore files: for tests.
    pub fn with(
        folder: &Path,
        clock: Arc<dyn Clock>,
        random: Arc<Mutex<dyn CryptoRng + Send>>,
        effort: Effort,
    ) -> Result<Self, WalletError> {
        private_file::make_folder(folder)?;
        #[cfg(feature = "keyring")]
        let keyring: Option<Arc<dyn Safe>> = Some(Arc::new(crate::safe::Keyring::default()));
        #[cfg(not(feature = "keyring"))]
        let keyring = None;
        Ok(Self {
            folder: folder.to_owned(),
            files: Arc::new(Files::new(folder, effort, random.clone())),
            memory: Arc::new(Memory::default()),
            keyring,
            clock,
            random,
            effort,
        })
    }

    /// Makes a wallet, or takes one in. Its secret is kept as told, under a passphrase where that wants one.
    ///
    /// Nothing may be spent until [limits](Wallets::set_limits) are set. Takes up to a second, as does everything that
    /// wants a passphrase.
    pub fn create(
        &self,
        name: &WalletName,
        keeping: Keeping,
        origin: Origin,
        passphrase: Option<&Passphrase>,
    ) -> Result<Card, WalletError> {
        self.free(name)?;
        // From outside means that it exists outside; of a new phrase that has to be shown first.
        let (root, backed_up) = match origin {
            Origin::New(length) => (Root::Phrase(self.dice(|random| Phrase::generate(length, random))?), false),
            Origin::Words(words) => (Root::Phrase(Phrase::parse(words.expose())?), true),
            Origin::Key(digits) => {
                (Root::Key(PrivateKey::from_hex(digits.expose()).map_err(|_| WalletError::NotAKey)?), true)
            }
            Origin::Keystore { text, passphrase } => (keystore::open(&text, &passphrase)?, true),
        };
        if keeping.wants_passphrase() {
            strong(passphrase.ok_or_else(|| SafeError::PassphraseMissing(name.clone()))?)?;
        }
        self.safe(keeping)?.store(name, &root, passphrase)?;
        self.enter(name, keeping, &root, backed_up)
    }

    /// Takes in a secret that lies where a wallet of this name would keep it already: a keystore file that was copied
    /// into the folder, or what a crash left behind.
    pub fn adopt(
        &self,
        name: &WalletName,
        keeping: Keeping,
        passphrase: Option<&Passphrase>,
    ) -> Result<Card, WalletError> {
        self.free(name)?;
        let root = self.safe(keeping)?.load(name, passphrase)?;
        self.enter(name, keeping, &root, false)
    }

    /// All wallets, by name.
    pub fn list(&self) -> Result<Vec<Card>, WalletError> {
        let mut cards = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(at(&self.folder))? {
            let file = entry.map_err(at(&self.folder))?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".wallet.json"));
            if let Some(name) = name.and_then(|name| name.parse().ok()) {
                cards.push(self.show(&name)?);
            }
            if cards.len() == MAX_WALLETS {
                break;
            }
        }
        cards.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cards)
    }

    /// One wallet.
    pub fn show(&self, name: &WalletName) -> Result<Card, WalletError> {
        Card::read(&self.card_path(name))?.ok_or_else(|| WalletError::NoWallet(name.clone()))
    }

    /// One more account from the same phrase.
    pub fn add_account(&self, name: &WalletName, passphrase: Option<&Passphrase>) -> Result<Account, WalletError> {
        let (mut card, root) = self.take_out(name, passphrase)?;
        if card.words.is_none() {
            return Err(WalletError::SingleKey(name.clone()));
        }
        if card.accounts.len() >= MAX_ACCOUNTS {
            return Err(WalletError::TooManyAccounts);
        }
        let account = Account(root.key(card.accounts.len() as u32)?.address());
        card.accounts.push(account);
        self.rewrite(&card)?;
        Ok(account)
    }

    /// What to write down. The only way on which a secret leaves this crate unencrypted.
    pub fn backup(&self, name: &WalletName, passphrase: Option<&Passphrase>) -> Result<Backup, WalletError> {
        Ok(self.take_out(name, passphrase)?.1.backup())
    }

    /// A keystore for another program, under a passphrase of its own. Holds the first account; programs that know
    /// ethers' addition find the words in it as well.
    pub fn export_keystore(
        &self,
        name: &WalletName,
        passphrase: Option<&Passphrase>,
        new: &Passphrase,
    ) -> Result<String, WalletError> {
        strong(new)?;
        let (_, root) = self.take_out(name, passphrase)?;
        Ok(self.dice(|random| keystore::seal(&root, new, self.effort, random))?)
    }

    /// What to ask the owner for, after a [backup](Wallets::backup) was shown.
    pub fn backup_question(
        &self,
        name: &WalletName,
        passphrase: Option<&Passphrase>,
    ) -> Result<BackupQuestion, WalletError> {
        let (_, root) = self.take_out(name, passphrase)?;
        Ok(self.dice(|random| root.question(random)))
    }

    /// The owner's answers. Where they are right, the wallet counts as backed up.
    pub fn answer_backup(
        &self,
        name: &WalletName,
        passphrase: Option<&Passphrase>,
        question: &BackupQuestion,
        answers: &[Secret<String>],
    ) -> Result<Card, WalletError> {
        let (mut card, root) = self.take_out(name, passphrase)?;
        root.check(question, answers)?;
        card.backed_up_ms = Some(self.clock.now_ms());
        self.rewrite(&card)?;
        Ok(card)
    }

    /// Throws the secret away. What was signed stays on record, and counts where the name is used again.
    pub fn forget(&self, name: &WalletName, how: Forget) -> Result<(), WalletError> {
        let card = self.show(name)?;
        if card.backed_up_ms.is_none() && how == Forget::BackedUp {
            return Err(WalletError::NotBackedUp(name.clone()));
        }
        match self.safe(card.keeping)?.remove(name) {
            // Gone before, by a crash between these two steps: the card goes now.
            Ok(()) | Err(SafeError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let path = self.card_path(name);
        Ok(std::fs::remove_file(&path).map_err(at(&path))?)
    }

    /// What may be spent.
    pub fn limits(&self, name: &WalletName) -> Result<Limits, WalletError> {
        self.show(name)?;
        let path = self.limits_path(name);
        let text = private_file::read(&path, limits::MAX_TEXT)?;
        serde_json::from_str(&text)
            .map_err(|error| WalletError::Damaged { file: path.display().to_string(), why: error.to_string() })
    }

    /// Sets what may be spent. Counts from the next signature on, in every process.
    pub fn set_limits(&self, name: &WalletName, limits: &Limits) -> Result<(), WalletError> {
        limits.check()?;
        self.show(name)?;
        let path = self.limits_path(name);
        Ok(private_file::replace(&path, &json(&path, limits)?)?)
    }

    /// The owner says that the machine's clock is right now, after it had been ahead: what was spent then counts as
    /// spent now, and comes free in a day.
    pub fn accept_clock(&self, name: &WalletName) -> Result<(), WalletError> {
        self.show(name)?;
        Ok(Spends::at(&self.spends_path(name)).accept_clock(self.clock.now_ms())?)
    }

    /// The wallet for signing, locked.
    pub fn wallet(&self, name: &WalletName, contracts: Contracts) -> Result<Wallet, WalletError> {
        let card = self.show(name)?;
        let (safe, spends) = (self.safe(card.keeping)?.clone(), Spends::at(&self.spends_path(name)));
        Ok(Wallet::new(card, safe, self.clock.clone(), contracts, self.limits_path(name), spends))
    }

    fn free(&self, name: &WalletName) -> Result<(), WalletError> {
        if self.card_path(name).exists() { Err(WalletError::Exists(name.clone())) } else { Ok(()) }
    }

    /// Everything but the secret, which is there already.
    fn enter(&self, name: &WalletName, keeping: Keeping, root: &Root, backed_up: bool) -> Result<Card, WalletError> {
        let now = self.clock.now_ms();
        let card = Card {
            name: name.clone(),
            keeping,
            accounts: vec![Account(root.key(0)?.address())],
            words: match root {
                Root::Phrase(phrase) => u8::try_from(phrase.length()).ok(),
                Root::Key(_) => None,
            },
            created_ms: now,
            backed_up_ms: backed_up.then_some(now),
        };
        // Of an earlier wallet of this name, or an earlier try: what was spent counts, and what was allowed does not.
        there_already(Spends::create(&self.spends_path(name)).map(drop))?;
        let limits = self.limits_path(name);
        private_file::replace(&limits, &json(&limits, &Limits::default())?)?;
        let path = self.card_path(name);
        private_file::create(&path, &self.card_text(&card)?).map_err(|error| {
            if error.is(ErrorKind::AlreadyExists) { WalletError::Exists(name.clone()) } else { error.into() }
        })?;
        Ok(card)
    }

    fn take_out(&self, name: &WalletName, passphrase: Option<&Passphrase>) -> Result<(Card, Root), WalletError> {
        let card = self.show(name)?;
        let root = self.safe(card.keeping)?.load(name, passphrase)?;
        if card.accounts.first() != Some(&Account(root.key(0)?.address())) {
            return Err(WalletError::OtherSecret(name.clone()));
        }
        Ok((card, root))
    }

    fn rewrite(&self, card: &Card) -> Result<(), WalletError> {
        Ok(private_file::replace(&self.card_path(&card.name), &self.card_text(card)?)?)
    }

    fn card_text(&self, card: &Card) -> Result<Vec<u8>, WalletError> {
        Ok(json(&self.card_path(&card.name), card)?)
    }

    fn safe(&self, keeping: Keeping) -> Result<&Arc<dyn Safe>, SafeError> {
        match keeping {
            Keeping::File => Ok(&self.files),
            Keeping::Memory => Ok(&self.memory),
            Keeping::Keyring => self.keyring.as_ref().ok_or(SafeError::KeyringNotBuilt),
        }
    }

    fn dice<T>(&self, use_them: impl FnOnce(&mut dyn CryptoRng) -> T) -> T {
        use_them(&mut *self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn card_path(&self, name: &WalletName) -> PathBuf {
        self.folder.join(format!("{name}.wallet.json"))
    }

    fn limits_path(&self, name: &WalletName) -> PathBuf {
        self.folder.join(format!("{name}.limits.json"))
    }

    fn spends_path(&self, name: &WalletName) -> PathBuf {
        self.folder.join(format!("{name}.spends.jsonl"))
    }
}

/// Below this, trying all of them costs less than what a wallet holds.
fn strong(passphrase: &Passphrase) -> Result<(), WalletError> {
    let characters = passphrase.expose().chars().count();
    if characters < MIN_PASSPHRASE { Err(WalletError::ShortPassphrase) } else { Ok(()) }
}

fn there_already(made: Result<(), FileError>) -> Result<(), FileError> {
    match made {
        Err(error) if error.is(ErrorKind::AlreadyExists) => Ok(()),
        made => made,
    }
}

fn json(path: &Path, value: &impl serde::Serialize) -> Result<Vec<u8>, FileError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| at(path)(std::io::Error::other(error)))?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests;
