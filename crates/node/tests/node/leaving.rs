//! Nodes end, and start again around the same engine.

use std::sync::atomic::Ordering;
use std::time::Duration;

use computepool_core::FaultCode;
use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_node::ExitReason;

use crate::kit::{Cluster, expected};

#[tokio::test]
async fn a_lost_control_link_frees_everything_and_keeps_the_weights() {
    let mut cluster = Cluster::start(&["0..3", "3..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &[1; 40], 900).await;
    cluster.some_tokens(generation, 1).await;
    assert_eq!(cluster.restart(1).await, ExitReason::ControlLost);
    assert_eq!(cluster.machines[1].engine.open(), 0);
    assert_eq!(cluster.machines[1].shared.open_generations(), 0);
    // Its neighbours notice without being told.
    assert_eq!(cluster.failed(0, generation).await.code, FaultCode::LinkLost);
    cluster.say(0, OrchestratorMessage::CloseGeneration { generation }).await;
    cluster.closed(0, generation).await;

    cluster.assign(1, 2, "3..6".parse().unwrap()).await;
    assert_eq!(cluster.machines[1].engine.loads.load(Ordering::SeqCst), 1, "the shard was still loaded");
    let again = cluster.open_session().await;
    cluster.run(&again, &[1; 40], 20).await;
    cluster.end().await;
}

#[tokio::test]
async fn what_a_node_could_not_close_the_next_one_closes() {
    let mut cluster = Cluster::with(&["0..6"], |options| {
        options.close_patience = Duration::from_millis(50);
    })
    .await;
    let session = cluster.open_session().await;
    cluster.open(&session, &[1; 4], 4).await;
    cluster.open(&session, &[1; 4], 4).await;
    cluster.machines[0].engine.held.send_replace(true);
    // Fills the engine's queue, so that not even a close gets in.
    for _ in 0..9 {
        cluster.ask(&session, &[1; 4], 4).await;
    }
    // Two are open, one is in the engine's hands, four in its queue, and one waits for a place there.
    let full = async {
        while cluster.machines[0].shared.open_generations() < 8 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), full).await.unwrap();
    assert_eq!(cluster.restart(0).await, ExitReason::ControlLost);
    assert_eq!(cluster.machines[0].shared.open_generations(), 8);
    cluster.machines[0].engine.held.send_replace(false);
    cluster.assign(0, 2, "0..6".parse().unwrap()).await;
    let again = cluster.open_session().await;
    cluster.run(&again, &[1; 4], 4).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_drain_lets_finish_what_runs_and_takes_nothing_new() {
    let mut cluster = Cluster::start(&["0..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &[1; 40], 400).await;
    cluster.some_tokens(generation, 1).await;
    cluster.machines[0].handle.drain();
    cluster.heard("draining", |_, message| matches!(message, NodeMessage::Draining).then_some(())).await;
    let refused = cluster.ask(&session, &[1; 4], 4).await;
    assert_eq!(cluster.failed(0, refused).await.code, FaultCode::Draining);
    let ticket = cluster.ticket();
    cluster.say(0, OrchestratorMessage::OpenSession { ticket: Cluster::sealed(&ticket) }).await;
    assert_eq!(cluster.refused(0, ticket.session).await.code, FaultCode::Draining);

    assert_eq!(cluster.tokens(generation).await, expected(&[1; 40], 400));
    assert!(cluster.close(generation).await[0].is_some(), "the account arrives before the link ends");
    assert_eq!(cluster.machines[0].handle.wait().await, ExitReason::Shutdown);
    assert_eq!(cluster.machines[0].handle.wait().await, ExitReason::Shutdown);
    assert_eq!(cluster.machines[0].engine.open(), 0);
}

#[tokio::test]
async fn a_drain_in_a_hurry_cuts_a_patient_one_short() {
    let mut cluster = Cluster::start(&["0..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &[1; 40], 900).await;
    cluster.some_tokens(generation, 1).await;
    cluster.machines[0].handle.drain_within(Duration::from_secs(600));
    cluster.heard("draining", |_, message| matches!(message, NodeMessage::Draining).then_some(())).await;
    let (handle, hurry) = (&mut cluster.machines[0].handle, Duration::from_millis(50));
    handle.drain_within(hurry);
    // One that asks for more time after that does not get it.
    handle.drain_within(Duration::from_secs(600));
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), handle.wait()).await, Ok(ExitReason::Shutdown));
    assert_eq!(cluster.machines[0].engine.open(), 0);
}

#[tokio::test]
async fn an_engine_at_rest_loads_nothing_until_it_is_roused() {
    let cluster = Cluster::start(&["0..6"]).await;
    let loads = |cluster: &Cluster| cluster.machines[0].engine.loads.load(Ordering::SeqCst);
    assert_eq!((loads(&cluster), cluster.machines[0].shared.shard().is_some()), (1, true));
    cluster.machines[0].shared.rest().await;
    assert!(cluster.machines[0].shared.shard().is_none());
    let spec = crate::kit::spec("0..6".parse().unwrap());
    cluster.say(0, OrchestratorMessage::Assign { assignment: 2, spec: spec.clone(), source: None }).await;
    let refused = |_: usize, message: &NodeMessage| match message {
        NodeMessage::ShardDown { assignment: 2, fault } => Some(fault.code),
        _ => None,
    };
    assert_eq!(cluster.heard("shard down", refused).await, FaultCode::Draining);
    assert_eq!(loads(&cluster), 1);
    cluster.machines[0].shared.rouse();
    cluster.assign(0, 3, spec.layers).await;
    assert_eq!(loads(&cluster), 2, "what it held was given back, so that it is loaded again");
    cluster.end().await;
}

#[tokio::test]
async fn a_drain_ends_as_soon_as_nothing_runs() {
    for moved_away in [true, false] {
        let mut cluster = Cluster::start(&["0..6"]).await;
        let session = cluster.open_session().await;
        let running = if moved_away { Some(cluster.begin(&session, &[1; 40], 900).await) } else { None };
        if let Some(generation) = running {
            cluster.some_tokens(generation, 1).await;
        }
        cluster.machines[0].handle.drain();
        cluster.heard("draining", |_, message| matches!(message, NodeMessage::Draining).then_some(())).await;
        if let Some(generation) = running {
            // It goes on until the orchestrator has moved it.
            cluster.some_tokens(generation, cluster.tokens_so_far(generation).len() + 50).await;
            cluster.close_session(&session).await;
            assert!(cluster.closed(0, generation).await.is_some());
        }
        let ended = tokio::time::timeout(Duration::from_secs(2), cluster.machines[0].handle.wait()).await;
        assert_eq!(ended.expect("nothing is waited for"), ExitReason::Shutdown);
    }
}

#[tokio::test]
async fn a_dismissed_node_closes_everything_and_says_so() {
    let mut cluster = Cluster::start(&["0..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &[1; 40], 900).await;
    cluster.some_tokens(generation, 1).await;
    cluster.say(0, OrchestratorMessage::Leave).await;
    assert!(cluster.closed(0, generation).await.is_some());
    assert_eq!(cluster.machines[0].handle.wait().await, ExitReason::Left);
    assert_eq!(cluster.machines[0].engine.open(), 0);
}

#[tokio::test]
async fn a_node_nobody_holds_frees_its_engine() {
    let mut cluster = Cluster::start(&["0..6"]).await;
    let session = cluster.open_session().await;
    cluster.begin(&session, &[1; 40], 900).await;
    let computepool = cluster.machines.pop().unwrap();
    let (engine, mut status) = (computepool.engine.clone(), computepool.handle.status());
    drop(computepool.handle);
    status.wait_for(|status| status.generations == 0 && status.sessions == 0).await.unwrap();
    assert_eq!(engine.open(), 0);
}
