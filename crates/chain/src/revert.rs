//! Why a call reverted, as far as its return data says.

use alloy::primitives::{hex, keccak256};
use alloy::sol_types::{ContractError, GenericContractError, SolInterface};

/// Errors of our contracts, and of those they stand on, that somebody may meet.
const OURS: &[&str] = &[
    "SessionExists(address)",
    "QuoteExpired(uint256)",
    "CoalitionNotOpen(bytes32)",
    "VoucherInvalid(address)",
    "VoucherUnused(address,bytes32)",
    "AccountShort(address,uint256,uint256)",
    "NotYours(address)",
    "PayerUnknown()",
    "WrongState(uint8)",
    "NotAllowed(address)",
    "TooLittleLeft(uint256,uint256)",
    "RateNotMet(int96,int96)",
    "StillSettling(uint256)",
    "TimeOver(uint256)",
    "EnforcedPause()",
    "ERC3009InvalidAuthorizationTime(uint256,uint256)",
    "ERC3009UsedAuthorization(address,bytes32)",
    "ERC3009InvalidSignature()",
    "ERC20InsufficientBalance(address,uint256,uint256)",
    "NoSuchPlace(uint256)",
];

/// The reason in revert data given as hexadecimal text: `Error(string)` and `Panic(uint256)` in words, our
/// contracts' errors by name, others by selector and arguments. None where there is no data.
pub(crate) fn reason(data: &str) -> Option<String> {
    let bytes = hex::decode(data).ok().filter(|bytes| bytes.len() >= 4)?;
    match GenericContractError::abi_decode(&bytes) {
        Ok(ContractError::Revert(revert)) => Some(revert.reason),
        Ok(ContractError::Panic(panic)) => Some(panic.to_string()),
        _ => match OURS.iter().find(|error| keccak256(error)[..4] == bytes[..4]) {
            Some(error) => error.split('(').next().map(str::to_owned),
            None => Some(format!("error 0x{}", hex::encode(&bytes[..bytes.len().min(100)]))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::sol_types::{Revert, SolError};

    #[test]
    fn reasons_in_words() {
        let said = Revert { reason: "too late".to_owned() }.abi_encode();
        assert_eq!(reason(&hex::encode_prefixed(said)).unwrap(), "too late");
        let known = [&keccak256("QuoteExpired(uint256)")[..4], &[0; 32]].concat();
        assert_eq!(reason(&hex::encode(known)).unwrap(), "QuoteExpired");
        assert_eq!(reason("0x8f0212376639142f").unwrap(), "error 0x8f0212376639142f");
        assert_eq!(reason("0x"), None);
        assert_eq!(reason("execution reverted"), None);
    }
}
