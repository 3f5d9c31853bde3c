//! The vault port: signatures, each for a purpose. No key ever passes through it.

use std::fmt;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::money::{Account, Amount, Asset, B256, Bytes, ChainId, Signature, U256};
use crate::{Fault, FaultCode};

/// Signs for the accounts that it keeps.
pub trait Vault: Send + Sync {
    /// The accounts that it can sign for, first the one to use where nothing else is said.
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<VaultAccount>, Fault>>;

    /// Signs, or refuses: [`FaultCode::WalletLocked`] until the owner unlocks it, [`FaultCode::SpendLimit`] where a
    /// limit would be passed, [`FaultCode::Unauthorized`] where this purpose may not sign this. What is spent counts
    /// against the limits from before the signature is given out.
    fn sign<'a>(&'a self, request: &'a SigningRequest) -> BoxFuture<'a, Result<Signature, Fault>>;
}

/// An account that a vault signs for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultAccount {
    /// Which.
    pub account: Account,
    /// What its owner calls it.
    pub name: String,
    /// Whether it can sign now.
    pub unlocked: bool,
}

/// What a signature is for. Limits are kept for each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// Paying for a session: an EIP-3009 authorization.
    Voucher,
    /// Opening, starting, pausing and closing sessions: the meter's transactions.
    Session,
    /// Housekeeping for others: closing what has run out, claiming for members, sweeping.
    Keeper,
    /// Sending money somewhere.
    Transfer,
    /// Laying down contracts, and setting them up.
    Deployment,
    /// Proposing, signing, joining, leaving a coalition, and judging in it.
    Coalition,
    /// Putting up stake, and taking it back.
    Stake,
    /// Statements that move nothing.
    Statement,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 8] = [
        Self::Voucher,
        Self::Session,
        Self::Keeper,
        Self::Transfer,
        Self::Deployment,
        Self::Coalition,
        Self::Stake,
        Self::Statement,
    ];

    /// The stable text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voucher => "voucher",
            Self::Session => "session",
            Self::Keeper => "keeper",
            Self::Transfer => "transfer",
            Self::Deployment => "deployment",
            Self::Coalition => "coalition",
            Self::Stake => "stake",
            Self::Statement => "statement",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is to be signed, as whom, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// As whom.
    pub account: Account,
    /// What for.
    pub purpose: Purpose,
    /// What.
    pub content: SigningContent,
}

/// What can be signed. The vault makes the hash itself, of what it has understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningContent {
    /// An EIP-3009 `TransferWithAuthorization`.
    Authorization {
        /// Of which token.
        token: TokenDomain,
        /// What is authorized.
        authorization: Authorization,
    },
    /// EIP-712 typed data in the JSON form of `eth_signTypedData_v4`. Kinds that the vault does not know are refused.
    TypedData(String),
    /// An unsigned transaction, as EIP-2718 and its own standard encode it for signing: the signed hash is the Keccak-256
    /// of these bytes.
    Transaction(Bytes),
    /// A bare hash, of which nothing is understood. Few purposes may, and none by default.
    Digest(B256),
}

/// A token with EIP-3009, and its EIP-712 domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDomain {
    /// What its units are.
    pub asset: Asset,
    /// The `name` of its domain.
    pub name: String,
    /// The `version` of its domain.
    pub version: String,
    /// Its chain.
    pub chain: ChainId,
    /// Its contract.
    pub contract: Account,
}

/// The fields of EIP-3009's `TransferWithAuthorization`, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Authorization {
    /// Who pays.
    pub from: Account,
    /// Who is paid.
    pub to: Account,
    /// How much.
    pub value: Amount,
    /// Unix seconds, of the block, after which it holds.
    pub valid_after: u64,
    /// Unix seconds, of the block, before which it holds.
    pub valid_before: u64,
    /// Makes it single: each is executed or cancelled once for `from`.
    pub nonce: B256,
}

impl SigningContent {
    /// What the signature lets somebody take, where that can be told without a chain at hand.
    pub fn spends(&self) -> Option<Amount> {
        match self {
            Self::Authorization { authorization, .. } => Some(authorization.value),
            _ => None,
        }
    }
}

/// The refusal of a vault that has to be unlocked first.
pub fn locked() -> Fault {
    Fault::new(FaultCode::WalletLocked, "the wallet is locked").hint("unlock it, then ask again")
}

/// The refusal of a vault whose limit would be passed.
pub fn over_limit(purpose: Purpose, asked: Amount, left: U256) -> Fault {
    let left = Amount::new(left, asked.asset);
    Fault::new(FaultCode::SpendLimit, format!("{asked} for {purpose} is more than the {left} that may be spent now"))
        .hint("the wallet's owner can raise the limit")
}
