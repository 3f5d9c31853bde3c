//! What can go wrong between us and a chain, and what to do about it.

use alloy::primitives::{Address, B256, U256};
use computepool_core::{Fault, FaultCode};

use crate::rpc::Lie;

/// Why something on a chain failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A setting cannot be used.
    #[error("{what} cannot be used: {why}")]
    Setting {
        /// Which.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// No endpoint gave an answer that could be used.
    #[error("no endpoint of chain {chain_id} answered {method}: {tried}")]
    Unreachable {
        /// Which chain.
        chain_id: u64,
        /// What was asked.
        method: String,
        /// Every endpoint with what it last did.
        tried: String,
    },
    /// An endpoint contradicted itself or the question, and there was no other to ask.
    #[error("{endpoint} cannot be right: {lie}")]
    Lied {
        /// Whose answer it was.
        endpoint: String,
        /// What was wrong with it.
        lie: Lie,
    },
    /// Endpoints contradict each other, and none has more than half of them on its side.
    #[error("the endpoints of chain {chain_id} do not agree on {method}")]
    Disagreed {
        /// Which chain.
        chain_id: u64,
        /// What was asked.
        method: String,
    },
    /// An endpoint understood the question and refused it.
    #[error("{method} was refused: {message} (code {code})")]
    Refused {
        /// What was asked.
        method: String,
        /// JSON-RPC's code.
        code: i64,
        /// The endpoint's words.
        message: String,
    },
    /// An answer does not have the form it should have.
    #[error("the answer to {what} cannot be read: {why}")]
    Unreadable {
        /// What was asked.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A call would revert, or a transaction did.
    #[error("{what} reverts: {reason}")]
    Reverted {
        /// What was called.
        what: String,
        /// Why, as far as the contract says.
        reason: String,
    },
    /// An account cannot pay for a transaction.
    #[error("{account} has {has} wei and needs {needs} for {what}")]
    Funds {
        /// Whose money.
        account: Address,
        /// Wei it has.
        has: U256,
        /// Wei it needs.
        needs: U256,
        /// What for.
        what: String,
    },
    /// Gas costs more than the owner wants to pay.
    #[error("gas costs {price} wei, and no more than {cap} wei may be paid")]
    GasPrice {
        /// Wei for a unit of gas, as the chain asks for it.
        price: u128,
        /// The most that may be paid.
        cap: u128,
    },
    /// A transaction would burn more gas than one transaction may (EIP-7825).
    #[error("{what} needs {needs} gas, and a transaction may use {cap}")]
    GasLimit {
        /// What.
        what: String,
        /// Gas it needs.
        needs: u64,
        /// Gas it may use.
        cap: u64,
    },
    /// Another transaction took the nonce: this one can never land.
    #[error("nonce {nonce} of {account} was used by another transaction than {hash}")]
    NonceTaken {
        /// Whose.
        account: Address,
        /// Which.
        nonce: u64,
        /// The transaction that cannot land any more.
        hash: B256,
    },
    /// A transaction was sent, and it is not known yet whether it lands. It is still being looked after.
    #[error("transaction {hash} (nonce {nonce}) has not landed after {seconds} s")]
    Pending {
        /// The newest form of it.
        hash: B256,
        /// Its nonce.
        nonce: u64,
        /// For how long it has been under way.
        seconds: u64,
    },
    /// Too many transactions of this account are under way.
    #[error("{count} transactions of {account} are under way already")]
    Busy {
        /// Whose.
        account: Address,
        /// How many.
        count: usize,
    },
    /// Whoever holds the key did not sign.
    #[error("{account} did not sign: {}", .why.message)]
    NotSigned {
        /// Who.
        account: Address,
        /// Why not.
        why: Fault,
    },
    /// What must outlast a crash could not be written or read.
    #[error("{path}: {why}")]
    File {
        /// Which file.
        path: String,
        /// What happened.
        why: String,
    },
    /// A deployed contract is not what it should be.
    #[error("{what} should be {expected} and is {found}")]
    Wiring {
        /// What.
        what: String,
        /// As it should be.
        expected: String,
        /// As it is.
        found: String,
    },
    /// The child process that is the devnet did not start, or ended.
    #[error("anvil {what}")]
    Anvil {
        /// What it did.
        what: String,
    },
    /// The account's sender has ended.
    #[error("nothing is sent any more: {0}")]
    Closed(&'static str),
}

impl ChainError {
    /// Whether it is unknown if a transaction took effect. Only asking the chain can tell, and sending the same intent
    /// again is safe where a new one would not be.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }

    pub(crate) fn file(path: &std::path::Path, why: impl ToString) -> Self {
        Self::File { path: path.display().to_string(), why: why.to_string() }
    }

    pub(crate) fn unreadable(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Unreadable { what: what.into(), why: why.to_string() }
    }
}

impl From<ChainError> for Fault {
    fn from(error: ChainError) -> Self {
        let fault = |code| Fault::new(code, error.to_string());
        match &error {
            ChainError::Setting { .. } => fault(FaultCode::InvalidRequest),
            ChainError::Unreachable { .. } => fault(FaultCode::ChainUnavailable)
                .hint("check the network, or name another RPC endpoint for this chain")
                .retry_after_ms(5_000),
            ChainError::Lied { .. } => fault(FaultCode::ChainUnavailable)
                .hint("this RPC endpoint is broken or serves another chain: name another one")
                .retry_after_ms(60_000),
            ChainError::Disagreed { .. } => fault(FaultCode::ChainUnavailable)
                .hint("one of the RPC endpoints is broken or behind: name other ones")
                .retry_after_ms(1_000),
            ChainError::Refused { .. } | ChainError::Unreadable { .. } => {
                fault(FaultCode::ChainUnavailable).hint("name another RPC endpoint for this chain")
            }
            ChainError::Funds { account, .. } => {
                fault(FaultCode::NoCapacity).hint(format!("send native currency to {account}"))
            }
            ChainError::GasPrice { .. } => fault(FaultCode::NoCapacity)
                .hint("wait until the chain is less busy, or raise the limit")
                .retry_after_ms(30_000),
            ChainError::NonceTaken { .. } => fault(FaultCode::Interrupted)
                .hint("use this account's key in one place only; ask the chain what happened before trying again"),
            ChainError::Pending { .. } => fault(FaultCode::Stalled)
                .hint("it is still being looked after: ask again with the same id, never with a new one")
                .retry_after_ms(5_000),
            ChainError::Busy { .. } => fault(FaultCode::NoCapacity).retry_after_ms(1_000),
            ChainError::NotSigned { why, .. } => {
                let mut fault = fault(why.code);
                fault.hint.clone_from(&why.hint);
                fault.retry = why.retry;
                fault
            }
            ChainError::File { .. } => fault(FaultCode::Io),
            ChainError::Wiring { .. } => {
                fault(FaultCode::Internal).hint("deploy again with another salt, or check the address book")
            }
            ChainError::Anvil { .. } => fault(FaultCode::Io)
                .hint("`scripts/setup contracts` installs anvil; its log says why it does not start"),
            ChainError::Closed(_) => fault(FaultCode::Draining),
            ChainError::Reverted { .. } | ChainError::GasLimit { .. } => fault(FaultCode::ChainRefused),
        }
    }
}
