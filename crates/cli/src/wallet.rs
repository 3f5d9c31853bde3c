//! `computepool wallet`: keys, what they may spend, and their money.

mod ask;
mod keys;
mod limits;
mod money;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use computepool_app::accounts::{Keeping, Passphrase, WalletName, Wallets};
use computepool_app::chains::ChainCard;
use computepool_app::purse::{self, PASSPHRASE, Purse};
use computepool_core::{Account, Fault, FaultCode};

use ask::Asker;
use limits::LimitsArguments;

#[derive(Args)]
pub(crate) struct WalletArguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    task: WalletTask,
}

/// Where wallets are, which chain is meant, and how sure the owner is.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// The folder of wallets; in the user's data folder when absent.
    #[arg(long, global = true)]
    wallets: Option<PathBuf>,
    /// A file whose first line opens the wallet, where it is kept in a keystore file. Or set COMPUTEPOOL_PASSPHRASE; or be
    /// asked.
    #[arg(long, global = true)]
    passphrase_file: Option<PathBuf>,
    /// The chain: devnet, galileo, 0g, a chain id, or the path of a chain's card.
    #[arg(long, global = true)]
    chain: Option<String>,
    /// Ask nothing.
    #[arg(long, global = true)]
    yes: bool,
}

/// Which wallet.
#[derive(Args, Clone)]
pub(crate) struct Which {
    /// The wallet.
    #[arg(default_value = "main")]
    name: WalletName,
}

#[derive(Subcommand)]
enum WalletTask {
    /// Make a wallet, and show the words that bring it back.
    Create {
        #[command(flatten)]
        which: Which,
        /// Keep it in a keystore file that opens with a passphrase, and not in the keyring of the login.
        #[arg(long)]
        file: bool,
        /// How many words.
        #[arg(long, default_value = "12", value_parser = ["12", "24"])]
        words: String,
    },
    /// Take in a wallet that exists. Its words, key or keystore come from standard input, or are asked for.
    Import {
        #[command(flatten)]
        which: Which,
        /// Keep it in a keystore file that opens with a passphrase, and not in the keyring of the login.
        #[arg(long)]
        file: bool,
        /// A keystore to take it from.
        #[arg(long)]
        keystore: Option<PathBuf>,
        /// A file whose first line opens that keystore, where it has another passphrase than the wallet is to have.
        #[arg(long, requires = "keystore")]
        keystore_passphrase_file: Option<PathBuf>,
    },
    /// Take in a keystore file that lies in the folder of wallets already, or what is in the keyring.
    Adopt {
        #[command(flatten)]
        which: Which,
        /// It lies in a file, and not in the keyring of the login.
        #[arg(long)]
        file: bool,
    },
    /// Give a wallet one more account, from the same words.
    Account(Which),
    /// List the wallets of this machine.
    List,
    /// Show a wallet: its account, what is in it, what it may spend and has spent.
    Show(Which),
    /// Show or set what a wallet may spend. Without limits it spends nothing.
    Limits(LimitsArguments),
    /// Show what brings a wallet back, and see that it was written down.
    Backup(Which),
    /// Write a keystore for another program, under a passphrase of its own.
    Export {
        #[command(flatten)]
        which: Which,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
        /// A file whose first line is the new passphrase; asked for when absent.
        #[arg(long)]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Throw a wallet's key away.
    Forget(Which),
    /// Send money, after having shown what would happen.
    Send(money::SendArguments),
    /// Turn USDCx into USDC; with --claim, collect what was earned before.
    Withdraw(money::WithdrawArguments),
    /// Show the sessions that were paid for, and with --take get back what is not used, without whoever sold them.
    Refunds(money::RefundsArguments),
    /// Get play money, on a devnet or a testnet.
    Faucet(Which),
}

/// `computepool wallet …`.
pub(crate) async fn wallet(arguments: WalletArguments) -> Result<bool, Fault> {
    let WalletArguments { place, task } = arguments;
    match task {
        WalletTask::Show(which) => money::show(place, which.name).await.map(|()| true),
        WalletTask::Send(arguments) => money::send(place, arguments).await,
        WalletTask::Withdraw(arguments) => money::withdraw(place, arguments).await,
        WalletTask::Refunds(arguments) => money::refunds(place, arguments).await,
        WalletTask::Faucet(which) => money::faucet(place, which.name).await.map(|()| true),
        // Keyrings and people may take their time.
        task => blocking(move || keys(&place, task)).await,
    }
}

fn keys(place: &Place, task: WalletTask) -> Result<bool, Fault> {
    let keeping = |file| if file { Keeping::File } else { Keeping::Keyring };
    match task {
        WalletTask::Create { which, file, words } => keys::create(place, &which.name, keeping(file), words == "24"),
        WalletTask::Import { which, file, keystore, keystore_passphrase_file } => {
            let source = keystore.map(|path| (path, keystore_passphrase_file));
            keys::import(place, &which.name, keeping(file), source)
        }
        WalletTask::Adopt { which, file } => keys::adopt(place, &which.name, keeping(file)),
        WalletTask::Account(which) => keys::account(place, &which.name),
        WalletTask::List => keys::list(place),
        WalletTask::Limits(arguments) => limits::limits(place, arguments),
        WalletTask::Backup(which) => keys::backup(place, &which.name),
        WalletTask::Export { which, out, new_passphrase_file } => {
            keys::export(place, &which.name, &out, new_passphrase_file.as_deref())
        }
        WalletTask::Forget(which) => keys::forget(place, &which.name),
        WalletTask::Show(_)
        | WalletTask::Send(_)
        | WalletTask::Withdraw(_)
        | WalletTask::Refunds(_)
        | WalletTask::Faucet(_) => Ok(false),
    }
}

impl Place {
    fn open(&self) -> Result<Wallets, Fault> {
        purse::wallets(self.wallets.clone())
    }

