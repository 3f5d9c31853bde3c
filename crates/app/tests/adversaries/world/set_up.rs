//! What is there before a test begins.

use std::fs::File;
use std::path::Path;

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolCall;
use computepool_chain::ChainError;
use computepool_chain::deployment::AddressBook;
use computepool_chain::devnet::{AnvilOptions, Devnet, DevnetOptions, find_anvil};
use computepool_chain::rpc::Rpc;
use computepool_core::Account;
use computepool_core::ports::CoalitionId;
use computepool_wallet::Wallet;
use serde_json::{Value, json};

use super::{People, eventually, people};
use crate::contracts::{Coalition, Place, Terms, Usdc};

/// A devnet from its snapshot. The first test of all makes it, while the others wait.
pub(super) async fn devnet(wallet: &Wallet) -> Devnet {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = find_anvil(here).expect("anvil: `scripts/setup contracts` installs it");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adversaries");
    std::fs::create_dir_all(&cache).unwrap();
    let turn = File::create(cache.join("turn")).unwrap();
    turn.lock().unwrap();
    let people = People::of(&wallet.card().accounts);
    let anvil = AnvilOptions { program, port: 0, block_time: None, phrase: None };
    let options = DevnetOptions { anvil, cache, owner: people.owner, funded: people.funded() };
    Devnet::start(&options, people::vault(wallet)).await.unwrap()
}

/// Two founders with stakes and a stand-in for the second place; the author has a fortieth.
pub(super) async fn coalition(rpc: &Rpc, book: &AddressBook, people: &People) -> CoalitionId {
    let _: Value = rpc.request("anvil_setBlockTimestampInterval", json!([1])).await.unwrap();
    let place = |start, end, holder: Account| Place { start, end, holder: holder.0, bond: false };
    let terms = Terms {
        model: B256::repeat_byte(2),
        places: vec![place(0, 5, people.first), place(5, 8, people.second)],
        unitRate: "125000000000".parse().unwrap(),
        feeBps: 0,
        royaltyBps: 250,
        owner: people.author.0,
        stake: 1_000_000,
        arbiter: people.owner.0,
        meter: people.meter.0,
        exitDelay: 86_400,
        deadline: rpc.time().await.unwrap() + 86_400,
        salt: B256::ZERO,
    };
    let id = rpc.call(book.coalition.0, &Coalition::termsIdCall { terms: terms.clone() }).await.unwrap();
    does(rpc, people.owner, book.coalition, &Coalition::proposeCall { terms }).await;
    for (place, who) in [(0, people.first), (1, people.second)] {
        join(rpc, book, id, place, who).await;
    }
    does(rpc, people.owner, book.coalition, &Coalition::activateCall { id }).await;
    join(rpc, book, id, 1, people.stand_in).await;
    CoalitionId(id)
}

async fn join(rpc: &Rpc, book: &AddressBook, id: B256, place: u16, who: Account) {
    let stake = Usdc::approveCall { spender: book.coalition.0, amount: "1000000".parse().unwrap() };
    does(rpc, who, book.usdc, &stake).await;
    does(rpc, who, book.coalition, &Coalition::signCall { id, place }).await;
}

/// Hands a transaction of somebody's to the chain. Anvil holds the keys of its accounts.
pub(super) async fn send(
    rpc: &Rpc,
    who: Account,
    to: Account,
    call: &impl SolCall,
    more: Value,
) -> Result<B256, ChainError> {
    // Streams are settled by the second: what is estimated now may not do for the next block.
    let gas = "0x2dc6c0";
    let mut transaction = json!({ "from": who, "to": to, "gas": gas, "input": Bytes::from(call.abi_encode()) });
    for (name, value) in more.as_object().unwrap() {
        transaction[name] = value.clone();
    }
    rpc.request("eth_sendTransaction", (transaction,)).await
}

/// The same for one that must succeed; waits for it.
pub(super) async fn does(rpc: &Rpc, who: Account, to: Account, call: &impl SolCall) {
    let hash = send(rpc, who, to, call, json!({})).await.unwrap();
    let receipt = eventually("a block", async || rpc.receipt(hash).await.unwrap()).await;
    assert!(receipt.status(), "{receipt:?}");
}
