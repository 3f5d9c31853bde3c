//! What is fetched, from whom, and that it is fetched once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_core::ports::{BlockShelf as _, FetchProgress, Weights as _};
use computepool_core::{FaultCode, HeldModel};
use computepool_weights::SupplyOptions;

use crate::model::{BLOCK, LAYERS, Model, TestShelf, brisk, ensure, model, model_in_blocks, range};
use crate::peers::{Peer, Peers};
use crate::web::{Manner, Server};

/// A shelf that has these layers already.
pub(crate) async fn stocked(model: &Model, layers: std::ops::Range<u32>) -> TestShelf {
    let shelf = TestShelf::new();
    let server = Server::start(model, Manner::Well).await;
    ensure(&shelf.supply(None), model, range(layers.start, layers.end), &[&server.url]).await.unwrap();
    shelf
}

#[tokio::test]
async fn only_the_bytes_of_the_range_are_fetched_and_only_once() {
    let model = model(1);
    let server = Server::start(&model, Manner::Well).await;
    let shelf = TestShelf::new();
    let supply = shelf.supply(None);
    let middle = range(2, 5);
    let progress = ensure(&supply, &model, middle, &[&server.url]).await.unwrap();
    let bytes = model.bytes(middle);
    assert_eq!(
        FetchProgress { rate: 0, ..progress },
        FetchProgress { needed: bytes, present: bytes, ..Default::default() }
    );
    assert_eq!(server.bytes(), bytes);
    assert!(model.is_there(&shelf, middle) && !model.is_there(&shelf, range(0, 1)));
    // Runs of two blocks, cut at block borders.
    for (name, part) in server.ranges() {
        let length = model.files.iter().find(|(known, _)| *known == name).unwrap().1.len() as u64;
        assert!(part.start % BLOCK == 0 && (part.end % BLOCK == 0 || part.end == length), "{name} {part:?}");
        assert!(part.end - part.start <= 2 * BLOCK);
    }
    assert_eq!(shelf.shelf.held(), [HeldModel { model: model.hash(), layers: Some(middle) }]);

    // A wider range costs only what is new, the same range nothing; then no source is needed either.
    ensure(&supply, &model, range(1, 5), &[&server.url]).await.unwrap();
    assert_eq!(server.bytes(), model.bytes(range(1, 5)));
    ensure(&supply, &model, middle, &[&server.url]).await.unwrap();
    supply.ensure(model.hash(), middle, None, &|_| ()).await.unwrap();
    let fault = supply.ensure(model.hash(), range(0, 5), None, &|_| ()).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::ModelNotFound);
    assert_eq!(server.bytes(), model.bytes(range(1, 5)));
}

#[tokio::test]
async fn half_comes_from_a_peer_and_half_from_the_web() {
    let model = model(2);
    let other = stocked(&model, 0..3).await;
    let server = Server::start(&model, Manner::Well).await;
    let peers = Arc::new(Peers::default().with("peer", range(0, 3), Peer::Honest(Arc::clone(&other.shelf))));
    let shelf = TestShelf::new();
    let supply = shelf.supply(Some(peers.clone()));
    let all = range(0, LAYERS);
    let progress = ensure(&supply, &model, all, &[&server.url]).await.unwrap();
    assert!(model.is_there(&shelf, all));
    assert_eq!(progress.from_peers, model.bytes(range(0, 3)));
    assert_eq!(server.bytes(), model.bytes(all) - model.bytes(range(0, 3)), "nothing is fetched twice");
    assert_eq!(shelf.shelf.held(), [HeldModel { model: model.hash(), layers: None }]);
    peers.told.notified().await;
    assert_eq!(*peers.announced.lock().unwrap(), [(model.hash(), all)]);
}

#[tokio::test]
async fn without_a_web_server_peers_are_enough() {
    let model = model(3);
    let (first, second) = (stocked(&model, 0..4).await, stocked(&model, 3..6).await);
    let peers = Peers::default().with("first", range(0, 4), Peer::Honest(Arc::clone(&first.shelf))).with(
        "second",
        range(3, 6),
        Peer::BusyAtFirst(3, Arc::clone(&second.shelf)),
    );
    let shelf = TestShelf::new();
    let all = range(0, LAYERS);
    let progress = ensure(&shelf.supply(Some(Arc::new(peers))), &model, all, &[]).await.unwrap();
    assert!(model.is_there(&shelf, all));
    assert_eq!(progress.from_peers, model.bytes(all));
}

