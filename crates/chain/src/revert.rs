//! Why a call reverted, as far as its return data says.

use alloy::primitives::hex;
use alloy::sol_types::{ContractError, GenericContractError, SolInterface};

/// The reason in revert data given as hexadecimal text: `Error(string)` and `Panic(uint256)` in words, a contract's own
/// error by its selector and arguments. None where there is no data.
pub(crate) fn reason(data: &str) -> Option<String> {
    let bytes = hex::decode(data).ok().filter(|bytes| bytes.len() >= 4)?;
    match GenericContractError::abi_decode(&bytes) {
        Ok(ContractError::Revert(revert)) => Some(revert.reason),
        Ok(ContractError::Panic(panic)) => Some(panic.to_string()),
        _ => Some(format!("error 0x{}", hex::encode(&bytes[..bytes.len().min(100)]))),
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
        assert_eq!(reason("0x8f0212376639142f").unwrap(), "error 0x8f0212376639142f");
        assert_eq!(reason("0x"), None);
        assert_eq!(reason("execution reverted"), None);
    }
}
