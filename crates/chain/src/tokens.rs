//! What an account has, and how it sends that on: coin, USDC, and USDCx.

use std::time::Duration;

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::rpc::types::TransactionRequest;
use alloy::sol;
use alloy::sol_types::SolCall;
use computepool_core::money::{Account, Amount, Asset, ChainId, TxHash};
use computepool_core::ports::Purpose;

use crate::ChainError;
use crate::contracts::{SuperToken, Usdc};
use crate::deployment::AddressBook;
use crate::finality::{Standing, standing};
use crate::gas::{self, GasPolicy};
use crate::rpc::Rpc;
use crate::sender::Intent;

sol! {
    /// ERC-20, and what Superfluid's wrapper adds to it.
    contract Token {
        function transfer(address to, uint256 amount) external returns (bool);
        function downgrade(uint256 amount) external;
    }

    /// A pool of Superfluid's.
    contract Pool {
        function claimAll(address member) external returns (bool);
    }

    /// `contracts/src/BondAccount.sol`.
    contract Bond {
        function fill() external;
    }
}

/// How often a devnet is asked whether its faucet has given, and how long apart.
const LOOKS: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What an account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// The chain's own coin.
    pub native: Amount,
    /// What vouchers are made out in.
    pub usdc: Amount,
    /// The same money as it streams. What lies in pools and bond accounts is not in it.
    pub usdcx: Amount,
}

impl Balances {
    /// What there is of an asset.
    pub fn of(&self, asset: Asset) -> Amount {
        match asset {
            Asset::Native => self.native,
            Asset::Usdc => self.usdc,
            Asset::Usdcx => self.usdcx,
        }
    }
}

/// What a transaction would do, as the chain says before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Units of gas that would be allowed.
    pub gas: u64,
    /// What they cost at most, in native currency.
    pub fee: Amount,
}

/// The tokens of one deployment.
#[derive(Clone, Debug)]
pub struct Tokens {
    rpc: Rpc,
    chain: ChainId,
    usdc: Address,
    usdcx: Address,
}

impl Tokens {
    /// Those of the deployment in `book`.
    pub fn new(rpc: Rpc, book: &AddressBook) -> Self {
        Self { rpc, chain: book.chain_id, usdc: book.usdc.0, usdcx: book.usdcx.0 }
    }

    /// What an account has now.
    pub async fn balances(&self, of: Account) -> Result<Balances, ChainError> {
        let usdc = self.rpc.call(self.usdc, &Usdc::balanceOfCall { account: of.0 }).await?;
        let usdcx = self.rpc.call(self.usdcx, &SuperToken::balanceOfCall { account: of.0 }).await?;
        Ok(Balances {
            native: Amount::new(self.rpc.balance(of.0).await?, Asset::Native),
            usdc: Amount::new(usdc, Asset::Usdc),
            usdcx: Amount::new(usdcx, Asset::Usdcx),
        })
    }

    /// Sends an amount to somebody.
    pub fn transfer(&self, to: Account, amount: Amount) -> Intent {
        let call = Token::transferCall { to: to.0, amount: amount.units };
        let what = format!("sending {amount}");
        let to_token = |token| Intent::new(what.clone(), Purpose::Transfer, token).calling(&call);
        match amount.asset {
            Asset::Native => Intent::new(what, Purpose::Transfer, to.0).paying(amount.units),
            Asset::Usdc => to_token(self.usdc),
            Asset::Usdcx => to_token(self.usdcx),
        }
    }

    /// Turns so many wei of USDCx into USDC, for the same account. Less than a unit of USDC stays what it is.
    pub fn downgrade(&self, wei: U256) -> Intent {
        let call = Token::downgradeCall { amount: wei };
        Intent::new("turning USDCx into USDC", Purpose::Transfer, self.usdcx).calling(&call)
    }

    /// Pays out what a member of a pool has earned in it.
    pub fn claim(&self, pool: Account, member: Account) -> Intent {
        let call = Pool::claimAllCall { member: member.0 };
        Intent::new("claiming earnings", Purpose::Transfer, pool.0).calling(&call)
    }

    /// Fills a stake from a bond account; what is more than the stake goes to its operator.
    pub fn fill(&self, bond: Account) -> Intent {
        Intent::new("filling the stake from earnings", Purpose::Transfer, bond.0).calling(&Bond::fillCall {})
    }

    /// Has the faucet give to `to`: once an hour, where the token is our own.
    pub fn faucet(&self, to: Account) -> Intent {
        Intent::new("the faucet", Purpose::Transfer, self.usdc).calling(&Usdc::faucetCall { to: to.0 })
    }

