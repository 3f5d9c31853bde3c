//! Vouchers: read, hashed, and their signers found.

use alloy_primitives::{B256, Bytes, Signature, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};
use computepool_core::ports::{Authorization, TokenDomain, Voucher, VoucherState};
use computepool_core::{Account, Amount, Asset};

use crate::x402::{AuthorizationText, ExactPayload, Reason};

/// A voucher must hold for this long yet, in seconds, as x402's facilitators have it: it has to reach a block.
pub const LEAST_VALIDITY_S: u64 = 6;

/// The longest signature that is looked at, in bytes: those of contract wallets are longer than a key's 65.
const MAX_SIGNATURE_BYTES: usize = 4096;

sol! {
    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }
}

/// Reads a voucher off the wire.
pub fn read(payload: &ExactPayload) -> Result<Voucher, Reason> {
    let AuthorizationText { from, to, value, valid_after, valid_before, nonce } = &payload.authorization;
    let account = |text: &str| text.parse::<Account>().map_err(|_| Reason::Payload);
    let authorization = Authorization {
        from: account(from)?,
        to: account(to)?,
        value: units(value)?,
        valid_after: seconds(valid_after)?,
        valid_before: seconds(valid_before)?,
        nonce: word(nonce)?,
    };
    let digits = payload.signature.strip_prefix("0x").ok_or(Reason::Payload)?;
    if digits.is_empty() || digits.len() > 2 * MAX_SIGNATURE_BYTES {
        return Err(Reason::Payload);
    }
    let signature = Bytes::from(hex::decode(digits).map_err(|_| Reason::Payload)?);
    Ok(Voucher { authorization, signature })
}

/// USDC units from their digits.
pub(crate) fn units(text: &str) -> Result<Amount, Reason> {
    let json = serde_json::json!({ "units": text, "asset": Asset::Usdc });
    serde_json::from_value(json).map_err(|_| Reason::Payload)
}

/// 32 bytes from `0x` and their digits.
pub(crate) fn word(text: &str) -> Result<B256, Reason> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").ok_or(Reason::Payload)?;
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| Reason::Payload)?;
    Ok(B256::from(bytes))
}

fn seconds(text: &str) -> Result<u64, Reason> {
    let value: u64 = text.parse().map_err(|_| Reason::Payload)?;
    // One number, one text.
    if value.to_string() == text { Ok(value) } else { Err(Reason::Payload) }
}

/// The hash that is signed: EIP-712, `TransferWithAuthorization` of EIP-3009.
pub fn signing_hash(token: &TokenDomain, authorization: &Authorization) -> B256 {
    let domain = Eip712Domain::new(
        Some(token.name.clone().into()),
        Some(token.version.clone().into()),
        Some(U256::from(token.chain.0)),
        Some(token.contract.0),
        None,
    );
    TransferWithAuthorization {
        from: authorization.from.0,
        to: authorization.to.0,
        value: authorization.value.units,
        validAfter: U256::from(authorization.valid_after),
        validBefore: U256::from(authorization.valid_before),
        nonce: authorization.nonce,
    }
    .eip712_signing_hash(&domain)
}

/// Whose key signed the voucher. `None` where the signature is no key's, or one that the token would not take: `s` in
/// the upper half, or a last byte other than 27 or 28.
pub fn signer(token: &TokenDomain, voucher: &Voucher) -> Option<Account> {
    let bytes: &[u8; 65] = voucher.signature.as_ref().try_into().ok()?;
    if !matches!(bytes[64], 27 | 28) {
        return None;
    }
    let signature = Signature::from_raw_array(bytes).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    signature.recover_address_from_prehash(&signing_hash(token, &voucher.authorization)).ok().map(Account)
}

/// Whether the voucher's window holds at `now_s`, and ends by `latest_s`.
pub fn check_window(authorization: &Authorization, now_s: u64, latest_s: u64) -> Result<(), Reason> {
    if authorization.valid_after >= now_s {
        return Err(Reason::ValidAfter);
    }
    if authorization.valid_before < now_s.saturating_add(LEAST_VALIDITY_S) || authorization.valid_before > latest_s {
        return Err(Reason::ValidBefore);
    }
    Ok(())
}

