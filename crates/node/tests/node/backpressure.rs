//! A slow neighbour slows its own session's prompts, and nothing else.

use computepool_core::control::OrchestratorMessage;
use computepool_core::{FaultCode, Lane};

use crate::kit::{Cluster, expected};

fn prompt(len: u32) -> Vec<u32> {
    (0..len).map(|i| i * 11 + 1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_prompt_holds_up_nobody_else_and_bounded_memory() {
    let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
    let (slow, other) = (cluster.open_session().await, cluster.open_session().await);
    // One generation of the slow session is past its prompt when the lane stalls.
    let talking = cluster.begin(&slow, &prompt(5), 400).await;
    cluster.some_tokens(talking, 1).await;
    cluster.net.stall(slow.session, &cluster.machines[1].id, Lane::Prefill);

    let long = cluster.begin(&slow, &prompt(600), 4).await;
    for i in 0..2 {
        let status = cluster.status(i, "full of rows", |s| s.prefill_rows == 32).await;
        assert_eq!(status.faults.len(), 0);
    }
    assert_eq!(cluster.tokens(talking).await, expected(&prompt(5), 400), "decode goes past the stalled lane");
    cluster.run(&other, &prompt(300), 20).await;
    cluster.run(&other, &prompt(30), 2).await;
    for i in 0..2 {
        assert_eq!(cluster.machines[i].handle.status().borrow().prefill_rows, 32, "and the room was kept");
    }
    assert!(cluster.tokens_so_far(long).is_empty());

    cluster.net.resume(slow.session, &cluster.machines[1].id, Lane::Prefill);
    assert_eq!(cluster.tokens(long).await, expected(&prompt(600), 4));
    let receipts = cluster.close(long).await;
    assert!(receipts.iter().all(|receipt| receipt.as_ref().unwrap().receipt.prefill_rows == 600));
    cluster.close(talking).await;
    cluster.end().await;
}

#[tokio::test]
async fn frames_larger_than_all_room_pass_alone() {
    let cluster = Cluster::with(&["0..2", "2..4", "4..6"], |options| options.prefill_rows = 3).await;
    let session = cluster.open_session().await;
    cluster.run(&session, &prompt(100), 6).await;
    cluster.end().await;
}

#[tokio::test]
async fn closing_in_the_middle_of_a_prompt_frees_it_everywhere() {
    let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
    let session = cluster.open_session().await;
    cluster.net.stall(session.session, &cluster.machines[0].id, Lane::Prefill);
    let generation = cluster.begin(&session, &prompt(600), 4).await;
    cluster.status(0, "full of rows", |s| s.prefill_rows == 32).await;
    let receipts = cluster.close(generation).await;
    assert!((8..=32).contains(&receipts[0].as_ref().unwrap().receipt.prefill_rows));
    assert_eq!(receipts[1..], [None, None]);
    assert!(cluster.machines.iter().all(|machine| machine.engine.open() == 0));
    // Whoever waits in the same lane goes on as soon as it flows, past what was closed.
    let next = cluster.begin(&session, &prompt(50), 4).await;
    cluster.net.resume(session.session, &cluster.machines[0].id, Lane::Prefill);
    assert_eq!(cluster.tokens(next).await, expected(&prompt(50), 4));
    cluster.close(next).await;
    cluster.status(0, "free of rows", |s| s.prefill_rows == 0).await;
    cluster.end().await;
}

#[tokio::test]
async fn closing_while_the_engine_is_busy_gives_the_room_back() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.open(&session, &prompt(600), 4).await;
    cluster.machines[0].engine.held.send_replace(true);
    cluster.say(0, OrchestratorMessage::Begin { generation }).await;
    cluster.status(0, "full of rows", |s| s.prefill_rows == 32).await;
    cluster.say(0, OrchestratorMessage::CloseGeneration { generation }).await;
    cluster.status(0, "free of rows, not of KV", |s| s.prefill_rows == 0 && s.generations == 1).await;
    cluster.machines[0].engine.held.send_replace(false);
    cluster.close(generation).await;
    cluster.end().await;
}

#[tokio::test]
async fn an_orchestrator_that_stops_reading_ends_generations_and_then_the_node() {
    let mut cluster = Cluster::with(&["0..3", "3..6"], |options| options.control_backlog = 16).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &prompt(5), 900).await;
    cluster.some_tokens(generation, 1).await;
    cluster.machines[1].listening.send_replace(false);
    // The exit gives it up, and the entry hears of it over the ring.
    assert_eq!(cluster.failed(0, generation).await.code, FaultCode::Stalled);
    let before = cluster.tokens_so_far(generation);
    assert!(before.len() < 900);
    cluster.machines[1].listening.send_replace(true);
    assert_eq!(cluster.failed(1, generation).await.code, FaultCode::Stalled);
    let tokens = cluster.tokens_so_far(generation);
    assert_eq!(tokens, expected(&prompt(5), 900)[..tokens.len()], "what was said is said in order");
    cluster.close(generation).await;

    // A flood of answers that nobody reads.
    cluster.machines[1].listening.send_replace(false);
    for _ in 0..60 {
        let generation = cluster.generation_id();
        cluster.say(1, OrchestratorMessage::CloseGeneration { generation }).await;
    }
    assert_eq!(cluster.machines[1].handle.wait().await, computepool_node::ExitReason::ControlStalled);
    cluster.machines[1].listening.send_replace(true);
    cluster.restart(1).await;
    cluster.end().await;
}
