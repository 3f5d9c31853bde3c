//! Where a session's account is: computed as the escrow computes it.

use alloy::primitives::{Address, B256};
use computepool_core::money::U256;
use computepool_core::ports::{Authorization, SessionTerms};

use crate::contracts::SessionEscrow;

/// The escrow creates the sessions' code in its constructor: its first creation.
pub(super) fn code_of(escrow: Address) -> Address {
    escrow.create(1)
}

/// The address of the account with these terms: a minimal clone (ERC-1167) of the sessions' code with the terms behind it
/// (OpenZeppelin `Clones`), created by the escrow with CREATE2 and salt 0.
pub(crate) fn account(escrow: Address, terms: &SessionTerms) -> Address {
    account_of(escrow, &quote(terms))
}

/// The same for terms in the contract's words.
pub(super) fn account_of(escrow: Address, quote: &SessionEscrow::Quote) -> Address {
    let arguments = packed(quote);
    let length = u16::try_from(arguments.len() + 45).unwrap_or(u16::MAX);
    let mut code = vec![0x61];
    code.extend_from_slice(&length.to_be_bytes());
    code.extend_from_slice(&alloy::hex!("3d81600a3d39f3363d3d373d3d3d363d73"));
    code.extend_from_slice(code_of(escrow).as_slice());
    code.extend_from_slice(&alloy::hex!("5af43d82803e903d91602b57fd5bf3"));
    code.extend_from_slice(&arguments);
    escrow.create2_from_code(B256::ZERO, code)
}

/// 104 bytes, as `Quotes.encode` in `contracts/src/Quote.sol` packs them.
fn packed(quote: &SessionEscrow::Quote) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(104);
    bytes.extend_from_slice(quote.coalition.as_slice());
    bytes.extend_from_slice(&quote.amount.to_be_bytes());
    bytes.extend_from_slice(&quote.lifetime.to_be_bytes());
    bytes.extend_from_slice(&quote.expires.to_be_bytes());
    bytes.extend_from_slice(quote.payer.as_slice());
    bytes.extend_from_slice(quote.salt.as_slice());
    bytes
}

/// The terms in the contract's words. More USDC than 64 bits hold does not exist.
pub(super) fn quote(terms: &SessionTerms) -> SessionEscrow::Quote {
    SessionEscrow::Quote {
        coalition: terms.coalition.0,
        amount: terms.amount.units.saturating_to(),
        lifetime: terms.lifetime_s,
        expires: terms.expires_s,
        payer: terms.payer.0,
        salt: terms.salt,
    }
}

/// What the terms leave open of an authorization.
pub(super) fn authorization(authorization: &Authorization) -> SessionEscrow::Authorization {
    SessionEscrow::Authorization {
        from: authorization.from.0,
        validAfter: U256::from(authorization.valid_after),
        validBefore: U256::from(authorization.valid_before),
        nonce: authorization.nonce,
    }
}
