//! What a route is for.

use computepool_core::FaultCode;
use computepool_core::control::{GenerationPart, NodeMessage, OrchestratorMessage};

use futures::StreamExt;

use crate::kit::{Cluster, Names, expected};

fn prompt(len: u32, salt: u32) -> Vec<u32> {
    (0..len).map(|i| i * 7 + salt).collect()
}

async fn generates_on(layers: &[&str]) {
    let cluster = Cluster::start(layers).await;
    let session = cluster.open_session().await;
    // 20 rows in chunks of 8: three steps, then one for each token but the last.
    let receipts = cluster.run(&session, &prompt(20, 3), 12).await;
    assert_eq!(receipts.len(), layers.len());
    for (i, receipt) in receipts.into_iter().enumerate() {
        let signed = receipt.expect("every shard worked");
        assert!(signed.holds(&Names));
        let receipt = signed.receipt;
        assert_eq!((receipt.prefill_rows, receipt.decode_rows, receipt.steps), (20, 11, 14), "shard {i}");
        assert_eq!(receipt.compute_us, 31, "the toy claims one microsecond per row");
        assert_eq!((receipt.session, receipt.layers), (session.session, layers[i].parse().unwrap()));
        let expected_bytes = match (i + 1 == layers.len(), layers.len()) {
            (true, 1) => 0,
            (true, _) => 11 * 4,
            (false, _) => 31 * 16,
        };
        assert_eq!(receipt.bytes_sent, expected_bytes, "shard {i}");
    }
    cluster.end().await;
}

#[tokio::test]
async fn one_node_is_a_whole_route() {
    generates_on(&["0..6"]).await;
}

#[tokio::test]
async fn two_nodes_pass_hidden_states_on_and_tokens_back() {
    generates_on(&["0..2", "2..6"]).await;
}

#[tokio::test]
async fn three_nodes_pass_hidden_states_on_and_tokens_back() {
    generates_on(&["0..1", "1..4", "4..6"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_generations_share_a_session_and_keep_apart() {
    let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
    let session = cluster.open_session().await;
    let all = (0..40).map(|i| {
        let (cluster, session) = (&cluster, &session);
        async move { cluster.run(session, &prompt(1 + i * 3 % 70, i), 2 + i % 25).await }
    });
    futures::future::join_all(all).await;
    let sampled = cluster.count(|_, message| matches!(message, NodeMessage::Token { .. }));
    assert_eq!(sampled as u32, (0..40).map(|i| 2 + i % 25).sum::<u32>(), "no token was said twice");
    assert_eq!(cluster.count(|_, message| matches!(message, NodeMessage::GenerationFailed { .. })), 0);
    cluster.end().await;
}

#[tokio::test]
async fn a_single_token_needs_no_way_back() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let session = cluster.open_session().await;
    let receipts = cluster.run(&session, &[5], 1).await;
    assert_eq!(receipts[1].as_ref().unwrap().receipt.bytes_sent, 0);
    cluster.end().await;
}

#[tokio::test]
async fn the_engine_refuses_what_does_not_fit_and_kv_is_reused_in_order() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    cluster.machines[1].engine.places.store(1, std::sync::atomic::Ordering::SeqCst);
    let session = cluster.open_session().await;
    let first = cluster.begin(&session, &prompt(5, 1), 4).await;
    assert_eq!(cluster.tokens(first).await, expected(&prompt(5, 1), 4));
    let second = cluster.ask(&session, &prompt(5, 1), 4).await;
    assert_eq!(cluster.failed(1, second).await.code, FaultCode::NoCapacity);
    cluster.close(second).await;
    // A close and the open behind it reach the engine in this order, though nobody waits in between.
    for i in &session.members {
        cluster.say(*i, OrchestratorMessage::CloseGeneration { generation: first }).await;
    }
    cluster.run(&session, &prompt(6, 2), 4).await;
    cluster.end().await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_by_name() {
    let cluster = Cluster::with(&["0..6"], |options| options.max_generations = 2).await;
    let session = cluster.open_session().await;
    let request = |len: u32| Some(Cluster::request(&prompt(len, 0), 4));
    let part =
        |max_len, prompt_len, request| GenerationPart { max_len, prompt_len, adopt: None, unhurried: false, request };
    let cases = [
        (part(2000, 4, request(4)), FaultCode::ContextLength),
        (part(8, 0, request(0)), FaultCode::InvalidRequest),
        (part(3, 4, request(4)), FaultCode::InvalidRequest),
        (part(9, 5, request(4)), FaultCode::InvalidRequest),
        (part(8, 4, None), FaultCode::InvalidRequest),
    ];
    let id = session.session;
    for (part, code) in cases {
        let generation = cluster.generation_id();
        cluster.say(0, OrchestratorMessage::OpenGeneration { session: id, generation, part: part.clone() }).await;
        assert_eq!(cluster.failed(0, generation).await.code, code, "{part:?}");
    }
    let unknown = computepool_core::SessionId([9; 16]);
    let generation = cluster.generation_id();
    let fine = part(8, 4, request(4));
    cluster.say(0, OrchestratorMessage::OpenGeneration { session: unknown, generation, part: fine.clone() }).await;
    assert_eq!(cluster.failed(0, generation).await.code, FaultCode::WrongSession);

    let open = [cluster.open(&session, &prompt(4, 0), 4).await, cluster.open(&session, &prompt(4, 0), 4).await];
    let third = cluster.ask(&session, &prompt(4, 0), 4).await;
    assert_eq!(cluster.failed(0, third).await.code, FaultCode::NoCapacity);
    // Opening one again changes nothing for it.
    cluster.say(0, OrchestratorMessage::OpenGeneration { session: id, generation: open[0], part: fine }).await;
    cluster.say(0, OrchestratorMessage::Begin { generation: open[0] }).await;
    assert_eq!(cluster.tokens(open[0]).await, expected(&prompt(4, 0), 4));
    assert_eq!(cluster.close(third).await, [None], "whoever asks for an account gets an answer");
    assert_eq!(cluster.close(open[1]).await, [None], "it did nothing");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_at_any_moment_leaves_nothing_behind_and_disturbs_nobody() {
    let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
    let sessions = [cluster.open_session().await, cluster.open_session().await];
    let all = (0..120usize).map(|i| {
        let (cluster, session) = (&cluster, &sessions[i % 2]);
        async move {
            // A third of them, close by close at every stage, while the others run to their end.
            if i % 3 > 0 {
                return drop(cluster.run(session, &prompt(1 + i as u32 % 90, i as u32), 20).await);
            }
            let generation = cluster.begin(session, &prompt(100, i as u32), 400).await;
            for _ in 0..i {
                tokio::task::yield_now().await;
            }
            let wanted = i / 3 % 8;
            cluster.some_tokens(generation, wanted).await;
            cluster.close(generation).await;
        }
    });
    // 64 generations fit a session.
    let mut waves = futures::stream::iter(all).buffer_unordered(48);
    while waves.next().await.is_some() {}
    drop(waves);
    assert_eq!(cluster.count(|_, message| matches!(message, NodeMessage::GenerationFailed { .. })), 0);
    for machine in &cluster.machines {
        assert!(machine.handle.status().borrow().faults.is_empty(), "late frames are nobody's fault");
    }
    cluster.end().await;
}
