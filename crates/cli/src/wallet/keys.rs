//! Making wallets, taking them in, backing them up.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use computepool_app::accounts::{
    Backup, BackupQuestion, Card, Forget, Keeping, Origin, Passphrase, PhraseLength, Secret, WalletError, WalletName,
    Wallets,
};
use computepool_app::purse;
use computepool_core::{Fault, FaultCode};

use super::{Place, ask, first};
use crate::show::table;

/// How often a person may try to give the words back.
const TRIES: usize = 3;

pub(super) fn create(place: &Place, name: &WalletName, keeping: Keeping, long: bool) -> Result<bool, Fault> {
    let wallets = place.open()?;
    let passphrase = place.new_passphrase(keeping)?;
    let length = if long { PhraseLength::TwentyFour } else { PhraseLength::Twelve };
    let card = wallets.create(name, keeping, Origin::New(length), passphrase.as_ref())?;
    println!("The wallet {name} is made. Its account is {}.\n", first(card.accounts.first(), name)?);
    written_down(place, &wallets, name, passphrase.as_ref())?;
    hint_limits(name);
    Ok(true)
}

pub(super) fn import(
    place: &Place,
    name: &WalletName,
    keeping: Keeping,
    source: Option<(PathBuf, Option<PathBuf>)>,
) -> Result<bool, Fault> {
    let wallets = place.open()?;
    let origin = match source {
        Some((path, opens)) => keystore(place, &path, opens.as_deref())?,
        None => {
            let secret = ask::piped_or_hidden("Recovery words, or a private key: ")?;
            if secret.expose().trim_start().starts_with('{') {
                return Err(
                    Fault::new(FaultCode::InvalidRequest, "this is a keystore").hint("name its file with --keystore")
                );
            }
            read(secret)
        }
    };
    let passphrase = place.new_passphrase(keeping)?;
    let card = wallets.create(name, keeping, origin, passphrase.as_ref())?;
    println!("The wallet {name} is taken in. Its account is {}.", first(card.accounts.first(), name)?);
    hint_limits(name);
    Ok(true)
}

/// Words have spaces between them; a key has none.
fn read(secret: Secret<String>) -> Origin {
    if secret.expose().split_whitespace().nth(1).is_some() { Origin::Words(secret) } else { Origin::Key(secret) }
}

fn keystore(place: &Place, path: &Path, opens: Option<&Path>) -> Result<Origin, Fault> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::new(FaultCode::Io, format!("{} cannot be read: {error}", path.display())))?;
    let passphrase = match purse::given_passphrase(opens.or(place.passphrase_file.as_deref()))? {
        Some(given) => given,
        None => ask::hidden("Passphrase of the keystore: ")?,
    };
    Ok(Origin::Keystore { text, passphrase })
}

pub(super) fn adopt(place: &Place, name: &WalletName, keeping: Keeping) -> Result<bool, Fault> {
    let passphrase = place.passphrase(name, keeping)?;
    let card = place.open()?.adopt(name, keeping, passphrase.as_ref())?;
    println!("The wallet {name} is taken in. Its account is {}.", first(card.accounts.first(), name)?);
    hint_limits(name);
    Ok(true)
}

pub(super) fn account(place: &Place, name: &WalletName) -> Result<bool, Fault> {
    let wallets = place.open()?;
    let passphrase = place.passphrase(name, wallets.show(name)?.keeping)?;
    let account = wallets.add_account(name, passphrase.as_ref())?;
    println!("The wallet {name} has one more account: {account}.");
    Ok(true)
}

pub(super) fn list(place: &Place) -> Result<bool, Fault> {
    let cards = place.open()?.list()?;
    if cards.is_empty() {
        println!("There is no wallet here. `computepool wallet create` makes one.");
        return Ok(true);
    }
    let mut rows = vec![["wallet", "account", "kept in", "backed up"].map(str::to_owned).to_vec()];
    for card in cards {
        let account = first(card.accounts.first(), &card.name)?;
        rows.push(vec![card.name.to_string(), account.to_string(), card.keeping.to_string(), backed_up(&card).into()]);
    }
    print!("{}", table(&rows));
    Ok(true)
}

pub(super) fn backed_up(card: &Card) -> &'static str {
    if card.backed_up_ms.is_some() { "yes" } else { "no" }
}

