//! Signed transactions that have not landed yet, kept where a crash cannot reach them.
//!
//! A transaction is written down before it is sent. Whoever starts again with the same outbox sends what is in it once
//! more, byte for byte, instead of signing anew: what was meant once happens once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::Intent;
use crate::ChainError;
use crate::gas::Fees;

/// The most transactions an outbox may hold; a sender has far fewer under way.
const MOST: usize = 1_024;

/// An intent under one nonce, in every form in which it was signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What is meant.
    pub intent: Intent,
    /// The nonce: of all the forms, one can land.
    pub nonce: u64,
    /// The forms, the newest last. They differ in fees only.
    pub forms: Vec<Form>,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Its hash.
    pub hash: B256,
    /// It, as a chain takes it (EIP-2718).
    pub raw: Bytes,
    /// What it offers.
    pub fees: Fees,
}

/// Keeps entries by nonce, for one account on one chain.
pub trait Outbox: Send + Sync {
    /// Everything that was put and not removed, by nonce.
    fn load(&mut self) -> Result<Vec<Entry>, ChainError>;
    /// Keeps an entry, in place of one with the same nonce. Returns once it would survive a crash.
    fn put(&mut self, entry: &Entry) -> Result<(), ChainError>;
    /// Forgets the entry with this nonce.
    fn remove(&mut self, nonce: u64) -> Result<(), ChainError>;
}

/// An outbox that forgets: for tests, and for a devnet that is thrown away.
#[derive(Debug, Default)]
pub struct Forgetful(());

impl Outbox for Forgetful {
    fn load(&mut self) -> Result<Vec<Entry>, ChainError> {
        Ok(Vec::new())
    }
    fn put(&mut self, _: &Entry) -> Result<(), ChainError> {
        Ok(())
    }
    fn remove(&mut self, _: u64) -> Result<(), ChainError> {
        Ok(())
    }
}

/// An outbox in a folder: a file for every entry.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The outbox of `account` on chain `chain_id` under `root`, made where it is missing.
    pub fn open(root: &Path, chain_id: u64, account: Address) -> Result<Self, ChainError> {
        let path = root.join(chain_id.to_string()).join(account.to_string());
        fs::create_dir_all(&path).map_err(|error| ChainError::file(&path, error))?;
        Ok(Self { path })
    }

    fn file(&self, nonce: u64) -> PathBuf {
        self.path.join(format!("{nonce}.json"))
    }
}

impl Outbox for Folder {
    fn load(&mut self) -> Result<Vec<Entry>, ChainError> {
        let files = fs::read_dir(&self.path).map_err(|error| ChainError::file(&self.path, error))?;
        let mut entries = Vec::new();
        for file in files.take(MOST) {
            let path = file.map_err(|error| ChainError::file(&self.path, error))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = fs::read(&path).map_err(|error| ChainError::file(&path, error))?;
            let entry: Entry = serde_json::from_slice(&text).map_err(|error| ChainError::file(&path, error))?;
            entries.push(entry);
        }
        entries.sort_by_key(|entry| entry.nonce);
        Ok(entries)
    }

    fn put(&mut self, entry: &Entry) -> Result<(), ChainError> {
        let path = self.file(entry.nonce);
        let text = serde_json::to_vec(entry).map_err(|error| ChainError::file(&path, error))?;
        replace(&path, &text).map_err(|error| ChainError::file(&path, error))
    }

    fn remove(&mut self, nonce: u64) -> Result<(), ChainError> {
        let path = self.file(nonce);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ChainError::file(&path, error)),
            _ => Ok(()),
        }
    }
}

/// Writes a file so that after a crash the old or the new content is there, and nothing in between.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&unfinished, path)?;
    // A rename is only certain once its folder is written; Windows has no such call and needs none.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use computepool_core::ports::Purpose;

    use super::*;

    fn entry(nonce: u64) -> Entry {
        let form =
            Form { hash: B256::repeat_byte(1), raw: Bytes::from_static(b"raw"), fees: Fees::Legacy { price: 7 } };
        Entry { intent: Intent::new("a call", Purpose::Session, Address::ZERO).named("it"), nonce, forms: vec![form] }
    }

    #[test]
    fn what_was_put_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let open = || Folder::open(root.path(), 1, Address::ZERO).unwrap();
        open().put(&entry(11)).unwrap();
        open().put(&entry(9)).unwrap();
        open().put(&Entry { forms: vec![], ..entry(9) }).unwrap();
        open().remove(10).unwrap();
        assert_eq!(open().load().unwrap(), [Entry { forms: vec![], ..entry(9) }, entry(11)]);
        open().remove(9).unwrap();
        assert_eq!(open().load().unwrap(), [entry(11)]);
        assert!(Folder::open(root.path(), 2, Address::ZERO).unwrap().load().unwrap().is_empty(), "another chain");
    }

    #[test]
    fn a_write_that_was_cut_short_is_not_seen() {
        let root = tempfile::tempdir().unwrap();
        let mut outbox = Folder::open(root.path(), 1, Address::ZERO).unwrap();
        outbox.put(&entry(1)).unwrap();
        fs::write(outbox.file(1).with_extension("unfinished"), b"{\"inte").unwrap();
        assert_eq!(outbox.load().unwrap(), [entry(1)]);
    }

    #[test]
    fn garbage_is_an_error_and_not_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let mut outbox = Folder::open(root.path(), 1, Address::ZERO).unwrap();
        fs::write(outbox.file(1), b"{").unwrap();
        assert!(matches!(outbox.load(), Err(ChainError::File { .. })));
    }
}
