//! Transactions: whom they call, and what the call lets go.

use alloy_primitives::keccak256;
use alloy_sol_types::SolCall;
use computepool_core::money::U256;
use computepool_core::ports::{Purpose, SigningRequest, TokenDomain};
use computepool_core::{Account, Amount, Asset};

use super::{Calls, Contracts, Refusal, Whom, spend};
use crate::spends::Spend;
use crate::transaction::Transaction;

mod token {
    alloy_sol_types::sol! {
        /// ERC-20.
        function transfer(address to, uint256 amount) external returns (bool);
        /// ERC-20. The spender can take all of it: it is spent when it is approved.
        function approve(address spender, uint256 amount) external returns (bool);
        /// ERC-20. Only an allowance of somebody else's makes this work.
        function transferFrom(address from, address to, uint256 amount) external returns (bool);
        /// Superfluid's wrapper: back into the underlying token, for the same account.
        function downgrade(uint256 amount) external;
    }
}

impl Contracts {
    pub(super) fn transaction(&self, request: &SigningRequest, bytes: &[u8]) -> Result<Spend, Refusal> {
        let transaction = Transaction::read(bytes)?;
        let tokens = self.call(request.purpose, &transaction)?;
        let coin = transaction.value.checked_add(transaction.fee).unwrap_or(U256::MAX);
        let amounts = [Some(Amount::new(coin, Asset::Native)), tokens].into_iter().flatten().collect();
        Ok(spend(request, Some(transaction.chain), transaction.to, amounts, keccak256(bytes)))
    }

    /// Whether a purpose may make this call, and which tokens it lets go.
    fn call(&self, purpose: Purpose, transaction: &Transaction) -> Result<Option<Amount>, Refusal> {
        let chain = transaction.chain;
        let Some(to) = transaction.to else {
            let may = purpose == Purpose::Deployment && self.creations.contains(&chain);
            return if may { Ok(None) } else { Err(Refusal::CreationNotAllowed { purpose, chain }) };
        };
        if matches!(purpose, Purpose::Voucher | Purpose::Statement) {
            return Err(Refusal::NotItsBusiness { purpose, what: "a transaction" });
        }
        if let Some(token) = self.tokens.iter().find(|token| (token.chain, token.contract) == (chain, to)) {
            return self.token_call(purpose, transaction, token);
        }
        if purpose == Purpose::Transfer && transaction.input.is_empty() {
            return Ok(None);
        }
        self.listed(purpose, transaction, to, false)?;
        Ok(None)
    }

    /// A token's own functions are understood, whoever lists its contract.
    fn token_call(
        &self,
        purpose: Purpose,
        transaction: &Transaction,
        token: &TokenDomain,
    ) -> Result<Option<Amount>, Refusal> {
        let refused = Refusal::TargetNotAllowed {
            purpose,
            chain: transaction.chain,
            to: token.contract,
            selector: transaction.selector(),
        };
        if !transaction.value.is_zero() {
            return Err(Refusal::ValueNotAllowed { purpose, to: token.contract });
        }
        match transaction.selector() {
            Some(token::transferCall::SELECTOR) if purpose == Purpose::Transfer => {
                let call: token::transferCall = arguments(transaction)?;
                Ok(Some(Amount::new(call.amount, token.asset)))
            }
            Some(token::approveCall::SELECTOR) if purpose == Purpose::Stake => {
                let call: token::approveCall = arguments(transaction)?;
                let spender = Account(call.spender);
                if self.knows(purpose, transaction.chain, spender) {
                    Ok(Some(Amount::new(call.amount, token.asset)))
                } else {
                    Err(refused)
                }
            }
            Some(token::downgradeCall::SELECTOR) if purpose == Purpose::Transfer && token.asset == Asset::Usdcx => {
                arguments::<token::downgradeCall>(transaction).map(|_| None)
            }
            Some(token::transferCall::SELECTOR | token::approveCall::SELECTOR | token::transferFromCall::SELECTOR) => {
                Err(refused)
            }
            // What else a token can do, only where it is listed by name.
            _ => self.listed(purpose, transaction, token.contract, true).map(|()| None),
        }
    }

    /// Whether the address book lists this call. Of tokens, only what it lists function by function.
    fn listed(&self, purpose: Purpose, transaction: &Transaction, to: Account, token: bool) -> Result<(), Refusal> {
        let (chain, selector) = (transaction.chain, transaction.selector());
        let called = |selectors: &[[u8; 4]]| selector.is_some_and(|selector| selectors.contains(&selector));
        let mine = self.targets.iter().filter(|target| (target.purpose, target.chain) == (purpose, chain));
        let mut mine = mine.filter(|target| match (target.whom, &target.calls) {
            (Whom::At(account), Calls::Any) => account == to && !token,
            (Whom::At(account), Calls::Only(selectors)) => account == to && called(selectors),
            (Whom::Anybody, Calls::Only(selectors)) => !token && transaction.value.is_zero() && called(selectors),
            (Whom::Anybody, Calls::Any) => false,
        });
        let Some(first) = mine.next() else {
            return Err(Refusal::TargetNotAllowed { purpose, chain, to, selector });
        };
        if transaction.value.is_zero() || first.takes_value || mine.any(|target| target.takes_value) {
            Ok(())
        } else {
            Err(Refusal::ValueNotAllowed { purpose, to })
        }
    }
}

/// The arguments, and nothing after them: bytes that nobody reads can mean something to a contract that does.
fn arguments<C: SolCall>(transaction: &Transaction) -> Result<C, Refusal> {
    let call = C::abi_decode_validate(&transaction.input).map_err(|_| Refusal::Arguments)?;
    if call.abi_encode() == transaction.input { Ok(call) } else { Err(Refusal::Arguments) }
}
