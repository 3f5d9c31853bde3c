//! What the accounts of a wallet come from.

use std::fmt;

use zeroize::Zeroizing;

use crate::key::{NotAKey, PrivateKey};
use crate::phrase::{Phrase, PhraseError};

/// The one secret of a wallet.
pub(crate) enum Root {
    /// Any number of accounts.
    Phrase(Phrase),
    /// One account.
    Key(PrivateKey),
}

/// The kinds in the packed form.
const PHRASE: u8 = 0;
const KEY: u8 = 1;
/// The layout of the packed form, its first byte.
const PACKED: u8 = 1;

/// The bytes are not a packed root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was kept is not a wallet")]
pub(crate) struct NotARoot;

impl Root {
    /// The key of an account, counted from 0.
    pub(crate) fn key(&self, account: u32) -> Result<PrivateKey, PhraseError> {
        match self {
            Root::Phrase(phrase) => phrase.key(account),
            Root::Key(key) if account == 0 => {
                PrivateKey::from_bytes(key.to_bytes().as_ref()).map_err(|NotAKey| PhraseError::Account(account))
            }
            Root::Key(_) => Err(PhraseError::Account(account)),
        }
    }

    /// For a place that keeps bytes: layout, kind, then the phrase's entropy or the key's 32 bytes.
    pub(crate) fn pack(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(34));
        bytes.push(PACKED);
        match self {
            Root::Phrase(phrase) => {
                bytes.push(PHRASE);
                bytes.extend_from_slice(&phrase.entropy());
            }
            Root::Key(key) => {
                bytes.push(KEY);
                bytes.extend_from_slice(key.to_bytes().as_ref());
            }
        }
        bytes
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Result<Self, NotARoot> {
        match bytes {
            [PACKED, PHRASE, entropy @ ..] => {
                Phrase::from_entropy(entropy).map(Root::Phrase).map_err(|_: PhraseError| NotARoot)
            }
            [PACKED, KEY, key @ ..] => PrivateKey::from_bytes(key).map(Root::Key).map_err(|NotAKey| NotARoot),
            _ => Err(NotARoot),
        }
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Phrase(phrase) => phrase.fmt(f),
            Root::Key(key) => key.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lone_key_has_one_account() {
        let root = Root::Key(PrivateKey::from_bytes(&[7; 32]).unwrap());
        assert!(root.key(0).is_ok());
        assert_eq!(root.key(1).unwrap_err(), PhraseError::Account(1));
    }

    proptest! {
        // Each derives from a phrase, which is slow on purpose.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_is_packed_comes_back(bytes in prop::collection::vec(1u8..=254, 32), words in 4usize..=8) {
            let key = Root::Key(PrivateKey::from_bytes(&bytes).unwrap());
            let phrase = Root::Phrase(Phrase::from_entropy(&bytes[..words * 4]).unwrap());
            for root in [key, phrase] {
                let again = Root::unpack(&root.pack()).unwrap();
                prop_assert_eq!(again.pack(), root.pack());
                prop_assert_eq!(again.key(0).unwrap().address(), root.key(0).unwrap().address());
            }
        }
    }

    proptest! {
        #![proptest_config(crate::fuzz_cases::fuzz_cases())]

        #[test]
        fn garbage_is_no_root_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(root) = Root::unpack(&bytes) {
                let packed = root.pack();
                prop_assert_eq!(packed.as_slice(), bytes.as_slice());
            }
        }
    }
}
