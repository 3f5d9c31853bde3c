//! Who may have what signed: the purposes, the contracts of the address book, and what each call lets go.

use computepool_core::money::{B256, U256};
use computepool_core::ports::{Authorization, Purpose, SigningContent, SigningRequest, TokenDomain};
use computepool_core::{Account, Amount, Asset, ChainId};

use crate::limits::Limits;
use crate::spends::Spend;
use crate::transaction::BadTransaction;
use crate::typed_data::kinds::TransferWithAuthorization;
use crate::typed_data::{Domain, TypedData, TypedDataError};

mod calls;
mod deployed;

pub use deployed::Deployed;

/// What a wallet knows of the chains, from their address books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contracts {
    /// The tokens whose units it can reckon with.
    pub tokens: Vec<TokenDomain>,
    /// The contracts that may be called, and what for.
    pub targets: Vec<Target>,
    /// The chains on which [`Purpose::Deployment`] may create contracts.
    pub creations: Vec<ChainId>,
}

/// A contract that one purpose may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What for.
    pub purpose: Purpose,
    /// Where.
    pub chain: ChainId,
    /// Which.
    pub whom: Whom,
    /// Which of its functions.
    pub calls: Calls,
    /// Whether the chain's own coin may go with the call, within the limits.
    pub takes_value: bool,
}

/// A contract that may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The one at this address.
    At(Account),
    /// Any but the known tokens: for contracts of which there is one for each session or member, at addresses that no
    /// book can list. Counts only for functions named one by one, and never with coin.
    Anybody,
}

/// Functions of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calls {
    /// All of them.
    Any,
    /// Those with these selectors: the first four bytes of the Keccak-256 of their signature.
    Only(Vec<[u8; 4]>),
}

