//! Weights come before the shard that needs them; meanwhile the node answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{Fault, FaultCode, Sealed, WeightSource};

use crate::kit::{Cluster, FakeWeights, NEEDED, name, spec};

fn source() -> WeightSource {
    let manifest = Sealed { body: Vec::new(), by: name("owner"), signature: Vec::new() };
    WeightSource { manifest, urls: vec!["https://example.org/model/".to_owned()] }
}

async fn assign(cluster: &Cluster, assignment: u64, layers: &str) {
    let spec = spec(layers.parse().unwrap());
    cluster.say(0, OrchestratorMessage::Assign { assignment, spec, source: Some(source()) }).await;
}

fn told(cluster: &Cluster, assignment: u64) -> Vec<u64> {
    let log = cluster.log.borrow();
    let progress = log.iter().filter_map(|(_, message)| match message {
        NodeMessage::Fetching { assignment: which, progress } if *which == assignment => Some(progress.present),
        _ => None,
    });
    progress.collect()
}

/// Pings, and waits for the answer.
async fn answers(cluster: &Cluster, nonce: u64) {
    cluster.say(0, OrchestratorMessage::Ping { nonce }).await;
    let pong = |_, message: &NodeMessage| (*message == NodeMessage::Pong { nonce }).then_some(());
    cluster.heard("pong", pong).await;
}

#[tokio::test]
async fn weights_are_fetched_and_the_orchestrator_sees_it() {
    let weights = Arc::new(FakeWeights::default());
    let cluster = Cluster::idle(&["0..6"], Some(weights.clone()), |options| options.fetch_report = Duration::ZERO);
    assign(&cluster, 1, "0..6").await;
    for present in [0, 40, 80] {
        weights.arrive(present);
        cluster.until("progress", || told(&cluster, 1).last() == Some(&present)).await;
        answers(&cluster, present).await;
    }
    assert_eq!(cluster.machines[0].engine.loads.load(Ordering::SeqCst), 0, "nothing is loaded before it is whole");
    weights.arrive(NEEDED);
    cluster.ready(0, 1).await;
    let asked = (spec("0..6".parse().unwrap()).layers, source().urls);
    assert_eq!(*weights.asked.lock().unwrap(), [asked]);
    let session = cluster.open_session().await;
    cluster.run(&session, &[1; 4], 4).await;

    // What is loaded already is there at once.
    weights.arrive(0);
    assign(&cluster, 2, "0..6").await;
    cluster.ready(0, 2).await;
    assert!(told(&cluster, 2).is_empty());
    cluster.end().await;
}

#[tokio::test]
async fn progress_is_told_no_more_often_than_agreed() {
    let weights = Arc::new(FakeWeights::default());
    let hour = Duration::from_secs(3600);
    let cluster = Cluster::idle(&["0..6"], Some(weights.clone()), |options| options.fetch_report = hour);
    assign(&cluster, 1, "0..6").await;
    cluster.until("progress", || !told(&cluster, 1).is_empty()).await;
    for present in 1..=NEEDED {
        weights.arrive(present);
        tokio::task::yield_now().await;
    }
    cluster.ready(0, 1).await;
    assert_eq!(told(&cluster, 1), [0]);
    cluster.end().await;
}

#[tokio::test]
async fn weights_that_cannot_be_had_are_reported_by_name() {
    let weights = Arc::new(FakeWeights::default());
    let cluster = Cluster::idle(&["0..6"], Some(weights.clone()), |_| {});
    assign(&cluster, 1, "0..6").await;
    weights.fail(Fault::new(FaultCode::BadBlock, "nobody has a sound block"));
    let fault = cluster
        .heard("down", |_, message| match message {
            NodeMessage::ShardDown { assignment: 1, fault } => Some(fault.clone()),
            _ => None,
        })
        .await;
    assert_eq!(fault.code, FaultCode::BadBlock);
    assert_eq!(cluster.machines[0].engine.loads.load(Ordering::SeqCst), 0);
    weights.arrive(NEEDED);
    assign(&cluster, 2, "0..6").await;
    cluster.ready(0, 2).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_later_assignment_calls_the_fetching_off() {
    let weights = Arc::new(FakeWeights::default());
    let cluster = Cluster::idle(&["0..6"], Some(weights.clone()), |_| {});
    assign(&cluster, 1, "0..3").await;
    cluster.until("progress", || !told(&cluster, 1).is_empty()).await;
    assign(&cluster, 2, "0..6").await;
    cluster.until("progress", || !told(&cluster, 2).is_empty()).await;
    assert_eq!(weights.called_off.load(Ordering::SeqCst), 1);
    weights.arrive(NEEDED);
    cluster.ready(0, 2).await;
    let of_first = |_: usize, message: &NodeMessage| {
        matches!(message, NodeMessage::ShardReady { assignment: 1, .. } | NodeMessage::ShardDown { assignment: 1, .. })
    };
    assert_eq!(cluster.count(of_first), 0, "nothing is said of what was overtaken");
    cluster.end().await;
}

#[tokio::test]
async fn the_old_shard_serves_until_the_new_one_can_be_loaded() {
    let weights = Arc::new(FakeWeights::default());
    weights.arrive(NEEDED);
    let cluster = Cluster::idle(&["0..6"], Some(weights.clone()), |_| {});
    assign(&cluster, 1, "0..6").await;
    cluster.ready(0, 1).await;
    let session = cluster.open_session().await;
    weights.arrive(0);
    assign(&cluster, 2, "0..3").await;
    cluster.until("progress", || !told(&cluster, 2).is_empty()).await;
    cluster.run(&session, &[1; 4], 4).await;
    // An engine that dies meanwhile is no word about the shard that is asked for.
    cluster.machines[0].engine.kill().await;
    cluster.machines[0].engine.revive().await;
    answers(&cluster, 1).await;
    let generation = cluster.begin(&session, &[1; 40], 900).await;
    cluster.some_tokens(generation, 1).await;
    weights.arrive(NEEDED);
    assert_eq!(cluster.failed(0, generation).await.code, FaultCode::EngineLost);
    cluster.ready(0, 2).await;
    let words = |_: usize, message: &NodeMessage| {
        matches!(message, NodeMessage::ShardReady { assignment: 2, .. } | NodeMessage::ShardDown { assignment: 2, .. })
    };
    assert_eq!(cluster.count(words), 1);
    cluster.close(generation).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_node_answers_while_it_loads() {
    let cluster = Cluster::idle(&["0..6"], None, |_| {});
    cluster.machines[0].engine.load_held.send_replace(true);
    assign(&cluster, 1, "0..6").await;
    answers(&cluster, 7).await;
    let ready = |_: usize, message: &NodeMessage| matches!(message, NodeMessage::ShardReady { .. });
    assert_eq!(cluster.count(ready), 0);
    cluster.machines[0].engine.load_held.send_replace(false);
    cluster.ready(0, 1).await;
    answers(&cluster, 8).await;
    cluster.end().await;
}
