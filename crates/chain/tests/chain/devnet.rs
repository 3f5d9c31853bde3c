use std::sync::Arc;

use computepool_chain::deployment::wiring;
use computepool_chain::devnet::{Devnet, DevnetOptions};
use computepool_chain::rpc::{Patience, Rpc};
use computepool_core::money::Account;

use crate::anvil_options;
use crate::key::KnownKey;

#[tokio::test]
async fn a_devnet_is_deployed_once_and_loaded_ever_after() {
    let cache = tempfile::tempdir().unwrap();
    let key = Arc::new(KnownKey::new());
    let funded = vec![Account::new([3; 20])];
    let options = DevnetOptions { anvil: anvil_options(), cache: cache.path().to_owned(), owner: key.account, funded };
    let first = Devnet::start(&options, key.clone()).await.unwrap();
    assert!(!first.loaded);
    let book = first.book.clone();
    first.anvil.end().await;

    let second = Devnet::start(&options, key.clone()).await.unwrap();
    assert!(second.loaded);
    assert_eq!(second.book, book);
    let rpc = Rpc::new(&second.network, Patience::default()).unwrap();
    wiring(&rpc, &second.network, &book).await.unwrap();

    // A damaged snapshot is made anew.
    let file = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, b"{").unwrap();
    assert!(!Devnet::start(&options, key).await.unwrap().loaded);
}