/// Why something is not signed, whatever the limits say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not the business of this purpose.
    #[error("{purpose} may not sign {what}")]
    NotItsBusiness {
        /// Which purpose.
        purpose: Purpose,
        /// What it wanted signed.
        what: &'static str,
    },
    /// The token is not in the address book, or not under this name.
    #[error("the token {contract} on chain {chain} is not one that this wallet knows under that name and version")]
    UnknownToken {
        /// Its chain.
        chain: ChainId,
        /// Its contract.
        contract: Account,
    },
    /// The amount is in another asset than the token.
    #[error("an amount of {amount} cannot be paid with {token}")]
    OtherAsset {
        /// What the amount is in.
        amount: Asset,
        /// What the token is.
        token: Asset,
    },
    /// Somebody else's money.
    #[error("{named} is to be bound, and {asked} to sign")]
    OtherAccount {
        /// Whom the content names.
        named: Account,
        /// Who was asked to sign.
        asked: Account,
    },
    /// Authorized too long, or for a time that is no time.
    #[error("it would hold from {after} to {before}, and at most {longest_s} s from now ({now}) are signed")]
    Window {
        /// Unix seconds.
        after: U256,
        /// Unix seconds.
        before: U256,
        /// Unix seconds.
        now: u64,
        /// The owner's limit.
        longest_s: u64,
    },
    /// Not in the address book for this purpose.
    #[error("{purpose} may not call {} of {to} on chain {chain}", selector_text(.selector))]
    TargetNotAllowed {
        /// Which purpose.
        purpose: Purpose,
        /// On which chain.
        chain: ChainId,
        /// Which contract.
        to: Account,
        /// Which function; none where nothing is called.
        selector: Option<[u8; 4]>,
    },
    /// Coin for a call that takes none.
    #[error("{to} takes no coin from {purpose}")]
    ValueNotAllowed {
        /// Which purpose.
        purpose: Purpose,
        /// Which contract.
        to: Account,
    },
    /// Contracts are created elsewhere, or by others.
    #[error("{purpose} may not create contracts on chain {chain}")]
    CreationNotAllowed {
        /// Which purpose.
        purpose: Purpose,
        /// On which chain.
        chain: ChainId,
    },
    /// Not a transaction.
    #[error(transparent)]
    Transaction(#[from] BadTransaction),
    /// A call that does not fit its function.
    #[error("the call does not have the arguments of its function")]
    Arguments,
    /// Not typed data that is known.
    #[error(transparent)]
    TypedData(#[from] TypedDataError),
    /// A bare hash.
    #[error("{0} may not have bare hashes signed: nobody can tell what they let go")]
    BareDigest(Purpose),
    /// A kind of content that came later than this wallet.
    #[error("this wallet does not know what it is asked to sign")]
    UnknownContent,
}

fn selector_text(selector: &Option<[u8; 4]>) -> String {
    selector.map_or("nothing".to_owned(), |selector| format!("0x{}", hex::encode(selector)))
}

impl Contracts {
    /// What a request comes to: what would be signed, and what that lets go. Its time is for the log to say.
    pub(crate) fn understand(&self, request: &SigningRequest, limits: &Limits, now_ms: u64) -> Result<Spend, Refusal> {
        let purpose = request.purpose;
        match &request.content {
            SigningContent::Authorization { token, authorization } => {
                self.authorization(request, token, authorization, limits, now_ms)
            }
            SigningContent::TypedData(text) => self.typed_data(request, text, limits, now_ms),
            SigningContent::Transaction(bytes) => self.transaction(request, bytes),
            SigningContent::Digest(digest) if limits.bare_digests.contains(&purpose) => {
                Ok(spend(request, None, None, Vec::new(), *digest))
            }
            SigningContent::Digest(_) => Err(Refusal::BareDigest(purpose)),
            _ => Err(Refusal::UnknownContent),
        }
    }

    fn authorization(
        &self,
        request: &SigningRequest,
        token: &TokenDomain,
        authorization: &Authorization,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<Spend, Refusal> {
        let domain = domain_of(token);
        let message = TransferWithAuthorization {
            from: authorization.from.0,
            to: authorization.to.0,
            value: authorization.value.units,
            validAfter: U256::from(authorization.valid_after),
            validBefore: U256::from(authorization.valid_before),
            nonce: authorization.nonce,
        };
        let known = self.token(&domain)?;
        if authorization.value.asset != known.asset || token.asset != known.asset {
            return Err(Refusal::OtherAsset { amount: authorization.value.asset, token: known.asset });
        }
        self.known_kind(request, &domain, &TypedData::Transfer(message), limits, now_ms)
    }

    fn typed_data(&self, request: &SigningRequest, text: &str, limits: &Limits, now_ms: u64) -> Result<Spend, Refusal> {
        let (domain, data) = TypedData::read(text)?;
        self.known_kind(request, &domain, &data, limits, now_ms)
    }

    fn known_kind(
        &self,
        request: &SigningRequest,
        domain: &Domain,
        data: &TypedData,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<Spend, Refusal> {
        let purpose = request.purpose;
        let digest = data.digest(domain);
        let (payer, to, amounts) = match data {
            TypedData::Transfer(message) => {
                if !matches!(purpose, Purpose::Voucher | Purpose::Transfer) {
                    return Err(Refusal::NotItsBusiness { purpose, what: "an authorization to pay" });
                }
                let token = self.token(domain)?;
                window(message.validAfter, message.validBefore, limits, now_ms)?;
                (message.from, message.to, vec![Amount::new(message.value, token.asset)])
            }
            TypedData::Receive(message) => {
                if purpose != Purpose::Stake {
                    return Err(Refusal::NotItsBusiness { purpose, what: "an authorization to draw" });
                }
                let token = self.token(domain)?;
                let to = Account(message.to);
                if !self.knows(purpose, domain.chain, to) {
                    return Err(Refusal::TargetNotAllowed { purpose, chain: domain.chain, to, selector: None });
                }
                window(message.validAfter, message.validBefore, limits, now_ms)?;
                (message.from, message.to, vec![Amount::new(message.value, token.asset)])
            }
            TypedData::Membership(message) => {
                if purpose != Purpose::Coalition {
                    return Err(Refusal::NotItsBusiness { purpose, what: "a coalition's terms" });
                }
                let to = domain.contract;
                if !self.knows(purpose, domain.chain, to) {
                    return Err(Refusal::TargetNotAllowed { purpose, chain: domain.chain, to, selector: None });
                }
                (message.operator, to.0, Vec::new())
            }
        };
        if payer != request.account.0 {
            return Err(Refusal::OtherAccount { named: Account(payer), asked: request.account });
        }
        Ok(spend(request, Some(domain.chain), Some(Account(to)), amounts, digest))
    }

    /// The token of a domain, if all of the domain is as the address book has it.
    fn token(&self, domain: &Domain) -> Result<&TokenDomain, Refusal> {
        let known = self.tokens.iter().find(|token| domain_of(token) == *domain);
        known.ok_or(Refusal::UnknownToken { chain: domain.chain, contract: domain.contract })
    }

    /// Whether a purpose has anything to do with a contract.
    fn knows(&self, purpose: Purpose, chain: ChainId, account: Account) -> bool {
        let whom = Whom::At(account);
        self.targets.iter().any(|target| (target.purpose, target.chain, target.whom) == (purpose, chain, whom))
    }
}

fn domain_of(token: &TokenDomain) -> Domain {
    Domain { name: token.name.clone(), version: token.version.clone(), chain: token.chain, contract: token.contract }
}

/// The window has an end, and it is near.
fn window(after: U256, before: U256, limits: &Limits, now_ms: u64) -> Result<(), Refusal> {
    let (now, longest_s) = (now_ms / 1000, limits.longest_authorization_s);
    let latest = U256::from(now).saturating_add(U256::from(longest_s));
    if after >= before || before <= U256::from(now) || before > latest {
        return Err(Refusal::Window { after, before, now, longest_s });
    }
    Ok(())
}

fn spend(
    request: &SigningRequest,
    chain: Option<ChainId>,
    to: Option<Account>,
    amounts: Vec<Amount>,
    digest: B256,
) -> Spend {
    Spend { at_ms: 0, purpose: request.purpose, account: request.account, chain, to, amounts, digest }
}

#[cfg(test)]
mod tests;
