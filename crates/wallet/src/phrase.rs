//! Words that a person can write down (BIP-39), and the keys that come from them (BIP-32, BIP-44).

use std::fmt;

use bip32::{DerivationPath, XPrv};
use bip39::{Language, Mnemonic};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::key::PrivateKey;
use crate::secret::Secret;

/// BIP-44: purpose 44, coin 60 (Ether, SLIP-44), account 0, outer chain. The account's number follows.
pub(crate) const PATH: &str = "m/44'/60'/0'/0/";

/// How many words a new phrase has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhraseLength {
    /// 128 bits.
    #[default]
    Twelve,
    /// 256 bits.
    TwentyFour,
}

impl PhraseLength {
    fn entropy(self) -> usize {
        match self {
            PhraseLength::Twelve => 16,
            PhraseLength::TwentyFour => 32,
        }
    }
}

/// Why words are not a phrase. Says where, never which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// Phrases have 12, 15, 18, 21 or 24 words.
    #[error("a recovery phrase has 12, 15, 18, 21 or 24 words, and this one {0}")]
    Length(usize),
    /// Not in BIP-39's English list.
    #[error("word {0} is not in the list of words")]
    UnknownWord(usize),
    /// The last word carries a checksum of all others.
    #[error("the words do not belong together: one of them is wrong, or their order is")]
    Checksum,
    /// No key can be derived at this place.
    #[error("there is no account {0}")]
    Account(u32),
}

/// A BIP-39 phrase in English, without the optional extra password. Wiped when it is dropped.
pub(crate) struct Phrase(Mnemonic);

impl Phrase {
    pub(crate) fn generate(length: PhraseLength, random: &mut dyn CryptoRng) -> Result<Self, PhraseError> {
        let mut entropy = Zeroizing::new(vec![0; length.entropy()]);
        random.fill_bytes(&mut entropy);
        Self::from_entropy(&entropy)
    }

    /// From the bits that the words stand for: 16 to 32 bytes, a multiple of 4.
    pub(crate) fn from_entropy(entropy: &[u8]) -> Result<Self, PhraseError> {
        Mnemonic::from_entropy_in(Language::English, entropy)
            .map(Self)
            .map_err(|_| PhraseError::Length(entropy.len() * 3 / 4))
    }

    /// From words as a person types them: any spaces between them, in any case.
    pub(crate) fn parse(words: &str) -> Result<Self, PhraseError> {
        let plain = Zeroizing::new(words.to_lowercase());
        Mnemonic::parse_in_normalized(Language::English, &plain).map(Self).map_err(|error| match error {
            bip39::Error::BadWordCount(count) => PhraseError::Length(count),
            bip39::Error::UnknownWord(index) => PhraseError::UnknownWord(index + 1),
            _ => PhraseError::Checksum,
        })
    }

    pub(crate) fn entropy(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_entropy())
    }

    /// The words, one space between two.
    pub(crate) fn words(&self) -> Secret<String> {
        // With room enough from the start: a string that grows leaves copies of itself behind.
        let mut text = String::with_capacity(self.0.word_count() * 9);
        for word in self.0.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        Secret::new(text)
    }

    pub(crate) fn length(&self) -> usize {
        self.0.word_count()
    }

    /// The word at a place, counted from 0.
    pub(crate) fn word(&self, place: usize) -> Option<&'static str> {
        self.0.words().nth(place)
    }

    /// The key of an account, counted from 0.
    pub(crate) fn key(&self, account: u32) -> Result<PrivateKey, PhraseError> {
        let none = |_| PhraseError::Account(account);
        let path: DerivationPath = format!("{PATH}{account}").parse().map_err(none)?;
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        let key = XPrv::derive_from_path(seed.as_slice(), &path).map_err(none)?;
        Ok(PrivateKey::from(key.private_key().clone()))
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phrase({} words)", self.length())
    }
}

#[cfg(test)]
mod tests;