    /// What `intent` would cost `from`. The chain tries it out for that.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] where it would fail; [`ChainError::Funds`] where `from` cannot pay the gas.
    pub async fn forecast(&self, from: Account, intent: &Intent) -> Result<Forecast, ChainError> {
        let has = self.rpc.balance(from.0).await?;
        let short = |needs| ChainError::Funds { account: from.0, has, needs, what: intent.what.clone() };
        if has < intent.value || has.is_zero() {
            return Err(short(intent.value.max(U256::ONE)));
        }
        let request = TransactionRequest::default().from(from.0).to(intent.to).value(intent.value);
        let estimate = self.rpc.estimate(&intent.what, &request.input(intent.input.clone().into())).await?;
        let gas = gas::limit(&intent.what, estimate)?;
        let fee = U256::from(gas) * U256::from(GasPolicy::default().fees(&self.rpc).await?.most());
        let needs = intent.value.saturating_add(fee);
        if has < needs { Err(short(needs)) } else { Ok(Forecast { gas, fee: Amount::new(fee, Asset::Native) }) }
    }

    /// Gives coin and USDC on a devnet, at nobody's cost. Returns when both are there.
    ///
    /// # Errors
    /// [`ChainError::Setting`] on any other chain; [`ChainError::Reverted`] where the faucet gave within the hour.
    pub async fn devnet_gift(&self, to: Account, coin: Amount) -> Result<TxHash, ChainError> {
        if self.chain != ChainId::DEVNET {
            let what = format!("the devnet's faucet on chain {}", self.chain);
            return Err(ChainError::Setting { what, why: "coin is only free on a devnet".to_owned() });
        }
        // An address of nobody's pays for the call: no queue of transactions is disturbed.
        let nobody = Address::from_word(keccak256("the faucet of the devnet"));
        self.endow(nobody, U256::from(10).pow(U256::from(20))).await?;
        let _: Option<bool> = self.rpc.request("anvil_impersonateAccount", (nobody,)).await?;
        let call = Usdc::faucetCall { to: to.0 };
        let request = TransactionRequest::default().from(nobody).to(self.usdc).input(call.abi_encode().into());
        self.rpc.estimate("the faucet", &request).await?;
        let has = self.rpc.balance(to.0).await?;
        self.endow(to.0, has.saturating_add(coin.units)).await?;
        let hash: B256 = self.rpc.request("eth_sendTransaction", (request,)).await?;
        for _ in 0..LOOKS {
            if matches!(standing(&self.rpc, hash, 1).await?, Standing::Final(_)) {
                return Ok(TxHash(hash));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let seconds = (BETWEEN_LOOKS * LOOKS).as_secs();
        Err(ChainError::Pending { hash, nonce: 0, seconds })
    }

    async fn endow(&self, account: Address, wei: U256) -> Result<(), ChainError> {
        let _: Option<bool> = self.rpc.request("anvil_setBalance", (account, wei)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use computepool_core::money::Amount;

    use super::*;
    use crate::Network;
    use crate::rpc::Patience;

    fn tokens(chain: ChainId) -> Tokens {
        let rpc = Rpc::new(&Network::devnet("http://127.0.0.1:9"), Patience::default()).unwrap();
        Tokens { rpc, chain, usdc: Address::repeat_byte(1), usdcx: Address::repeat_byte(2) }
    }

    #[test]
    fn every_asset_is_sent_its_own_way() {
        let (tokens, to) = (tokens(ChainId::DEVNET), Account::new([7; 20]));
        let coin = tokens.transfer(to, Amount::new(U256::from(5), Asset::Native));
        assert_eq!((coin.to, coin.value, coin.input.len()), (to.0, U256::from(5), 0));
        for (amount, token) in [(Amount::usdc(5), tokens.usdc), (Amount::usdcx(5), tokens.usdcx)] {
            let intent = tokens.transfer(to, amount);
            assert_eq!((intent.to, intent.value, intent.input.len()), (token, U256::ZERO, 68));
            assert_eq!(intent.purpose, Purpose::Transfer);
        }
    }

    #[tokio::test]
    async fn coin_is_given_on_devnets_alone() {
        let gift = tokens(ChainId::GALILEO).devnet_gift(Account::ZERO, Amount::new(U256::ONE, Asset::Native)).await;
        assert!(matches!(gift, Err(ChainError::Setting { .. })));
    }
}
