//! A key in a file that opens with a passphrase: Web3 Secret Storage, version 3.
//!
//! The document is what geth, MetaMask and ethers read and write: a key derived from the passphrase (scrypt; PBKDF2 is
//! read as well) encrypts the private key with AES-128-CTR, and Keccak-256 over the derived key's second half and the
//! ciphertext tells a wrong passphrase. Recovery words lie beside it as ethers puts them, under `x-ethers`: their
//! entropy, encrypted with AES-256-CTR under the next 32 derived bytes. No code there guards them against change, so
//! they only count when the key in the document is the one that follows from them.
//!
//! Source: <https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/>.
//!
//! A document may come from a stranger. It is refused by its size before it is read, and by its parameters before they
//! cost time or memory.

use aes::cipher::{InvalidLength, KeyIvInit as _, StreamCipher as _};
use alloy_primitives::keccak256;
use rand::CryptoRng;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::key::PrivateKey;
use crate::phrase::{PATH, Phrase, PhraseError};
use crate::root::Root;
use crate::secret::Passphrase;

mod document;
mod stretch;

pub use stretch::Effort;

use document::{CIPHER, CipherParameters, Crypto, Document, Hexadecimal, VERSION, Words};
use stretch::{Derived, Stretch};

/// Keystores have half a kilobyte; anything much longer is something else.
pub const MAX_KEYSTORE: usize = 16 * 1024;

type KeyCipher = ctr::Ctr128BE<aes::Aes128>;
type WordsCipher = ctr::Ctr128BE<aes::Aes256>;

/// Why a keystore cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// More bytes than any keystore has.
    #[error("a keystore has at most {MAX_KEYSTORE} bytes, and this one {0}")]
    TooLong(usize),
    /// Not JSON, or not the fields of a keystore.
    #[error("this is not a keystore: {0}")]
    Malformed(String),
    /// Another version, cipher or function than those known.
    #[error("a keystore with {what} `{found}` cannot be read; {known} can")]
    Unsupported {
        /// Which field.
        what: &'static str,
        /// What stands there, cut short.
        found: String,
        /// What may stand there.
        known: &'static str,
    },
    /// Parameters that no honest keystore has: opening it would take too much time or memory, or protects nothing.
    #[error("the keystore asks for {what} {found}, and at most {limit} is done")]
    Absurd {
        /// Which parameter, or what follows from them.
        what: &'static str,
        /// What the document asks for.
        found: u64,
        /// The most that is done.
        limit: u64,
    },
    /// The passphrase does not open it.
    #[error("the passphrase is wrong, or the keystore is damaged")]
    WrongPassphrase,
    /// It opens, and contradicts itself.
    #[error("the keystore is damaged: {0}")]
    Damaged(&'static str),
}

/// A keystore's text for a root. Recovery words go with the key of their first account.
pub(crate) fn seal(
    root: &Root,
    passphrase: &Passphrase,
    effort: Effort,
    random: &mut dyn CryptoRng,
) -> Result<String, KeystoreError> {
    let mut fresh = [0; 32 + 16 + 16 + 16];
    random.fill_bytes(&mut fresh);
    let (salt, rest) = fresh.split_at(32);
    let (iv, rest) = rest.split_at(16);
    let (counter, id) = rest.split_at(16);

    let stretch = Stretch::fresh(effort, salt.to_vec());
    let derived = stretch.derive(passphrase)?;
    let key = root.key(0).map_err(|_| KeystoreError::Damaged("there is no first account"))?;
    let ciphertext = encrypted_key(&derived, iv, key.to_bytes().as_ref())?;
    let words = match root {
        Root::Phrase(phrase) => Some(Words {
            version: Words::VERSION.to_owned(),
            path: format!("{PATH}0"),
            locale: "en".to_owned(),
            counter: Hexadecimal(counter.to_vec()),
            ciphertext: Hexadecimal(encrypted_words(&derived, counter, &phrase.entropy())?),
        }),
        Root::Key(_) => None,
    };
    let document = Document {
        address: Some(hex::encode(key.address())),
        crypto: Crypto {
            cipher: CIPHER.to_owned(),
            cipherparams: CipherParameters { iv: Hexadecimal(iv.to_vec()) },
            mac: Hexadecimal(mac(&derived, &ciphertext).to_vec()),
            ciphertext: Hexadecimal(ciphertext),
            stretch,
        },
        id: uuid(id),
        version: VERSION,
        words,
    };
    serde_json::to_string_pretty(&document).map_err(|error| KeystoreError::Malformed(error.to_string()))
}

/// What a keystore holds. Takes as long as its parameters ask for, within [the bounds](KeystoreError::Absurd).
pub(crate) fn open(text: &str, passphrase: &Passphrase) -> Result<Root, KeystoreError> {
    let document = Document::read(text)?;
    let crypto = &document.crypto;
    let derived = crypto.stretch.derive(passphrase)?;
    if !bool::from(mac(&derived, &crypto.ciphertext.0).ct_eq(&crypto.mac.0)) {
        return Err(KeystoreError::WrongPassphrase);
    }
    let bytes = Zeroizing::new(encrypted_key(&derived, &crypto.cipherparams.iv.0, &crypto.ciphertext.0)?);
    let key = PrivateKey::from_bytes(&bytes).map_err(|_| KeystoreError::Damaged("it holds no private key"))?;
    if document.account()?.is_some_and(|account| account != key.address()) {
        return Err(KeystoreError::Damaged("its key belongs to another address than the one it names"));
    }
    match &document.words {
        // Words that lead elsewhere than to the first account are another program's business: the key is what counts.
        Some(words) if words.version == Words::VERSION && words.path == format!("{PATH}0") => {
            let entropy = Zeroizing::new(encrypted_words(&derived, &words.counter.0, &words.ciphertext.0)?);
            let phrase = Phrase::from_entropy(&entropy).map_err(|_: PhraseError| FOREIGN_WORDS)?;
            let first = phrase.key(0).map_err(|_| FOREIGN_WORDS)?;
            if first.address() == key.address() { Ok(Root::Phrase(phrase)) } else { Err(FOREIGN_WORDS) }
        }
        _ => Ok(Root::Key(key)),
    }
}

const FOREIGN_WORDS: KeystoreError = KeystoreError::Damaged("its recovery words do not belong to its key");

/// Encrypts, and decrypts: the cipher is its own inverse.
fn encrypted_key(derived: &Derived, iv: &[u8], bytes: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let mut cipher = KeyCipher::new_from_slices(&derived.bytes()[..16], iv).map_err(bad_length)?;
    let mut bytes = bytes.to_vec();
    cipher.apply_keystream(&mut bytes);
    Ok(bytes)
}

fn encrypted_words(derived: &Derived, counter: &[u8], bytes: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let mut cipher = WordsCipher::new_from_slices(&derived.bytes()[32..], counter).map_err(bad_length)?;
    let mut bytes = bytes.to_vec();
    cipher.apply_keystream(&mut bytes);
    Ok(bytes)
}

fn bad_length(_: InvalidLength) -> KeystoreError {
    KeystoreError::Malformed("an initialisation vector has 16 bytes".to_owned())
}

fn mac(derived: &Derived, ciphertext: &[u8]) -> [u8; 32] {
    let mut covered = Zeroizing::new(derived.bytes()[16..32].to_vec());
    covered.extend_from_slice(ciphertext);
    keccak256(&*covered).0
}

/// A random id as RFC 9562 (version 4) writes it.
fn uuid(random: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(random);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

#[cfg(test)]
mod tests;
