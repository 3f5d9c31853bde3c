use std::sync::atomic::Ordering;
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, U256};
use computepool_chain::ChainError;
use computepool_chain::sender::{Folder, Intent, SenderOptions, Until};
use computepool_core::ports::Purpose;
use futures::future::join_all;

use crate::Chain;

const TO: Address = Address::repeat_byte(0x77);

fn gift(wei: u64) -> Intent {
    Intent::new("a gift", Purpose::Transfer, TO).paying(U256::from(wei))
}

#[tokio::test]
async fn many_at_once_get_a_nonce_each() {
    let chain = Chain::start().await;
    let sender = chain.sender();
    let landed = join_all((0..12).map(|_| sender.send(gift(1), Until::Final))).await;
    assert!(landed.iter().all(Result::is_ok), "{landed:?}");
    assert_eq!(chain.rpc.balance(TO).await.unwrap(), U256::from(12));
}

#[tokio::test]
async fn the_same_intent_happens_once() {
    let chain = Chain::start().await;
    let sender = chain.sender();
    let intent = gift(5);
    let (first, second) =
        tokio::join!(sender.send(intent.clone(), Until::Final), sender.send(intent.clone(), Until::Final));
    assert_eq!(first.unwrap(), second.unwrap());
    sender.send(intent, Until::Final).await.unwrap();
    assert_eq!(chain.rpc.balance(TO).await.unwrap(), U256::from(5));
    assert_eq!(chain.key.signed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_would_fail_is_not_sent() {
    let chain = Chain::start().await;
    let sender = chain.sender();
    let all = chain.rpc.balance(sender.account()).await.unwrap();
    let error = sender.send(gift(0).paying(all), Until::Final).await.unwrap_err();
    assert!(matches!(error, ChainError::Funds { .. } | ChainError::Reverted { .. }), "{error}");
    assert_eq!(chain.key.signed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_under_way_in_a_former_life_lands_once() {
    let chain = Chain::start().await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = || Box::new(Folder::open(folder.path(), 31_337, chain.key.account.0).unwrap());
    let impatient = SenderOptions { wait: Duration::from_millis(300), ..SenderOptions::of(&chain.network) };
    chain.tell("evm_setAutomine", (false,)).await;
    let intent = gift(9);
    let sender = chain.sender_with(outbox(), impatient);
    let error = sender.send(intent.clone(), Until::Final).await.unwrap_err();
    assert!(error.is_open(), "{error}");
    drop(sender);

    // The chain forgets it; whoever comes next finds it in the outbox.
    chain.tell("anvil_dropAllTransactions", ()).await;
    chain.tell("evm_setAutomine", (true,)).await;
    let sender = chain.sender_with(outbox(), SenderOptions::of(&chain.network));
    sender.send(intent, Until::Final).await.unwrap();
    assert_eq!(chain.rpc.balance(TO).await.unwrap(), U256::from(9));
    assert_eq!(chain.key.signed.load(Ordering::SeqCst), 1, "byte for byte the same");
    assert!(
        std::fs::read_dir(folder.path().join("31337").join(chain.key.account.to_string())).unwrap().next().is_none()
    );
}

#[tokio::test]
async fn what_is_stuck_is_replaced_by_one_that_pays_more() {
    let chain = Chain::start().await;
    let options = SenderOptions { stuck: Duration::from_millis(200), ..SenderOptions::of(&chain.network) };
    chain.tell("evm_setAutomine", (false,)).await;
    let sender = chain.sender_with(Box::new(computepool_chain::sender::Forgetful::default()), options);
    let sending = sender.send(gift(3), Until::Final);
    let mining = async {
        while chain.key.signed.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        chain.tell("evm_setAutomine", (true,)).await;
        chain.tell("evm_mine", ()).await;
    };
    let (landed, ()) = tokio::join!(sending, mining);
    landed.unwrap();
    assert_eq!(chain.rpc.balance(TO).await.unwrap(), U256::from(3));
    assert_eq!(chain.rpc.nonce(sender.account(), BlockNumberOrTag::Latest).await.unwrap(), 1);
}

#[tokio::test]
async fn a_reorganisation_undoes_nothing() {
    let chain = Chain::start().await;
    let options = SenderOptions { depth: 3, stuck: Duration::from_millis(800), ..SenderOptions::of(&chain.network) };
    let sender = chain.sender_with(Box::new(computepool_chain::sender::Forgetful::default()), options);
    let before: U256 = chain.rpc.request("evm_snapshot", ()).await.unwrap();
    let intent = gift(4);
    sender.send(intent.clone(), Until::Included).await.unwrap();
    let _: bool = chain.rpc.request("evm_revert", (before,)).await.unwrap();
    assert_eq!(chain.rpc.balance(TO).await.unwrap(), U256::ZERO, "gone");
    let mining = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            chain.tell("evm_mine", ()).await;
        }
    };
    let landed = tokio::select! {
        landed = sender.send(intent, Until::Final) => landed,
        () = mining => unreachable!("it mines for ever"),
    };
    landed.unwrap();
    assert_eq!(chain.rpc.balance(TO).await.unwrap(), U256::from(4));
}

#[tokio::test]
async fn a_key_that_is_used_elsewhere_is_noticed() {
    let chain = Chain::start().await;
    chain.tell("evm_setAutomine", (false,)).await;
    let options = SenderOptions { wait: Duration::from_millis(300), ..SenderOptions::of(&chain.network) };
    let sender = chain.sender_with(Box::new(computepool_chain::sender::Forgetful::default()), options);
    assert!(sender.send(gift(1), Until::Final).await.unwrap_err().is_open());
    // Another program with the same key, in a second queue: it sees what waits, and takes the next nonce.
    let other = chain.sender();
    let second = tokio::spawn(async move { other.send(gift(2), Until::Final).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    chain.tell("evm_setAutomine", (true,)).await;
    chain.tell("evm_mine", ()).await;
    second.await.unwrap().unwrap();
    assert_eq!(chain.rpc.balance(TO).await.unwrap(), U256::from(3));
}
