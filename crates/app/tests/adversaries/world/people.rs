//! Who there is: anvil's well-known accounts. A wallet signs for the owner, the meter and the payer as it does in a
//! running process; for all others, and for what no wallet would sign, anvil does.

use std::path::Path;
use std::sync::{Arc, Mutex};

use computepool_chain::Network;
use computepool_chain::deployment::{AddressBook, Plan};
use computepool_core::ports::{Purpose, Vault};
use computepool_core::{Account, Amount, Asset, ChainId};
use computepool_wallet::{Contracts, Deployed, Effort, Keeping, Limit, Limits, Origin, Secret, Wallet, Wallets};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::clock::Watch;

/// What anvil's accounts come from, at m/44'/60'/0'/0/n.
const PHRASE: &str = "test test test test test test test test test test test junk";
/// The factory of CREATE2 that chains bring, and who creates ERC-1820's registry: a deployment pays and calls them.
const BROUGHT: [&str; 2] = ["0x4e59b44847b379578588920cA78FbF26c0B4956C", "0xa990077c3205cbDf861e17Fa532eeB069cE9fF96"];

/// The people, by what they are here for. All but the pauper have 1,000 USDC.
#[derive(Clone, Debug)]
pub(crate) struct People {
    /// Deploys.
    pub(crate) owner: Account,
    /// The orchestrator's key.
    pub(crate) meter: Account,
    pub(crate) payer: Account,
    /// Whoever works together with somebody dishonest, or stands beside.
    pub(crate) other: Account,
    /// Holds layers 0 to 4.
    pub(crate) first: Account,
    /// Holds layers 5 to 7.
    pub(crate) second: Account,
    pub(crate) stand_in: Account,
    /// Has no USDC.
    pub(crate) pauper: Account,
    /// Of the model: gets the royalty.
    pub(crate) author: Account,
    pub(crate) stranger: Account,
}

impl People {
    pub(crate) fn of(accounts: &[Account]) -> Self {
        let [owner, meter, payer, other, first, second, stand_in, pauper, author, stranger] = accounts else {
            panic!("anvil has ten accounts, and not {}", accounts.len())
        };
        Self {
            owner: *owner,
            meter: *meter,
            payer: *payer,
            other: *other,
            first: *first,
            second: *second,
            stand_in: *stand_in,
            pauper: *pauper,
            author: *author,
            stranger: *stranger,
        }
    }

    pub(crate) fn all(&self) -> [Account; 10] {
        let Self { owner, meter, payer, other, first, second, stand_in, pauper, author, stranger } = *self;
        [owner, meter, payer, other, first, second, stand_in, pauper, author, stranger]
    }

    /// Who gets USDC from the faucet.
    pub(crate) fn funded(&self) -> Vec<Account> {
        vec![self.payer, self.other, self.first, self.second, self.stand_in]
    }

    /// Everybody who can be a member of the pool.
    pub(crate) fn paid(&self) -> [Account; 4] {
        [self.first, self.second, self.stand_in, self.author]
    }
}

/// An open wallet with all of anvil's accounts. It may deploy, and pay vouchers of 1,000 USDC altogether.
pub(crate) fn wallet(folder: &Path, clock: &Arc<Watch>) -> Wallet {
    let random = Arc::new(Mutex::new(StdRng::from_os_rng()));
    let wallets = Wallets::with(folder, clock.clone(), random, Effort::Standard).unwrap();
    let name = "everybody".parse().unwrap();
    let words = Origin::Words(Secret::new(PHRASE.to_owned()));
    wallets.create(&name, Keeping::Memory, words, None).unwrap();
    while wallets.show(&name).unwrap().accounts.len() < 10 {
        wallets.add_account(&name, None).unwrap();
    }
    let mut limits = Limits { signatures_per_hour: 10_000, ..Limits::default() };
    let gas = Amount::parse("100", Asset::Native).unwrap();
    for purpose in [Purpose::Deployment, Purpose::Session, Purpose::Coalition, Purpose::Keeper, Purpose::Transfer] {
        limits.set(Limit::flat(purpose, ChainId::DEVNET, gas));
    }
    limits.set(Limit::flat(Purpose::Voucher, ChainId::DEVNET, Amount::usdc(1_000_000_000)));
    wallets.set_limits(&name, &limits).unwrap();
    let wallet = wallets.wallet(&name, Contracts::default()).unwrap();
    wallet.unlock(None, None).unwrap();
    let owner = wallet.card().accounts[0];
    let book = Plan::new(&Network::devnet("http://127.0.0.1:1"), owner.0).unwrap().book;
    wallet.know(contracts(&book));
    wallet
}

fn contracts(book: &AddressBook) -> Contracts {
    let mut set_up: Vec<Account> = BROUGHT.iter().map(|address| address.parse().unwrap()).collect();
    set_up.push(book.deployer);
    let mut contracts = Contracts { creations: vec![book.chain_id], ..Contracts::default() };
    contracts.add(Deployed {
        usdc: book.token(),
        usdcx: book.usdcx,
        coalition: book.coalition,
        session_escrow: book.session_escrow,
        set_up,
    });
    contracts
}

/// The wallet as what signs.
pub(crate) fn vault(wallet: &Wallet) -> Arc<dyn Vault> {
    Arc::new(wallet.clone())
}
