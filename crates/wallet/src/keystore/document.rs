//! The JSON of a keystore, and what is refused before anything is derived.

use alloy_primitives::Address;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stretch::Stretch;
use super::{KeystoreError, MAX_KEYSTORE};

pub(super) const VERSION: u64 = 3;
pub(super) const CIPHER: &str = "aes-128-ctr";
const KEY_BYTES: usize = 32;
const IV_BYTES: usize = 16;

#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(alias = "Crypto")]
    pub(super) crypto: Crypto,
    #[serde(default)]
    pub(super) id: String,
    pub(super) version: u64,
    #[serde(rename = "x-ethers", default, skip_serializing_if = "Option::is_none")]
    pub(super) words: Option<Words>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Crypto {
    pub(super) cipher: String,
    pub(super) cipherparams: CipherParameters,
    pub(super) ciphertext: Hexadecimal,
    #[serde(flatten)]
    pub(super) stretch: Stretch,
    pub(super) mac: Hexadecimal,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CipherParameters {
    pub(super) iv: Hexadecimal,
}

/// Recovery words as ethers keeps them.
#[derive(Serialize, Deserialize)]
pub(super) struct Words {
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default)]
    pub(super) locale: String,
    #[serde(rename = "mnemonicCounter", default)]
    pub(super) counter: Hexadecimal,
    #[serde(rename = "mnemonicCiphertext", default)]
    pub(super) ciphertext: Hexadecimal,
}

impl Words {
    pub(super) const VERSION: &str = "0.1";
}

/// Bytes as hexadecimal digits, with or without `0x`.
#[derive(Default)]
pub(super) struct Hexadecimal(pub(super) Vec<u8>);

impl Serialize for Hexadecimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hexadecimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Document {
    pub(super) fn read(text: &str) -> Result<Self, KeystoreError> {
        if text.len() > MAX_KEYSTORE {
            return Err(KeystoreError::TooLong(text.len()));
        }
        let document: Self =
            serde_json::from_str(text).map_err(|error| KeystoreError::Malformed(cut(&error.to_string())))?;
        document.check()?;
        Ok(document)
    }

    fn check(&self) -> Result<(), KeystoreError> {
        if self.version != VERSION {
            let found = self.version.to_string();
            return Err(KeystoreError::Unsupported { what: "version", found, known: "version 3" });
        }
        if !self.crypto.cipher.eq_ignore_ascii_case(CIPHER) {
            let found = cut(&self.crypto.cipher);
            return Err(KeystoreError::Unsupported { what: "cipher", found, known: CIPHER });
        }
        let has = |what: &str, bytes: &Hexadecimal, expected: usize| {
            let found = bytes.0.len();
            let wrong =
                || KeystoreError::Malformed(format!("its {what} has {found} bytes, and should have {expected}"));
            if found == expected { Ok(()) } else { Err(wrong()) }
        };
        has("ciphertext", &self.crypto.ciphertext, KEY_BYTES)?;
        has("mac", &self.crypto.mac, KEY_BYTES)?;
        has("initialisation vector", &self.crypto.cipherparams.iv, IV_BYTES)?;
        if let Some(words) = self.words.as_ref().filter(|words| words.version == Words::VERSION) {
            has("words' counter", &words.counter, IV_BYTES)?;
        }
        self.crypto.stretch.check()
    }

    pub(super) fn account(&self) -> Result<Option<Address>, KeystoreError> {
        let Some(text) = &self.address else { return Ok(None) };
        text.parse().map(Some).map_err(|_| KeystoreError::Malformed("the address in it is none".to_owned()))
    }
}

/// As much of a stranger's text as belongs in a message.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
