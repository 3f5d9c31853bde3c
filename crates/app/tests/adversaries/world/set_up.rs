//! What is there before a test begins.

use std::fs::File;
use std::path::Path;

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolCall;
use computepool_chain::ChainError;
use computepool_chain::coalitions::Founding;
use computepool_chain::deployment::AddressBook;
use computepool_chain::devnet::{AnvilOptions, Devnet, DevnetOptions, find_anvil};
use computepool_chain::rpc::Rpc;
use computepool_chain::sender::{Forgetful, Sender, SenderOptions};
use computepool_core::ports::CoalitionId;
use computepool_core::{Account, Amount, CoalitionTerms, ContentHash, FoundedPlace, LayerRange};
use computepool_wallet::Wallet;
use serde_json::{Value, json};

use super::{People, eventually, people};
use crate::contracts::{Coalition, Usdc};

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
pub(super) async fn coalition(devnet: &Devnet, rpc: &Rpc, wallet: &Wallet, people: &People) -> CoalitionId {
    let book = &devnet.book;
    let _: Value = rpc.request("anvil_setBlockTimestampInterval", json!([1])).await.unwrap();
    let options = SenderOptions::of(&devnet.network);
    let outbox = Box::new(Forgetful::default());
    let owner = Sender::start(rpc.clone(), people::vault(wallet), people.owner.0, outbox, options).unwrap();
    let founding = Founding::new(owner, book);
    let place = |start, end, holder| FoundedPlace { layers: LayerRange::new(start, end).unwrap(), holder, bond: false };
    let terms = CoalitionTerms {
        model: ContentHash([2; 32]),
        places: vec![place(0, 5, people.first), place(5, 8, people.second)],
        unit_rate: Amount::usdcx(125_000_000_000),
        fee_bps: 0,
        royalty_bps: 250,
        owner: people.author,
        stake: Amount::usdc(1_000_000),
        arbiter: people.owner,
        meter: people.meter,
        exit_delay_s: 86_400,
        deadline_s: rpc.time().await.unwrap() + 86_400,
        salt: B256::ZERO,
    };
    let id = founding.propose(&terms).await.unwrap();
    for (place, who) in [(0, people.first), (1, people.second)] {
        join(rpc, book, id.0, place, who).await;
    }
    founding.activate(id).await.unwrap();
    join(rpc, book, id.0, 1, people.stand_in).await;
    id
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