/// Whether the chain would execute the voucher.
pub fn check_state(voucher: &Voucher, state: &VoucherState) -> Result<(), (Reason, String)> {
    let authorization = &voucher.authorization;
    if state.used {
        return Err((Reason::Used, String::new()));
    }
    check_window(authorization, state.at.time_s, u64::MAX).map_err(|reason| (reason, "by the chain's clock".into()))?;
    if state.balance.units < authorization.value.units {
        return Err((Reason::Funds, format!("{} of {}", state.balance, authorization.value)));
    }
    match &state.refused {
        Some(refused) => Err((Reason::Simulation, refused.why.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, hex};
    use computepool_core::ChainId;

    use super::*;

    /// The order of secp256k1's group.
    const ORDER: [u8; 32] = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

    fn token() -> TokenDomain {
        TokenDomain {
            asset: Asset::Usdc,
            name: "USD Coin".into(),
            version: "2".into(),
            chain: ChainId(1),
            contract: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48".parse().unwrap(),
        }
    }

    #[test]
    fn the_hash_is_that_of_the_token() {
        // EIP-3009's type hash, and the domain separator of USDC on Ethereum.
        let known = hex!("7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267");
        let transfer = TransferWithAuthorization {
            from: Account::ZERO.0,
            to: Account::ZERO.0,
            value: U256::ZERO,
            validAfter: U256::ZERO,
            validBefore: U256::ZERO,
            nonce: B256::ZERO,
        };
        assert_eq!(transfer.eip712_type_hash(), known);
        let domain = Eip712Domain::new(
            Some("USD Coin".into()),
            Some("2".into()),
            Some(U256::from(1)),
            Some(token().contract.0),
            None,
        );
        assert_eq!(domain.separator(), hex!("06c37168a7db5138defc7866392bb87a741f9b3d104deb5094588ce041cae335"));
    }

    #[test]
    fn signatures_that_the_token_would_not_take_are_nobodys() {
        let authorization = Authorization {
            from: Account::new([1; 20]),
            to: Account::new([2; 20]),
            value: Amount::usdc(5),
            valid_after: 0,
            valid_before: 9,
            nonce: B256::repeat_byte(3),
        };
        let signed = |bytes: Vec<u8>| signer(&token(), &Voucher { authorization, signature: Bytes::from(bytes) });
        let mut bytes = [[7; 32], [7; 32]].concat();
        bytes.push(27);
        assert!(signed(bytes.clone()).is_some(), "some key has signed it");
        for last in [0, 1, 26, 29, 35] {
            bytes[64] = last;
            assert_eq!(signed(bytes.clone()), None, "{last}");
        }
        // The same signature with s on the other side.
        let other = U256::from_be_bytes(ORDER) - U256::from_be_bytes([7; 32]);
        bytes[32..64].copy_from_slice(&other.to_be_bytes::<32>());
        bytes[64] = 28;
        assert_eq!(signed(bytes.clone()), None);
        assert_eq!(signed(bytes[..64].to_vec()), None);
        assert_eq!(signed(Vec::new()), None);
    }

    #[test]
    fn windows_end_before_they_end() {
        let authorization = |valid_after, valid_before| Authorization {
            from: Account::ZERO,
            to: Account::ZERO,
            value: Amount::usdc(1),
            valid_after,
            valid_before,
            nonce: B256::ZERO,
        };
        assert_eq!(check_window(&authorization(99, 106), 100, 200), Ok(()));
        assert_eq!(check_window(&authorization(100, 150), 100, 200), Err(Reason::ValidAfter));
        assert_eq!(check_window(&authorization(0, 105), 100, 200), Err(Reason::ValidBefore));
        assert_eq!(check_window(&authorization(0, 201), 100, 200), Err(Reason::ValidBefore));
    }
}