    fn asker(&self) -> Asker {
        Asker { yes: self.yes }
    }

    fn card(&self) -> Result<ChainCard, Fault> {
        ChainCard::read(&ChainCard::place(self.chain.as_deref())?)
    }

    /// What opens a wallet that is kept so; nothing where it needs no passphrase.
    fn passphrase(&self, name: &WalletName, keeping: Keeping) -> Result<Option<Passphrase>, Fault> {
        if !keeping.wants_passphrase() {
            return Ok(None);
        }
        match purse::given_passphrase(self.passphrase_file.as_deref())? {
            Some(given) => Ok(Some(given)),
            None => ask::hidden(&format!("Passphrase of {name}: ")).map(Some),
        }
    }

    /// A passphrase for a wallet that is being made.
    fn new_passphrase(&self, keeping: Keeping) -> Result<Option<Passphrase>, Fault> {
        if !keeping.wants_passphrase() {
            return Ok(None);
        }
        match purse::given_passphrase(self.passphrase_file.as_deref())? {
            Some(given) => Ok(Some(given)),
            None => ask::twice("New passphrase").map(Some),
        }
    }

    /// The wallet, open for signing on a chain.
    async fn purse(&self, name: WalletName, card: &ChainCard) -> Result<Purse, Fault> {
        let (place, contracts) = (self.clone(), card.contracts());
        blocking(move || {
            let wallet = place.open()?.wallet(&name, contracts)?;
            let passphrase = place.passphrase(&name, wallet.card().keeping)?;
            wallet.unlock(passphrase.as_ref(), None)?;
            let account = first(wallet.card().accounts.first(), &name)?;
            Ok(Purse { wallet, account })
        })
        .await
    }
}

/// A wallet's first account.
fn first(account: Option<&Account>, name: &WalletName) -> Result<Account, Fault> {
    let none = || Fault::new(FaultCode::Io, format!("the wallet {name} has no account"));
    account.copied().ok_or_else(none)
}

/// The account that a wallet is paid at. Nothing is opened for it.
pub(crate) fn account_of(folder: Option<PathBuf>, name: &WalletName) -> Result<Account, Fault> {
    first(purse::wallets(folder)?.show(name)?.accounts.first(), name)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fault::new(FaultCode::Internal, format!("the wallet did not answer: {error}")))?
}

/// Where a passphrase comes from when nobody can be asked.
fn unattended() -> String {
    format!("where nobody can be asked, give --passphrase-file or set {PASSPHRASE}, and say --yes")
}
