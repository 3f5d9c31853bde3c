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
