//! Sources that lie, stall or break, and statements that do not count.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::Weights as _;
use computepool_core::{FaultCode, Sealed, WeightSource};
use computepool_weights::SupplyOptions;

use crate::fetching::stocked;
use crate::model::{BLOCK, LAYERS, Owner, TestShelf, brisk, ensure, model, range};
use crate::peers::{Peer, Peers};
use crate::web::{Manner, Server};

#[tokio::test]
async fn a_poisoned_block_is_refused_and_its_sender_not_asked_again() {
    for bad in [Peer::Poisoned, Peer::Short, Peer::Garbage] {
        let model = model(11);
        let honest = stocked(&model, 0..6).await;
        let peers = Peers::default().with("bad", range(0, LAYERS), bad).with(
            "good",
            range(0, LAYERS),
            Peer::Honest(Arc::clone(&honest.shelf)),
        );
        let peers = Arc::new(peers);
        let shelf = TestShelf::new();
        let options = SupplyOptions { requests_per_peer: 1, ..brisk() };
        let supply = shelf.supply_with(Some(peers.clone()), options);
        ensure(&supply, &model, range(0, 3), &[]).await.unwrap();
        assert!(model.is_there(&shelf, range(0, 3)));
        assert_eq!(supply.offenders(), [("bad".to_owned(), 1)]);
        ensure(&supply, &model, range(0, LAYERS), &[]).await.unwrap();
        assert_eq!(peers.asked("bad"), 1, "nor in a later fetch");
    }
}

#[tokio::test]
async fn where_only_liars_are_left_the_fault_says_so() {
    let model = model(12);
    let peers = Arc::new(Peers::default().with("bad", range(0, LAYERS), Peer::Poisoned));
    let shelf = TestShelf::new();
    let fault = ensure(&shelf.supply(Some(peers)), &model, range(0, 2), &[]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::BadBlock, "{fault}");
    assert!(fault.message.contains("peer bad"), "{fault}");
    assert!(shelf.shelf.held().is_empty());

    let poisoned = Server::start(&model, Manner::Poisoned).await;
    let supply = shelf.supply(None);
    let fault = ensure(&supply, &model, range(0, 2), &[&poisoned.url]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::BadBlock, "{fault}");
    let [(offender, _)] = supply.offenders().try_into().unwrap();
    assert!(offender.starts_with(&poisoned.url));
}

#[tokio::test]
async fn peers_that_do_not_deliver_are_left_for_the_web() {
    for bad in [Peer::Silent, Peer::Empty, Peer::Lost] {
        let model = model(13);
        let server = Server::start(&model, Manner::Well).await;
        let peers = Peers::default().with("bad", range(0, LAYERS), bad);
        let shelf = TestShelf::new();
        // The web would leave to peers what they say to have for longer than the test may take.
        let options = SupplyOptions { stall: Duration::from_millis(50), ..brisk() };
        let supply = shelf.supply_with(Some(Arc::new(peers)), options);
        ensure(&supply, &model, range(1, 4), &[&server.url]).await.unwrap();
        assert_eq!(server.bytes(), model.bytes(range(1, 4)));
        assert!(supply.offenders().is_empty());
    }
}

#[tokio::test]
async fn a_lying_server_is_left_for_the_next() {
    let manners = [
        Manner::Poisoned,
        Manner::OtherRange,
        Manner::Cut,
        Manner::Silent,
        Manner::Status(404),
        Manner::Status(403),
        Manner::Status(416),
        Manner::Status(500),
    ];
    for manner in manners {
        let model = model(14);
        let bad = Server::start(&model, manner).await;
        let good = Server::start(&model, Manner::Well).await;
        let shelf = TestShelf::new();
        let options = SupplyOptions { stall: Duration::from_millis(200), web_attempts: 2, ..brisk() };
        let supply = shelf.supply_with(None, options);
        ensure(&supply, &model, range(1, 4), &[&bad.url, &good.url]).await.unwrap();
        assert!(model.is_there(&shelf, range(1, 4)), "{manner:?}");
        assert!(bad.requests() <= 12, "{manner:?} was asked {} times", bad.requests());
        assert_eq!(supply.offenders().len(), usize::from(manner == Manner::Poisoned), "{manner:?}");
    }
}

#[tokio::test]
async fn servers_that_only_have_their_own_ways_are_borne_with() {
    for manner in [Manner::Elsewhere, Manner::StatusAtFirst(503, 3), Manner::StatusAtFirst(429, 2), Manner::Whole] {
        let model = model(15);
        let server = Server::start(&model, manner).await;
        let shelf = TestShelf::new();
        ensure(&shelf.supply(None), &model, range(1, 4), &[&server.url]).await.unwrap();
        assert!(model.is_there(&shelf, range(1, 4)), "{manner:?}");
        if manner != Manner::Whole {
            assert_eq!(server.bytes(), model.bytes(range(1, 4)), "{manner:?}");
        }
    }
}

#[tokio::test]
async fn faults_of_the_web_have_names() {
    let expected = [
        (Manner::Status(404), FaultCode::ModelNotFound),
        (Manner::Status(401), FaultCode::Unauthorized),
        (Manner::Status(429), FaultCode::RateLimited),
        (Manner::Status(503), FaultCode::NoCapacity),
        (Manner::Silent, FaultCode::Stalled),
        (Manner::Cut, FaultCode::LinkLost),
        (Manner::OtherRange, FaultCode::ProtocolViolation),
    ];
    for (manner, code) in expected {
        let model = model(16);
        let server = Server::start(&model, manner).await;
        let shelf = TestShelf::new();
        let options = SupplyOptions { stall: Duration::from_millis(100), web_attempts: 2, web_requests: 1, ..brisk() };
        // One block, so that the half that comes of it is of no use.
        let options = SupplyOptions { run_bytes: BLOCK, ..options };
        let fault = ensure(&shelf.supply_with(None, options), &model, range(2, 3), &[&server.url]).await.unwrap_err();
        assert_eq!(fault.code, code, "{manner:?}: {fault}");
        assert!(fault.message.contains(&server.url), "{fault}");
    }
}

#[tokio::test]
async fn only_the_owners_manifest_of_this_model_counts() {
    let (model, other) = (model(17), model(18));
    let shelf = TestShelf::new();
    let supply = shelf.supply(None);
    let refused = async |source: WeightSource| {
        supply.ensure(model.hash(), range(0, 1), Some(&source), &|_| ()).await.unwrap_err().code
    };
    let urls = vec!["http://127.0.0.1:9/".to_owned()];
    let by = |sealed: Sealed| WeightSource { manifest: sealed, urls: urls.clone() };
    let stranger = Sealed::seal(&model.manifest, &Owner("stranger")).unwrap();
    assert_eq!(refused(by(stranger.clone())).await, FaultCode::BadSignature);
    let forged = Sealed { by: model.sealed.by.clone(), ..stranger };
    assert_eq!(refused(by(forged)).await, FaultCode::BadSignature);
    let mut changed = model.sealed.clone();
    changed.body[40] ^= 1;
    assert_eq!(refused(by(changed)).await, FaultCode::BadSignature);
    assert_eq!(refused(by(other.sealed)).await, FaultCode::InvalidRequest);
    let file = WeightSource { manifest: model.sealed.clone(), urls: vec!["file:///etc/".to_owned()] };
    assert_eq!(refused(file).await, FaultCode::InvalidRequest);
    assert!(shelf.shelf.held().is_empty());
    let fault = ensure(&supply, &model, range(4, LAYERS + 1), &[]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::InvalidRequest, "{fault}");
}
