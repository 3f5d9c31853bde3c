//! What people do with the money of a wallet: look at it, send it, withdraw it, and let a faucet give some.

mod allowance;
mod exits;
mod refunds;

use std::path::PathBuf;

use computepool_chain::sender::{Folder, Intent, Sender, SenderOptions, Until};
use computepool_chain::tokens::Tokens;
use computepool_core::money::{ChainId, TxHash};
use computepool_core::{Account, Amount, Asset, Fault, FaultCode};

pub use self::allowance::{Allowance, Preset};
pub use self::exits::Way;
pub use self::refunds::{PaidSession, Standing};
pub use computepool_chain::tokens::{Balances, Forecast};
pub use computepool_wallet::{
    Backup, BackupQuestion, Card, Forget, Keeping, Limit, Limits, MIN_PASSPHRASE, Origin, Passphrase, PhraseLength,
    Secret, Usage, Wallet, WalletError, WalletName, Wallets,
};

use crate::chains::ChainCard;
use crate::earnings::Seat;
use crate::paths;
use crate::purse::Purse;

/// Accounts on one chain.
#[derive(Clone, Debug)]
pub struct Accounts {
    card: ChainCard,
    tokens: Tokens,
}

/// Something that is about to be done with money, tried out by the chain.
#[derive(Clone, Debug)]
pub struct Step {
    /// What, for people.
    pub what: String,
    /// What it costs at most.
    pub fee: Amount,
    intent: Intent,
}

/// Something that was done with money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// By which transaction.
    pub transaction: TxHash,
    /// In which block.
    pub block: u64,
    /// What it cost, in native currency.
    pub fee: Amount,
}

impl Accounts {
    /// The accounts on the chain of `card`.
    pub fn on(card: ChainCard) -> Result<Self, Fault> {
        let tokens = Tokens::new(card.rpc()?, &card.book);
        Ok(Self { card, tokens })
    }

    /// Which chain.
    pub fn chain(&self) -> ChainId {
        self.card.book.chain_id
    }

    /// What people call the chain.
    pub fn chain_name(&self) -> String {
        self.card.network().name
    }

    /// Where people look a transaction up, if anywhere.
    pub fn link(&self, transaction: TxHash) -> Option<String> {
        let explorer = self.card.network().explorer?;
        Some(format!("{explorer}/tx/{transaction}"))
    }

    /// The chain's card.
    pub fn card(&self) -> &ChainCard {
        &self.card
    }

    /// What an account has.
    pub async fn balances(&self, of: Account) -> Result<Balances, Fault> {
        Ok(self.tokens.balances(of).await?)
    }

    /// Sending an amount, tried out.
    ///
    /// # Errors
    /// Where there is too little of it, or the chain would refuse it.
    pub async fn send(&self, from: Account, to: Account, amount: Amount) -> Result<Step, Fault> {
        let refuse = |what: &str| Fault::new(FaultCode::InvalidRequest, what);
        if to.is_zero() || [self.card.book.usdc, self.card.book.usdcx].contains(&to) {
            return Err(refuse("what is sent there is lost").hint("give the address of a person"));
        }
        if amount.is_zero() {
            return Err(refuse("there is nothing to send"));
        }
        let has = self.balances(from).await?.of(amount.asset);
        if has < amount {
            let fault = refuse(&format!("{from} has {has}, which is less than {amount}"));
            return Err(match amount.asset {
                Asset::Usdc => fault.hint("`computepool wallet withdraw` turns USDCx into USDC"),
                _ => fault,
            });
        }
        self.step(from, format!("send {amount} to {to}"), self.tokens.transfer(to, amount)).await
    }

    /// Turning all USDCx of an account into USDC, tried out; none where there is less than a unit of USDC.
    pub async fn unwrap(&self, from: Account) -> Result<Option<Step>, Fault> {
        let (usdc, dust) = self.balances(from).await?.usdcx.split(Asset::Usdc)?;
        if usdc.is_zero() {
            return Ok(None);
        }
        let wei = usdc.convert(Asset::Usdcx)?;
        let rest = if dust.is_zero() { String::new() } else { format!("; {dust} is less than a unit and stays") };
        let what = format!("turn {wei} into {usdc}{rest}");
        self.step(from, what, self.tokens.downgrade(wei.units)).await.map(Some)
    }

    /// Claiming what an operator earned in a coalition, tried out; none where nothing waits there.
    pub async fn claim(&self, operator: Account, seat: &Seat) -> Result<Option<Step>, Fault> {
        let waiting = seat.claimable.plus(seat.bonded)?;
        let Some(pool) = seat.pool.filter(|_| !waiting.is_zero()) else { return Ok(None) };
        let (what, intent) = if seat.bonding {
            (format!("collect {waiting}; the stake takes what it lacks of it"), self.tokens.fill(seat.payee))
        } else {
            (format!("claim {waiting} from the coalition's pool"), self.tokens.claim(pool, seat.payee))
        };
        self.step(operator, what, intent).await.map(Some)
    }

    /// Having the token's faucet give to an account at that account's cost, tried out.
    pub async fn faucet(&self, to: Account) -> Result<Step, Fault> {
        let step = self.step(to, "have the faucet give 1000 USDC".to_owned(), self.tokens.faucet(to)).await;
        step.map_err(|fault| match fault.code {
            FaultCode::NoCapacity => fault.hint("the network's own faucet gives the coin that gas is paid with"),
            FaultCode::ChainRefused => faucet_waits(to),
            _ => fault,
        })
    }

    /// Gives 10 of the coin, and what the token's faucet gives, at nobody's cost: on a devnet only.
    pub async fn devnet_gift(&self, to: Account) -> Result<TxHash, Fault> {
        let coin = Amount::parse("10", Asset::Native)?;
        self.tokens.devnet_gift(to, coin).await.map_err(|error| {
            let fault = Fault::from(error);
            if fault.code == FaultCode::ChainRefused { faucet_waits(to) } else { fault }
        })
    }

    /// Whoever does steps with an open wallet. What an earlier life of this machine left under way is looked after first.
    pub fn hand(&self, purse: &Purse, outbox: Option<PathBuf>) -> Result<Hand, Fault> {
        let (network, rpc) = (self.card.network(), self.card.rpc()?);
        let root = match outbox {
            Some(root) => root,
            None => paths::data_folder()?.join("outbox"),
        };
        let folder = Folder::open(&root, self.chain().0, purse.account.0)?;
        let options = SenderOptions::of(&network);
        let sender = Sender::start(rpc, purse.vault(), purse.account.0, Box::new(folder), options)?;
        Ok(Hand { sender })
    }

    async fn step(&self, from: Account, what: String, intent: Intent) -> Result<Step, Fault> {
        let fee = self.tokens.forecast(from, &intent).await?.fee;
        Ok(Step { what, fee, intent })
    }
}

fn faucet_waits(to: Account) -> Fault {
    Fault::new(FaultCode::ChainRefused, format!("the faucet has given to {to} within the hour"))
        .hint("wait for an hour")
}

/// Does steps, as one account.
#[derive(Clone, Debug)]
pub struct Hand {
    sender: Sender,
}

impl Hand {
    /// Does a step; returns when it counts, as deep in the chain as the chain needs it.
    pub async fn take(&self, step: Step) -> Result<Done, Fault> {
        let landed = self.sender.send(step.intent, Until::Final).await?;
        let fee = u128::from(landed.gas).saturating_mul(landed.gas_price);
        Ok(Done {
            transaction: TxHash(landed.hash),
            block: landed.block,
            fee: Amount::new(computepool_core::money::U256::from(fee), Asset::Native),
        })
    }
}
