//! The owner's keys. Secrets are shown by the host, outside the page; what comes from the page opens or proves, and is
//! wiped.

use computepool_core::{Fault, FaultCode};
use computepool_wallet::{
    Backup, BackupQuestion, Card, Forget, Keeping, Origin, Passphrase, PhraseLength, Secret, WalletName,
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::super::purses::first;
use super::super::{Desktop, HostEvent, unknown};
use super::Nothing;

/// Where a new wallet is kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub(in crate::desktop) enum Place {
    /// In a file that opens with a passphrase.
    File,
    /// In the login's keyring.
    Keyring,
}

/// A wallet by its name, and what opens it where that is asked for.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Opening {
    /// Its name.
    name: String,
    /// The passphrase of a wallet that is kept in a file.
    passphrase: Option<String>,
}

/// A wallet by its name.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Named {
    /// Its name.
    pub(super) name: String,
}

/// A wallet to be made.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct NewWallet {
    /// Its name: letters, digits, `-` and `_`.
    name: String,
    /// Where it is kept.
    place: Place,
    /// Its passphrase, where it is kept in a file.
    passphrase: Option<String>,
}

/// A wallet to be brought in.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Importing {
    /// Its name here.
    name: String,
    /// Where it is kept from now on.
    place: Place,
    /// Its passphrase, where it is kept in a file.
    passphrase: Option<String>,
    /// What opens the file that is chosen, where that is a keystore.
    file_passphrase: Option<String>,
}

/// Some of what was written down.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Answers {
    /// The wallet.
    name: String,
    /// What opens it.
    passphrase: Option<String>,
    /// The words that `wallet_backup_question` asked for, in its order, or the last digits of a key.
    answers: Vec<String>,
}

/// What to give back, to show that a backup exists.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct AskedBack {
    /// The places of words, counted from 1; none where the last eight digits of a key are asked for.
    places: Vec<usize>,
}

/// A wallet.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct WalletView {
    /// Its name.
    name: String,
    /// Its account.
    account: String,
    /// Where it is kept: `file`, `keyring` or `memory`.
    place: String,
    /// When it was made.
    #[ts(type = "number")]
    created_ms: u64,
    /// When its owner showed that a backup exists.
    #[ts(type = "number | null")]
    backed_up_ms: Option<u64>,
    /// It is open.
    open: bool,
}

/// A wallet's name from its text.
pub(in crate::desktop) fn name_of(text: &str) -> Result<WalletName, Fault> {
    text.parse().map_err(|error| unknown(format!("{error}")))
}

fn secret(text: Option<String>) -> Option<Passphrase> {
    text.filter(|text| !text.is_empty()).map(Secret::new)
}

fn view(desktop: &Desktop, card: &Card) -> Result<WalletView, Fault> {
    Ok(WalletView {
        name: card.name.to_string(),
        account: first(&card.accounts, &card.name)?.to_string(),
        place: match card.keeping {
            Keeping::File => "file",
            Keeping::Keyring => "keyring",
            Keeping::Memory => "memory",
        }
        .to_owned(),
        created_ms: card.created_ms,
        backed_up_ms: card.backed_up_ms,
        open: desktop.0.purses.is_open(&card.name),
    })
}

pub(super) async fn wallets(desktop: &Desktop, _: Nothing) -> Result<Vec<WalletView>, Fault> {
    let cards = desktop.0.purses.with(|wallets| Ok(wallets.list()?)).await?;
    cards.iter().map(|card| view(desktop, card)).collect()
}

pub(super) async fn create(desktop: &Desktop, new: NewWallet) -> Result<WalletView, Fault> {
    let (name, passphrase) = (name_of(&new.name)?, secret(new.passphrase));
    let keeping = match new.place {
        Place::File => Keeping::File,
        Place::Keyring => Keeping::Keyring,
    };
    let made = move |wallets: &computepool_wallet::Wallets| {
        Ok(wallets.create(&name, keeping, Origin::New(PhraseLength::Twelve), passphrase.as_ref())?)
    };
    let card = desktop.0.purses.with(made).await?;
    desktop.tell(HostEvent::Wallets);
    view(desktop, &card)
}

/// The longest file that is looked at.
const MAX_IMPORT: u64 = 64 * 1024;

