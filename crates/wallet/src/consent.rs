//! What the owner agreed to, and when, and what of it they took back. Nothing is ever crossed out.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use computepool_core::ContentHash;
use serde::{Deserialize, Serialize};

use crate::append_log::{AppendLog, LogError};
use crate::private_file::FileError;

const MAX_WORD: usize = 64;

/// One statement of the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// To what: `terms`, `telemetry`, `run-at-login`.
    pub subject: String,
    /// To which version of its text.
    pub version: String,
    /// SHA-256 of the text that was shown.
    pub text: ContentHash,
    /// Yes, or no longer.
    pub agreed: bool,
}

/// Why a consent cannot be recorded or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// A subject or version that is none.
    #[error("a consent's subject and version have 1 to {MAX_WORD} characters")]
    BadWord,
    /// Taken back what was never given.
    #[error("nobody has agreed to `{0}`")]
    NotGiven(String),
    /// The record cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<FileError> for ConsentError {
    fn from(error: FileError) -> Self {
        Self::Log(error.into())
    }
}

/// The record of consents of this machine's owner: a file to which lines are added.
pub struct Consents {
    path: PathBuf,
}

impl Consents {
    /// The record in a file, which is made where there is none.
    pub fn open(path: &Path) -> Result<Self, ConsentError> {
        match AppendLog::<Consent>::create(path) {
            Err(error) if !error.is(ErrorKind::AlreadyExists) => Err(error.into()),
            _ => Ok(Self { path: path.to_owned() }),
        }
    }

    /// The owner agrees to a version of a text, which has this hash.
    pub fn agree(&self, now_ms: u64, subject: &str, version: &str, text: ContentHash) -> Result<Consent, ConsentError> {
        let fits = |word: &str| (1..=MAX_WORD).contains(&word.chars().count());
        if !fits(subject) || !fits(version) {
            return Err(ConsentError::BadWord);
        }
        let (subject, version) = (subject.to_owned(), version.to_owned());
        let consent = Consent { at_ms: now_ms, subject, version, text, agreed: true };
        self.add(|_| Ok(consent))
    }

    /// The owner takes back what they last agreed to under a subject.
    pub fn revoke(&self, now_ms: u64, subject: &str) -> Result<Consent, ConsentError> {
        self.add(|history| {
            let last = standing(history, subject).ok_or_else(|| ConsentError::NotGiven(subject.to_owned()))?;
            Ok(Consent { at_ms: now_ms, agreed: false, ..last.clone() })
        })
    }

    /// What holds for a subject now; none where nobody agreed, or not any more.
    pub fn standing(&self, subject: &str) -> Result<Option<Consent>, ConsentError> {
        Ok(standing(&self.history()?, subject).cloned())
    }

    /// Whether the owner has agreed to just this version of a text.
    pub fn holds(&self, subject: &str, version: &str, text: &ContentHash) -> Result<bool, ConsentError> {
        let standing = self.standing(subject)?;
        Ok(standing.is_some_and(|consent| consent.version == version && consent.text == *text))
    }

    /// Everything, oldest first.
    pub fn history(&self) -> Result<Vec<Consent>, ConsentError> {
        // Read anew each time: it is a handful of lines, and others may have added some.
        Ok(AppendLog::<Consent>::at(&self.path).hold()?.fresh()?.entries)
    }

    fn add(&self, make: impl FnOnce(&[Consent]) -> Result<Consent, ConsentError>) -> Result<Consent, ConsentError> {
        let log = AppendLog::<Consent>::at(&self.path);
        let mut held = log.hold()?;
        let history = held.fresh()?.entries;
        let consent = make(&history)?;
        held.append(&consent)?;
        Ok(consent)
    }
}

fn standing<'a>(history: &'a [Consent], subject: &str) -> Option<&'a Consent> {
    history.iter().rev().find(|consent| consent.subject == subject).filter(|consent| consent.agreed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> ContentHash {
        serde_json::from_value(format!("{byte:02x}").repeat(32).into()).unwrap()
    }

    #[test]
    fn the_last_word_counts_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("consents.jsonl");
        let consents = Consents::open(&path).unwrap();
        assert!(consents.standing("terms").unwrap().is_none());
        assert!(matches!(consents.revoke(1, "terms"), Err(ConsentError::NotGiven(_))));

        consents.agree(10, "terms", "1", hash(1)).unwrap();
        consents.agree(20, "telemetry", "1", hash(7)).unwrap();
        consents.agree(30, "terms", "2", hash(2)).unwrap();
        assert!(consents.holds("terms", "2", &hash(2)).unwrap());
        assert!(!consents.holds("terms", "1", &hash(1)).unwrap());
        assert!(!consents.holds("terms", "2", &hash(3)).unwrap(), "another text under the same version");

        let again = Consents::open(&path).unwrap();
        let taken_back = again.revoke(40, "terms").unwrap();
        assert_eq!((taken_back.version.as_str(), taken_back.agreed), ("2", false));
        assert!(consents.standing("terms").unwrap().is_none());
        assert!(matches!(again.revoke(50, "terms"), Err(ConsentError::NotGiven(_))));
        assert!(consents.standing("telemetry").unwrap().is_some());
        assert_eq!(consents.history().unwrap().len(), 4);
        for bad in ["", &"x".repeat(65)] {
            assert!(matches!(consents.agree(60, bad, "1", hash(1)), Err(ConsentError::BadWord)));
        }
    }
}