pub(super) fn backup(place: &Place, name: &WalletName) -> Result<bool, Fault> {
    let wallets = place.open()?;
    let passphrase = place.passphrase(name, wallets.show(name)?.keeping)?;
    written_down(place, &wallets, name, passphrase.as_ref())
}

/// Shows what brings the wallet back, and asks for some of it. False where it was not given back.
fn written_down(
    place: &Place,
    wallets: &Wallets,
    name: &WalletName,
    passphrase: Option<&Passphrase>,
) -> Result<bool, Fault> {
    let (what, secret) = match wallets.backup(name, passphrase)? {
        Backup::Words(words) => ("words, in this order,", words),
        Backup::Key(key) => ("digits", key),
        _ => return Err(Fault::new(FaultCode::Internal, "this wallet has a backup that cannot be shown")),
    };
    println!("Write these {what} on paper. Whoever has them has the money; without them it can be lost.\n");
    show(&secret);
    if !place.asker().attended() {
        println!("\nNobody was asked for them: `computepool wallet backup {name}` does that.");
        return Ok(true);
    }
    ask::line("\nPress Enter when they are written down. ")?;
    if std::io::stdout().is_terminal() {
        // The screen, and what was scrolled out of it.
        print!("\x1b[2J\x1b[3J\x1b[H");
        std::io::stdout().flush().ok();
    }
    let question = wallets.backup_question(name, passphrase)?;
    for _ in 0..TRIES {
        match wallets.answer_backup(name, passphrase, &question, &answers(&question)?) {
            Ok(_) => {
                println!("That is right.");
                return Ok(true);
            }
            Err(WalletError::WrongAnswer(wrong)) => println!("No: {wrong}."),
            Err(error) => return Err(error.into()),
        }
    }
    println!("The wallet is there all the same. `computepool wallet backup {name}` shows it again.");
    Ok(false)
}

fn show(secret: &Secret<String>) {
    let words: Vec<&str> = secret.expose().split(' ').collect();
    if let [key] = words.as_slice() {
        println!("  {key}");
        return;
    }
    for (row, some) in words.chunks(4).enumerate() {
        let mut line = String::new();
        for (column, word) in some.iter().enumerate() {
            line += &format!("  {:>2} {word:<10}", row * 4 + column + 1);
        }
        println!("{}", line.trim_end());
    }
}

fn answers(question: &BackupQuestion) -> Result<Vec<Secret<String>>, Fault> {
    match question {
        BackupQuestion::Words(places) => places.iter().map(|number| ask::hidden(&format!("Word {number}: "))).collect(),
        BackupQuestion::KeyEnd => ask::hidden("The last eight digits: ").map(|answer| vec![answer]),
        _ => Ok(Vec::new()),
    }
}

pub(super) fn export(place: &Place, name: &WalletName, out: &Path, new: Option<&Path>) -> Result<bool, Fault> {
    let wallets = place.open()?;
    let passphrase = place.passphrase(name, wallets.show(name)?.keeping)?;
    let new = match new {
        Some(path) => purse::given_passphrase(Some(path))?,
        None => None,
    };
    let new = match new {
        Some(new) => new,
        None => ask::twice("Passphrase for the keystore")?,
    };
    let text = wallets.export_keystore(name, passphrase.as_ref(), &new)?;
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(out);
    let failed = |error| Fault::new(FaultCode::Io, format!("{} was not written: {error}", out.display()));
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    println!("{} holds the key, and opens with the new passphrase.", out.display());
    Ok(true)
}

pub(super) fn forget(place: &Place, name: &WalletName) -> Result<bool, Fault> {
    let wallets = place.open()?;
    let card = wallets.show(name)?;
    let account = first(card.accounts.first(), name)?;
    if !place.asker().agreed(&format!("Throw the key of {account} away?"))? {
        println!("Nothing was done.");
        return Ok(false);
    }
    wallets.forget(name, Forget::BackedUp)?;
    println!("The key is gone. What was written down brings it back: `computepool wallet import`.");
    Ok(true)
}

fn hint_limits(name: &WalletName) {
    println!("It may spend nothing yet. `computepool wallet limits {name} --preset payer` lets it.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_keys() {
        let origin = |text: &str| read(Secret::new(text.to_owned()));
        assert!(matches!(origin(" legal winner\nthank "), Origin::Words(_)));
        assert!(matches!(origin(&format!(" 0x{}\n", "ab".repeat(32))), Origin::Key(_)));
    }
}