pub(super) async fn import(desktop: &Desktop, wanted: Importing) -> Result<WalletView, Fault> {
    let (name, passphrase) = (name_of(&wanted.name)?, secret(wanted.passphrase));
    let file_passphrase = secret(wanted.file_passphrase);
    let keeping = match wanted.place {
        Place::File => Keeping::File,
        Place::Keyring => Keeping::Keyring,
    };
    let host = desktop.0.options.host.clone();
    let made = move |wallets: &computepool_wallet::Wallets| {
        let none = || unknown("no file was chosen".to_owned());
        let path = host.choose_file("Recovery words, a private key, or a keystore")?.ok_or_else(none)?;
        let origin = origin(&path, file_passphrase)?;
        Ok(wallets.create(&name, keeping, origin, passphrase.as_ref())?)
    };
    let card = desktop.0.purses.with(made).await?;
    desktop.tell(HostEvent::Wallets);
    view(desktop, &card)
}

/// What is in a file, by its looks.
fn origin(path: &std::path::Path, passphrase: Option<Passphrase>) -> Result<Origin, Fault> {
    let failed = |error: std::io::Error| Fault::new(FaultCode::Io, format!("the file cannot be read: {error}"));
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_IMPORT {
        return Err(unknown("this file is too long to hold words, a key or a keystore".to_owned()));
    }
    let text = Secret::new(std::fs::read_to_string(path).map_err(failed)?);
    let trimmed = text.expose().trim();
    if trimmed.starts_with('{') {
        let missing = || unknown("a keystore opens with its passphrase".to_owned());
        return Ok(Origin::Keystore { text: trimmed.to_owned(), passphrase: passphrase.ok_or_else(missing)? });
    }
    let secret = Secret::new(trimmed.to_owned());
    Ok(if trimmed.contains(char::is_whitespace) { Origin::Words(secret) } else { Origin::Key(secret) })
}

pub(super) async fn show_words(desktop: &Desktop, opening: Opening) -> Result<Nothing, Fault> {
    let (name, passphrase) = (name_of(&opening.name)?, secret(opening.passphrase));
    let (host, title) = (desktop.0.options.host.clone(), format!("Recovery words of the wallet {name}"));
    let show = move |wallets: &computepool_wallet::Wallets| match wallets.backup(&name, passphrase.as_ref())? {
        Backup::Words(words) => host.show_secret(&title, &words),
        Backup::Key(key) => host.show_secret(&title, &key),
        _ => Err(Fault::new(FaultCode::Internal, "this wallet has a backup that cannot be shown")),
    };
    desktop.0.purses.with(show).await?;
    Ok(Nothing {})
}

pub(super) async fn backup_question(desktop: &Desktop, opening: Opening) -> Result<AskedBack, Fault> {
    let (name, passphrase) = (name_of(&opening.name)?, secret(opening.passphrase));
    let asked = name.clone();
    let ask = move |wallets: &computepool_wallet::Wallets| Ok(wallets.backup_question(&name, passphrase.as_ref())?);
    let question = desktop.0.purses.with(ask).await?;
    let places = match &question {
        BackupQuestion::Words(places) => places.clone(),
        _ => Vec::new(),
    };
    // Kept here: a page that chose the words itself would prove nothing.
    desktop.0.purses.ask_back(&asked, question);
    Ok(AskedBack { places })
}

pub(super) async fn backup_answer(desktop: &Desktop, given: Answers) -> Result<WalletView, Fault> {
    let (name, passphrase) = (name_of(&given.name)?, secret(given.passphrase));
    let question = desktop.0.purses.asked_back(&name)?;
    let answers: Vec<Secret<String>> = given.answers.into_iter().map(Secret::new).collect();
    let check = move |wallets: &computepool_wallet::Wallets| {
        Ok(wallets.answer_backup(&name, passphrase.as_ref(), &question, &answers)?)
    };
    let card = desktop.0.purses.with(check).await?;
    desktop.tell(HostEvent::Wallets);
    view(desktop, &card)
}

pub(super) async fn unlock(desktop: &Desktop, opening: Opening) -> Result<Vec<WalletView>, Fault> {
    desktop.0.purses.unlock(name_of(&opening.name)?, secret(opening.passphrase)).await?;
    desktop.plan_anew()?;
    desktop.tell(HostEvent::Wallets);
    wallets(desktop, Nothing {}).await
}

pub(super) async fn lock(desktop: &Desktop, named: Named) -> Result<Vec<WalletView>, Fault> {
    desktop.0.purses.lock(&name_of(&named.name)?);
    desktop.0.chat.forget_payer();
    desktop.plan_anew()?;
    desktop.tell(HostEvent::Wallets);
    wallets(desktop, Nothing {}).await
}

pub(super) async fn forget(desktop: &Desktop, named: Named) -> Result<Vec<WalletView>, Fault> {
    let name = name_of(&named.name)?;
    desktop.0.purses.lock(&name);
    desktop.0.purses.with(move |wallets| Ok(wallets.forget(&name, Forget::BackedUp)?)).await?;
    desktop.plan_anew()?;
    desktop.tell(HostEvent::Wallets);
    wallets(desktop, Nothing {}).await
}