#[tokio::test]
async fn the_web_helps_when_peers_have_been_alone_long_enough() {
    let model = model(4);
    let server = Server::start(&model, Manner::Well).await;
    let peers = Peers::default().with("silent", range(0, LAYERS), Peer::Silent);
    let shelf = TestShelf::new();
    // The peer may be silent for longer than the test has; one block for each of its requests is all it holds up.
    let options = SupplyOptions { peers_alone: Duration::from_millis(1), stall: Duration::from_millis(300), ..brisk() };
    let supply = shelf.supply_with(Some(Arc::new(peers)), options);
    ensure(&supply, &model, range(0, LAYERS), &[&server.url]).await.unwrap();
    assert_eq!(server.bytes(), model.bytes(range(0, LAYERS)));
    assert!(supply.offenders().is_empty(), "to be slow is no offence");
}

#[tokio::test]
async fn a_fetch_that_was_dropped_goes_on_where_it_was() {
    let model = model(5);
    let server = Server::start(&model, Manner::Well).await;
    let shelf = TestShelf::new();
    let all = range(0, LAYERS);
    // Slow enough to be caught in the middle.
    let slow = SupplyOptions { bytes_per_second: Some(BLOCK * 40), web_requests: 1, ..brisk() };
    let supply = shelf.supply_with(None, slow);
    let source = model.source(&[&server.url]);
    let (tell, mut told) = tokio::sync::watch::channel(0);
    let progress = move |progress: FetchProgress| tell.send_replace(progress.present);
    let progress = move |at| _ = progress(at);
    tokio::select! {
        _ = supply.ensure(model.hash(), all, Some(&source), &progress) => panic!("it was not slow"),
        _ = told.wait_for(|present| *present >= 4 * BLOCK) => {}
    }
    let had = *told.borrow();
    drop(supply);
    let shelf = shelf.reopened();
    let before = server.bytes();
    let mut first = None;
    let supply = shelf.supply(None);
    let noted = std::sync::Mutex::new(&mut first);
    let note = |progress: FetchProgress| {
        noted.lock().unwrap().get_or_insert(progress.present);
    };
    supply.ensure(model.hash(), all, Some(&source), &note).await.unwrap();
    assert!(model.is_there(&shelf, all));
    let kept = first.unwrap();
    assert!(kept >= had, "{kept} of {had} bytes were kept");
    assert_eq!(server.bytes() - before, model.bytes(all) - kept);
}

#[tokio::test]
async fn the_limit_on_bytes_a_second_is_kept() {
    let model = model(6);
    let server = Server::start(&model, Manner::Well).await;
    let shelf = TestShelf::new();
    let layers = range(1, 3);
    let options = SupplyOptions { bytes_per_second: Some(model.bytes(layers)), ..brisk() };
    let supply = shelf.supply_with(None, options);
    let started = Instant::now();
    ensure(&supply, &model, layers, &[&server.url]).await.unwrap();
    // A second's worth; the last part needs no waiting for.
    let took = started.elapsed();
    assert!(took > Duration::from_millis(600), "{took:?}");
}

#[tokio::test]
async fn a_model_that_is_lent_is_given_to_peers_and_need_not_be_fetched() {
    let model = model(7);
    let folder = model.write();
    let owner = TestShelf::new();
    owner.shelf.lend(&model.sealed, folder.path()).unwrap();
    assert_eq!(owner.shelf.path(&model.hash()).unwrap(), folder.path());
    assert_eq!(owner.shelf.held(), [HeldModel { model: model.hash(), layers: None }]);
    assert_eq!(owner.shelf.bytes(), 0, "it takes no room on the shelf");
    ensure(&owner.supply(None), &model, range(0, LAYERS), &[]).await.unwrap();

    let peers = Peers::default().with("owner", range(0, LAYERS), Peer::Honest(Arc::clone(&owner.shelf)));
    let shelf = TestShelf::new();
    ensure(&shelf.supply(Some(Arc::new(peers))), &model, range(2, 4), &[]).await.unwrap();
    assert!(model.is_there(&shelf, range(2, 4)));

    // Another block size does not make it fetched.
    let coarser = model_in_blocks(7, 2 * BLOCK);
    ensure(&owner.supply(None), &coarser, range(0, LAYERS), &[]).await.unwrap();
    assert!(owner.shelf.read(coarser.manifest.files[1].blocks[0]).await.is_some());
    owner.shelf.lend(&model.sealed, folder.path()).unwrap();

    // A file that changes after it was lent is not given away.
    let path = folder.path().join("second.bin");
    std::fs::write(&path, vec![0; std::fs::metadata(&path).unwrap().len() as usize]).unwrap();
    assert_eq!(owner.shelf.read(model.manifest.files[1].blocks[0]).await, None);
    assert!(owner.shelf.read(model.manifest.files[0].blocks[0]).await.is_some());
}
