//! Unsigned transactions, read before they are signed.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use computepool_core::{Account, ChainId};

/// The type of EIP-1559's transactions.
const DYNAMIC_FEE: u8 = 2;
/// Nodes take transactions of 128 KiB.
const MAX_BYTES: usize = 128 * 1024;

/// The bytes are no transaction that is signed here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a transaction that can be signed: {0}")]
pub struct BadTransaction(pub(crate) String);

/// What matters of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) chain: ChainId,
    /// None where it creates a contract.
    pub(crate) to: Option<Account>,
    /// In wei.
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    /// The most that its gas can cost, in wei.
    pub(crate) fee: U256,
}

/// EIP-1559, for signing: `0x02 || rlp([…])`.
#[derive(RlpDecodable, RlpEncodable)]
struct DynamicFee {
    chain_id: u64,
    _nonce: u64,
    _priority_fee: u128,
    max_fee: u128,
    gas: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
    _access: Vec<Access>,
}

/// An entry of an access list (EIP-2930). It makes calls cheaper and moves nothing.
#[derive(RlpDecodable, RlpEncodable)]
struct Access {
    _address: Address,
    _slots: Vec<B256>,
}

/// A legacy transaction, for signing: `rlp([…, chain id, 0, 0])` (EIP-155).
#[derive(RlpDecodable, RlpEncodable)]
struct Legacy {
    _nonce: u64,
    gas_price: u128,
    gas: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
    chain_id: u64,
    zero_r: u64,
    zero_s: u64,
}

impl Transaction {
    /// Reads what would be signed: EIP-1559, and legacy transactions that name their chain. Nothing may follow, and
    /// every byte is as its standard writes it, so that what is understood is what the hash is of.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BadTransaction> {
        if bytes.len() > MAX_BYTES {
            return Err(bad(format!("it has {} bytes, and at most {MAX_BYTES} are signed", bytes.len())));
        }
        match bytes.first() {
            Some(&DYNAMIC_FEE) => {
                let read: DynamicFee = exact(&bytes[1..])?;
                Self::of(read.chain_id, read.to, read.value, read.input, read.gas, read.max_fee)
            }
            Some(0xc0..) => {
                let read: Legacy = exact(bytes)?;
                if (read.zero_r, read.zero_s) != (0, 0) {
                    return Err(bad("it is signed already"));
                }
                Self::of(read.chain_id, read.to, read.value, read.input, read.gas, read.gas_price)
            }
            Some(kind) => Err(bad(format!("transactions of type {kind} are not signed"))),
            None => Err(bad("there is nothing")),
        }
    }

    fn of(
        chain: u64,
        to: TxKind,
        value: U256,
        input: Bytes,
        gas: u64,
        gas_price: u128,
    ) -> Result<Self, BadTransaction> {
        if chain == 0 {
            return Err(bad("it names no chain, and would hold on every one"));
        }
        let to = to.into_to().map(Account);
        // 64 and 128 bits: the product fits.
        Ok(Self { chain: ChainId(chain), to, value, input, fee: U256::from(gas) * U256::from(gas_price) })
    }

    /// The first four bytes of the call, where there are four.
    pub(crate) fn selector(&self) -> Option<[u8; 4]> {
        self.input.first_chunk().copied()
    }
}

fn exact<T: Decodable + Encodable>(bytes: &[u8]) -> Result<T, BadTransaction> {
    let mut rest = bytes;
    let read = T::decode(&mut rest).map_err(|error| bad(error.to_string()))?;
    if !rest.is_empty() {
        return Err(bad(format!("{} bytes follow it", rest.len())));
    }
    if alloy_rlp::encode(&read) != bytes {
        return Err(bad("its standard writes it differently"));
    }
    Ok(read)
}

fn bad(why: impl Into<String>) -> BadTransaction {
    BadTransaction(why.into())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, hex, keccak256};
    use proptest::prelude::*;

    use super::*;
    use crate::key::PrivateKey;

    /// The example of EIP-155.
    const EXAMPLE: [u8; 45] =
        hex!("ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080");

    fn dynamic(input: &[u8]) -> Vec<u8> {
        let body = DynamicFee {
            chain_id: 31_337,
            _nonce: 7,
            _priority_fee: 1,
            max_fee: 2_000_000_000,
            gas: 21_000,
            to: TxKind::Call(Address::repeat_byte(0x35)),
            value: U256::from(5),
            input: input.to_vec().into(),
            _access: vec![Access { _address: Address::ZERO, _slots: vec![B256::ZERO] }],
        };
        let mut bytes = vec![DYNAMIC_FEE];
        body.encode(&mut bytes);
        bytes
    }

    #[test]
    fn eip_155s_example_is_understood_and_signed_as_it_says() {
        let transaction = Transaction::read(&EXAMPLE).unwrap();
        assert_eq!(transaction.chain, ChainId(1));
        assert_eq!(transaction.to, Some(Account(address!("3535353535353535353535353535353535353535"))));
        assert_eq!(transaction.value, U256::from(1_000_000_000_000_000_000u64));
        assert_eq!(transaction.fee, U256::from(21_000u64 * 20_000_000_000));
        assert_eq!(transaction.selector(), None);
        let digest = keccak256(EXAMPLE);
        assert_eq!(digest.0, hex!("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"));
        let signature = PrivateKey::from_bytes(&[0x46; 32]).unwrap().sign(&digest);
        let r = "18515461264373351373200002665853028612451056578545711640558177340181847433846";
        let s = "46948507304638947509940763649030358759909902576025900602547168820602576006531";
        assert_eq!((signature.r().to_string(), signature.s().to_string()), (r.to_owned(), s.to_owned()));
        assert!(!signature.v(), "EIP-155: v = 37 = 2 x 1 + 35 + 0");
    }

    #[test]
    fn a_dynamic_fee_is_reckoned_at_its_most() {
        let transaction = Transaction::read(&dynamic(&[0xa9, 0x05, 0x9c, 0xbb, 1])).unwrap();
        assert_eq!((transaction.chain, transaction.value), (ChainId::DEVNET, U256::from(5)));
        assert_eq!(transaction.fee, U256::from(42_000_000_000_000u64));
        assert_eq!(transaction.selector(), Some([0xa9, 0x05, 0x9c, 0xbb]));
    }

    #[test]
    fn what_is_not_exactly_a_transaction_is_refused() {
        let refused = |bytes: &[u8]| Transaction::read(bytes).unwrap_err().0;
        let good = dynamic(&[1, 2, 3, 4]);
        for end in 0..good.len() {
            refused(&good[..end]);
        }
        assert!(refused(&[&good[..], &[0]].concat()).contains("follow"));
        // A blob (3) and a delegation of the whole account (4) are not signed here.
        for kind in [0, 1, 3, 4, 0x7f, 0x80] {
            assert!(refused(&[&[kind], &good[1..]].concat()).contains("type"));
        }
        let mut signed = EXAMPLE;
        signed[44] = 1;
        assert!(refused(&signed).contains("signed already"));
        let mut nowhere = EXAMPLE;
        nowhere[42] = 0x80;
        assert!(refused(&nowhere).contains("no chain"));
        assert!(refused(&vec![0xf9; MAX_BYTES + 1]).contains("at most"));
    }

    proptest! {
        #![proptest_config(crate::fuzz_cases::fuzz_cases())]

        #[test]
        fn garbage_is_refused_or_written_back_as_it_came(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Transaction::read(&bytes);
            let _ = Transaction::read(&[&[DYNAMIC_FEE], &bytes[..]].concat());
        }
    }
}
