//! One secp256k1 key: its address, and signatures over 32 bytes.

use std::fmt;

use alloy_primitives::{Address, B256, Signature, keccak256};
use k256::ecdsa::SigningKey;
use zeroize::Zeroizing;

/// A private key. `k256` wipes it when it is dropped.
pub(crate) struct PrivateKey(SigningKey);

/// The bytes are no key: zero, or not below the order of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not a private key")]
pub(crate) struct NotAKey;

impl PrivateKey {
    /// From its 32 bytes, big endian.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, NotAKey> {
        if bytes.len() != 32 {
            return Err(NotAKey);
        }
        SigningKey::from_slice(bytes).map(Self).map_err(|_| NotAKey)
    }

    /// From 64 hexadecimal digits, `0x` before them or not.
    pub(crate) fn from_hex(text: &str) -> Result<Self, NotAKey> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut bytes = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| NotAKey)?;
        Self::from_bytes(bytes.as_ref())
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The account: the last 20 bytes of Keccak-256 over the public point (Yellow Paper, appendix F).
    pub(crate) fn address(&self) -> Address {
        let point = self.0.verifying_key().to_sec1_point(false);
        Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..])
    }

    /// A recoverable signature with low `s` and a deterministic nonce (RFC 6979): the same digest gives the same bytes.
    pub(crate) fn sign(&self, digest: &B256) -> Signature {
        let (signature, recovery) = self.0.sign_prehash_recoverable(digest.as_slice());
        Signature::from_bytes_and_parity(&signature.to_bytes(), recovery.is_y_odd())
    }
}

impl From<SigningKey> for PrivateKey {
    fn from(key: SigningKey) -> Self {
        Self(key)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, b256, hex};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_have_the_checksummed_text_of_eip_55() {
        // The standard's own list, and a key whose address it names.
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let parsed = Address::parse_checksummed(text, None).unwrap();
            assert_eq!(parsed.to_checksum(None), text);
        }
        // EIP-712's example: the key is Keccak-256 of "cow".
        let cow = PrivateKey::from_bytes(keccak256("cow").as_slice()).unwrap();
        assert_eq!(cow.address(), address!("CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"));
    }

    #[test]
    fn eip_712s_example_is_signed_as_it_says() {
        let cow = PrivateKey::from_bytes(keccak256("cow").as_slice()).unwrap();
        let digest = b256!("be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
        let signature = cow.sign(&digest);
        assert_eq!(
            signature.as_bytes(),
            hex!(
                "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
                "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562"
                "1c"
            )
        );
        assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), cow.address());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let order = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        for bytes in [&[][..], &[0; 32], &order, &[0xff; 32], &[1; 31], &[1; 33]] {
            assert!(PrivateKey::from_bytes(bytes).is_err(), "{bytes:?}");
        }
        for text in ["", "0x", "hello", "0x01", &"zz".repeat(32)] {
            assert!(PrivateKey::from_hex(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_signature_recovers_to_its_account_and_hex_comes_back(bytes: [u8; 32], digest: [u8; 32]) {
            let Ok(key) = PrivateKey::from_bytes(&bytes) else { return Ok(()) };
            let again = PrivateKey::from_hex(&format!("0x{}", hex::encode(*key.to_bytes()))).unwrap();
            prop_assert_eq!(again.address(), key.address());
            let digest = B256::from(digest);
            let signature = key.sign(&digest);
            prop_assert_eq!(signature, again.sign(&digest));
            prop_assert!(signature.normalize_s().is_none(), "s is high");
            prop_assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), key.address());
            let shown = format!("{key:?}");
            prop_assert!(!shown.contains(&hex::encode(bytes)));
        }
    }
}
