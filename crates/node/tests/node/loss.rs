//! Engines die, lanes break.

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{FaultCode, Lane};

use crate::kit::{Cluster, expected};

#[tokio::test]
async fn an_engine_that_dies_in_the_middle_is_named_and_comes_back() {
    for victim in 0..3 {
        let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
        let session = cluster.open_session().await;
        let generation = cluster.begin(&session, &[1; 40], 900).await;
        let waiting = cluster.open(&session, &[1; 4], 4).await;
        cluster.some_tokens(generation, 1).await;
        let engine = &cluster.machines[victim].engine;
        engine.kill().await;
        for lost in [generation, waiting] {
            assert_eq!(cluster.failed(victim, lost).await.code, FaultCode::EngineLost);
            // Whoever comes after it in the ring is told by a neighbour.
            assert_eq!(cluster.failed((victim + 1) % 3, lost).await.code, FaultCode::EngineLost);
        }
        cluster
            .heard("down", |who, message| match message {
                NodeMessage::ShardDown { assignment: 1, fault } if who == victim => Some(fault.clone()),
                _ => None,
            })
            .await;
        let early = cluster.ask(&session, &[1; 4], 4).await;
        assert_eq!(cluster.failed(victim, early).await.code, FaultCode::EngineLost);
        for closing in [generation, waiting, early] {
            cluster.close(closing).await;
        }
        engine.revive().await;
        let ready = |_: usize, message: &NodeMessage| matches!(message, NodeMessage::ShardReady { assignment: 1, .. });
        cluster.until("ready again", || cluster.count(ready) == 4).await;
        // The lanes are as good as before.
        cluster.run(&session, &[1; 40], 20).await;
        assert_eq!(cluster.machines[victim].engine.loads.load(std::sync::atomic::Ordering::SeqCst), 1);
        cluster.end().await;
    }
}

#[tokio::test]
async fn a_generation_the_engine_gives_up_fails_once_under_its_own_name() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &[1; 40], 900).await;
    cluster.some_tokens(generation, 1).await;
    cluster.machines[1].engine.fail(generation, FaultCode::BadGrammar).await;
    for i in 0..2 {
        assert_eq!(cluster.failed(i, generation).await.code, FaultCode::BadGrammar);
    }
    let receipts = cluster.close(generation).await;
    assert!(receipts.iter().all(|receipt| receipt.is_some()), "work done is accounted for, however it ended");
    assert_eq!(cluster.count(|_, m| matches!(m, NodeMessage::GenerationFailed { .. })), 2);
    cluster.run(&session, &[2; 9], 5).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_lost_lane_fails_its_session_alone() {
    for (from, lane) in [(0, Lane::Decode), (1, Lane::Decode), (2, Lane::Return)] {
        let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
        let (session, other) = (cluster.open_session().await, cluster.open_session().await);
        let generation = cluster.begin(&session, &[1; 40], 900).await;
        let safe = cluster.begin(&other, &[3; 40], 300).await;
        cluster.some_tokens(generation, 1).await;
        cluster.net.cut(session.session, &cluster.machines[from].id, lane);
        assert_eq!(cluster.failed((from + 1) % 3, generation).await.code, FaultCode::LinkLost);
        let next = cluster.ask(&session, &[1; 4], 4).await;
        assert_eq!(cluster.failed((from + 1) % 3, next).await.code, FaultCode::LinkLost);
        cluster.close(generation).await;
        cluster.close(next).await;
        assert_eq!(cluster.tokens(safe).await, expected(&[3; 40], 300));
        cluster.close(safe).await;
        let again = cluster.open_session().await;
        cluster.run(&again, &[1; 40], 9).await;
        cluster.end().await;
    }
}

#[tokio::test]
async fn a_neighbour_that_stops_reading_is_named() {
    for lane in [Lane::Prefill, Lane::Decode] {
        let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
        let session = cluster.open_session().await;
        let generation = cluster.open(&session, &[1; 40], 900).await;
        cluster.net.give_up(session.session, &cluster.machines[0].id, lane);
        cluster.say(0, OrchestratorMessage::Begin { generation }).await;
        assert_eq!(cluster.failed(0, generation).await.code, FaultCode::Stalled);
        assert_eq!(cluster.refused(0, session.session).await.code, FaultCode::Stalled);
        cluster.failed(1, generation).await;
        cluster.close(generation).await;
        cluster.end().await;
    }
}

#[tokio::test]
async fn a_lane_lost_between_generations_is_reported_once() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let (session, other) = (cluster.open_session().await, cluster.open_session().await);
    cluster.run(&session, &[1; 4], 4).await;
    for lane in [Lane::Decode, Lane::Prefill] {
        cluster.net.cut(session.session, &cluster.machines[0].id, lane);
    }
    assert_eq!(cluster.refused(1, session.session).await.code, FaultCode::LinkLost);
    // Once it has been answered, both lanes' ends have been seen.
    cluster.run(&other, &[1; 40], 20).await;
    let refused = |_: usize, message: &NodeMessage| matches!(message, NodeMessage::SessionRefused { .. });
    assert_eq!(cluster.count(refused), 1);
    assert!(cluster.machines[1].handle.status().borrow().faults.is_empty(), "nobody was hurt");
    cluster.end().await;
}

#[tokio::test]
async fn another_shard_ends_what_ran_on_the_old_one() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &[1; 40], 900).await;
    cluster.some_tokens(generation, 1).await;
    cluster.assign(1, 2, "2..6".parse().unwrap()).await;
    assert_eq!(cluster.failed(1, generation).await.code, FaultCode::EngineLost);
    cluster.close(generation).await;
    let next = cluster.ask(&session, &[1; 4], 4).await;
    assert_eq!(cluster.failed(1, next).await.code, FaultCode::WrongSession, "this session knows the old shard");
    cluster.close(next).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_shard_that_cannot_be_loaded_is_reported() {
    let cluster = Cluster::start(&["0..6"]).await;
    let spec = crate::kit::spec("0..9".parse().unwrap());
    cluster.say(0, OrchestratorMessage::Assign { assignment: 2, spec, source: None }).await;
    let fault = cluster
        .heard("down", |_, message| match message {
            NodeMessage::ShardDown { assignment: 2, fault } => Some(fault.clone()),
            _ => None,
        })
        .await;
    assert_eq!(fault.code, FaultCode::BadModelFile);
    let ticket = cluster.ticket();
    cluster.say(0, OrchestratorMessage::OpenSession { ticket: Cluster::sealed(&ticket) }).await;
    assert_eq!(cluster.refused(0, ticket.session).await.code, FaultCode::EngineLost);
    // The old one again.
    cluster.assign(0, 3, "0..6".parse().unwrap()).await;
    let session = cluster.open_session().await;
    cluster.run(&session, &[1; 4], 4).await;
    cluster.end().await;
}
