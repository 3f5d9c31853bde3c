//! Contracts that are at the same address on every chain, because the transaction that creates them was signed in
//! advance, with a signature that nobody chose and a key that nobody has.
//!
//! Both transactions are from before EIP-155: they name no chain. Some public nodes refuse such transactions; then only
//! the chain's operators can help. They pay 100 gwei for gas, whatever gas costs.

use alloy::primitives::{Address, Bytes, U256, address, bytes};

/// The deterministic deployment proxy: creates what it is sent (salt, then creation code) with CREATE2.
/// Source: github.com/Arachnid/deterministic-deployment-proxy.
pub(crate) const PROXY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// Who signed its creation.
const PROXY_SIGNER: Address = address!("3fab184622dc19b6109349b94811493bf2a45362");
const PROXY_CREATION: Bytes = bytes!(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba0222222222222222222"
    "2222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"
);

/// The registry of interfaces that Superfluid's tokens announce themselves in (EIP-1820).
pub(crate) const ERC1820: Address = address!("1820a4B7618BdE71Dce8cdc73aAB6C95905faD24");
/// Who signed its creation.
const ERC1820_SIGNER: Address = address!("a990077c3205cbDf861e17Fa532eeB069cE9fF96");

/// A creation that was signed in advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presigned {
    /// Who signed it, and needs the native currency for its gas.
    pub(crate) signer: Address,
    /// That much, in wei.
    pub(crate) costs: U256,
    /// The transaction.
    pub(crate) raw: Bytes,
    /// Where the contract then is.
    pub(crate) at: Address,
}

pub(crate) fn proxy() -> Presigned {
    // 100,000 gas at 100 gwei.
    Presigned { signer: PROXY_SIGNER, costs: U256::from(10_000_000_000_000_000_u64), raw: PROXY_CREATION, at: PROXY }
}

pub(crate) fn erc1820(raw: Bytes) -> Presigned {
    // 800,000 gas at 100 gwei.
    Presigned { signer: ERC1820_SIGNER, costs: U256::from(80_000_000_000_000_000_u64), raw, at: ERC1820 }
}

#[cfg(test)]
mod tests {
    use alloy::consensus::transaction::SignerRecoverable;
    use alloy::consensus::{Transaction, TxEnvelope};
    use alloy::eips::eip2718::Decodable2718;

    use super::*;
    use crate::artifacts::Artifacts;

    #[test]
    fn each_creates_what_it_says_and_costs_what_it_says() {
        for creation in [proxy(), erc1820(Artifacts::built_in().unwrap().erc1820.clone())] {
            let transaction = TxEnvelope::decode_2718(&mut creation.raw.as_ref()).unwrap();
            assert_eq!(transaction.recover_signer().unwrap(), creation.signer);
            assert_eq!(creation.signer.create(transaction.nonce()), creation.at);
            let price = transaction.gas_price().unwrap();
            assert_eq!(U256::from(transaction.gas_limit()) * U256::from(price), creation.costs);
        }
    }
}
