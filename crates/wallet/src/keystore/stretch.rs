//! From a passphrase to keys, slowly: scrypt (RFC 7914) and PBKDF2 (RFC 8018).

use pbkdf2::pbkdf2_hmac;
use pbkdf2::sha2::Sha256;
use scrypt::{Params, scrypt};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::KeystoreError;
use super::document::Hexadecimal;
use crate::secret::Passphrase;

/// Bytes that a document says it derives. Both functions give the same first 32 when asked for more.
const DERIVED: u64 = 32;
/// scrypt takes `128 x n x r` bytes. geth's strongest setting takes 256 MiB.
const MAX_MEMORY: u64 = 512 << 20;
/// scrypt does `n x r x p` steps of 128 bytes. geth's strongest setting does 2²¹.
const MAX_STEPS: u64 = 1 << 23;
const MAX_ROUNDS: u64 = 10_000_000;
const MAX_SALT: u64 = 256;

/// How long a new keystore resists somebody who tries passphrases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// n = 2¹⁷, r = 8, p = 1: 128 MiB and some tenths of a second for each try (OWASP's figure for scrypt).
    #[default]
    Standard,
    /// n = 2¹², r = 8, p = 6, geth's "light": for tests, and for machines with very little memory.
    Light,
}

/// The function and its parameters, as a document writes them.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
pub(super) enum Stretch {
    Scrypt { dklen: u64, n: u64, p: u64, r: u64, salt: Hexadecimal },
    Pbkdf2 { c: u64, dklen: u64, prf: String, salt: Hexadecimal },
}

/// 64 bytes: the key's cipher, the check, and the cipher of the words.
pub(super) struct Derived(Zeroizing<[u8; 64]>);

impl Derived {
    pub(super) fn bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl Stretch {
    pub(super) fn fresh(effort: Effort, salt: Vec<u8>) -> Self {
        let (n, p) = match effort {
            Effort::Standard => (1 << 17, 1),
            Effort::Light => (1 << 12, 6),
        };
        Stretch::Scrypt { dklen: DERIVED, n, p, r: 8, salt: Hexadecimal(salt) }
    }

    /// Whether this may be computed at all.
    pub(super) fn check(&self) -> Result<(), KeystoreError> {
        match self {
            Stretch::Scrypt { dklen, n, p, r, salt } => {
                output(*dklen, salt)?;
                scrypt_parameters(*n, *r, *p).map(|_| ())
            }
            Stretch::Pbkdf2 { c, dklen, prf, salt } => {
                output(*dklen, salt)?;
                if prf != "hmac-sha256" {
                    let found = prf.chars().take(40).collect();
                    return Err(KeystoreError::Unsupported { what: "prf", found, known: "hmac-sha256" });
                }
                positive("rounds", *c)?;
                at_most("rounds", *c, MAX_ROUNDS)
            }
        }
    }

    pub(super) fn derive(&self, passphrase: &Passphrase) -> Result<Derived, KeystoreError> {
        self.check()?;
        let password = passphrase.expose().as_bytes();
        let mut derived = Zeroizing::new([0; 64]);
        match self {
            Stretch::Scrypt { n, p, r, salt, .. } => {
                let parameters = scrypt_parameters(*n, *r, *p)?;
                scrypt(password, &salt.0, &parameters, derived.as_mut_slice())
                    .map_err(|error| KeystoreError::Malformed(error.to_string()))?;
            }
            Stretch::Pbkdf2 { c, salt, .. } => {
                let rounds = u32::try_from(*c).map_err(|_| absurd("rounds", *c, MAX_ROUNDS))?;
                pbkdf2_hmac::<Sha256>(password, &salt.0, rounds, derived.as_mut_slice());
            }
        }
        Ok(Derived(derived))
    }
}

fn scrypt_parameters(n: u64, r: u64, p: u64) -> Result<Params, KeystoreError> {
    positive("r", r)?;
    positive("p", p)?;
    if n < 2 || !n.is_power_of_two() {
        return Err(KeystoreError::Malformed(format!("scrypt's n is a power of two, and not {n}")));
    }
    at_most("bytes of memory", n.saturating_mul(r).saturating_mul(128), MAX_MEMORY)?;
    at_most("steps", n.saturating_mul(r).saturating_mul(p), MAX_STEPS)?;
    let (r, p) = (small(r)?, small(p)?);
    // A power of two within the bounds: its logarithm is small.
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| absurd("n", n, MAX_STEPS))?;
    Params::new(log_n, r, p).map_err(|_| KeystoreError::Malformed("scrypt does not take these parameters".to_owned()))
}

fn small(value: u64) -> Result<u32, KeystoreError> {
    u32::try_from(value).map_err(|_| absurd("steps", value, MAX_STEPS))
}

fn output(dklen: u64, salt: &Hexadecimal) -> Result<(), KeystoreError> {
    if dklen != DERIVED {
        return Err(KeystoreError::Unsupported { what: "dklen", found: dklen.to_string(), known: "32" });
    }
    at_most("bytes of salt", salt.0.len() as u64, MAX_SALT)
}

fn positive(what: &str, value: u64) -> Result<(), KeystoreError> {
    if value == 0 { Err(KeystoreError::Malformed(format!("{what} is 0"))) } else { Ok(()) }
}

fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), KeystoreError> {
    if found > limit { Err(absurd(what, found, limit)) } else { Ok(()) }
}

fn absurd(what: &'static str, found: u64, limit: u64) -> KeystoreError {
    KeystoreError::Absurd { what, found, limit }
}
