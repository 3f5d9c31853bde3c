//! Generations that go on where others were lost, or are handed over.

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::ports::Adopt;
use computepool_core::{FaultCode, Generate, GenerationId};

use crate::kit::{Cluster, Opened, expected};

const PROMPT: [u32; 20] = [3; 20];

fn after(made: usize, max_tokens: u32) -> Generate {
    let produced = expected(&PROMPT, max_tokens)[..made].to_vec();
    Generate { produced, ..Cluster::request(&PROMPT, max_tokens) }
}

/// Lets an opened generation go on to its end; its tokens, which must be numbered after `made` others.
async fn finish(cluster: &Cluster, session: &Opened, generation: GenerationId, made: usize) -> Vec<u32> {
    cluster.opened(session, generation).await;
    cluster.say(session.members[0], OrchestratorMessage::Begin { generation }).await;
    let tokens = cluster.tokens(generation).await;
    let log = cluster.log.borrow();
    let indices = log.iter().filter_map(|(_, message)| match message {
        NodeMessage::Token { generation: which, event } if *which == generation => Some(event.index as usize),
        _ => None,
    });
    assert!(indices.eq(made..made + tokens.len()));
    tokens
}

/// A generation that is under way, and so many of its tokens that were heard.
async fn under_way(cluster: &Cluster, session: &Opened) -> (GenerationId, usize) {
    let old = cluster.begin(session, &PROMPT, 900).await;
    cluster.some_tokens(old, 5).await;
    (old, cluster.tokens_so_far(old).len())
}

#[tokio::test]
async fn a_ring_goes_on_after_what_was_produced_elsewhere() {
    for layers in [&["0..6"][..], &["0..1", "1..4", "4..6"]] {
        let cluster = Cluster::start(layers).await;
        let session = cluster.open_session().await;
        for made in [1, 7, 11] {
            let generation = cluster.ask_for(&session, after(made, 12), None).await;
            assert_eq!(finish(&cluster, &session, generation, made).await, expected(&PROMPT, 12)[made..]);
            for receipt in cluster.close(generation).await {
                let receipt = receipt.unwrap().receipt;
                assert_eq!((receipt.prefill_rows, receipt.decode_rows), (20 + made as u64, 11 - made as u64));
            }
        }
        cluster.end().await;
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_fed_in_small_chunks() {
    let small = |options: &mut computepool_node::NodeOptions| options.unhurried_rows = 4;
    let cluster = Cluster::with(&["0..2", "2..6"], small).await;
    let session = cluster.open_session().await;
    for (unhurried, chunks) in [(false, 3), (true, 6)] {
        let generation = cluster.ask_as(&session, after(3, 4), None, unhurried).await;
        assert_eq!(finish(&cluster, &session, generation, 3).await, expected(&PROMPT, 4)[3..]);
        for receipt in cluster.close(generation).await {
            let receipt = receipt.unwrap().receipt;
            assert_eq!((receipt.prefill_rows, receipt.steps), (23, chunks));
        }
    }
    cluster.end().await;
}

#[tokio::test]
async fn a_ring_takes_over_what_it_has_computed_already() {
    for layers in [&["0..6"][..], &["0..1", "1..4", "4..6"]] {
        let cluster = Cluster::start(layers).await;
        let session = cluster.open_session().await;
        let (old, heard) = under_way(&cluster, &session).await;
        // Before the exit sampled the last of these, all but that one had gone through every shard.
        let positions = (20 + heard - 1) as u32;
        let made = heard + 30;
        let adopt = Some(Adopt { generation: old, positions });
        let generation = cluster.ask_for(&session, after(made, 900), adopt).await;
        assert_eq!(finish(&cluster, &session, generation, made).await, expected(&PROMPT, 900)[made..]);
        for i in 0..layers.len() {
            assert!(cluster.closed(i, old).await.is_some(), "the old one is accounted for unasked");
            let place = |fits: fn(&NodeMessage, GenerationId) -> bool, id| {
                cluster.log.borrow().iter().position(|(who, message)| *who == i && fits(message, id))
            };
            let closed = place(|m, id| matches!(m, NodeMessage::Closed { generation, .. } if *generation == id), old);
            let opened =
                |m: &NodeMessage, id| matches!(m, NodeMessage::GenerationOpened { generation } if *generation == id);
            assert!(closed < place(opened, generation), "and before the new one is open");
        }
        // Only what was not there yet was fed.
        for receipt in cluster.close(generation).await {
            assert_eq!(receipt.unwrap().receipt.prefill_rows, 31);
        }
        assert!(cluster.machines.iter().all(|machine| machine.handle.status().borrow().faults.is_empty()));
        cluster.end().await;
    }
}

#[tokio::test]
async fn what_is_not_open_cannot_be_taken_over() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let (session, other) = (cluster.open_session().await, cluster.open_session().await);
    let stranger = cluster.generation_id();
    let adopt = |generation| Some(Adopt { generation, positions: 20 });
    let lost = cluster.ask_for(&session, after(5, 900), adopt(stranger)).await;
    for i in 0..2 {
        let fault = cluster.failed(i, lost).await;
        assert!(fault.code == FaultCode::WrongSession && fault.message.contains("not open"), "{fault}");
        assert_eq!(cluster.closed(i, stranger).await, None, "whoever is given up is answered for");
    }

    // Lost on one node while the order was on its way.
    let (old, _) = under_way(&cluster, &session).await;
    cluster.machines[1].engine.fail(old, FaultCode::Internal).await;
    for i in 0..2 {
        cluster.failed(i, old).await;
    }
    let late = cluster.ask_for(&session, after(5, 900), adopt(old)).await;
    for i in 0..2 {
        let fault = cluster.failed(i, late).await;
        assert!(fault.code == FaultCode::WrongSession && fault.message.contains("has ended"), "{fault}");
        assert!(cluster.closed(i, old).await.is_some());
    }

    // Another session's is out of reach, and goes on.
    let theirs = cluster.begin(&other, &PROMPT, 300).await;
    let thief = cluster.ask_for(&session, after(5, 900), adopt(theirs)).await;
    for i in 0..2 {
        assert_eq!(cluster.failed(i, thief).await.code, FaultCode::WrongSession);
    }
    assert_eq!(cluster.tokens(theirs).await, expected(&PROMPT, 300));
    for generation in [lost, late, thief, theirs] {
        cluster.close(generation).await;
    }
    cluster.end().await;
}

#[tokio::test]
async fn a_refused_takeover_leaves_nothing_open() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let session = cluster.open_session().await;
    let nothing_left = Generate { max_tokens: 5, ..after(5, 900) };
    for (request, positions, code) in [
        // More than went through: only the engine knows.
        (after(800, 900), 800, FaultCode::WrongShape),
        (after(5, 900), 25, FaultCode::InvalidRequest),
        (nothing_left, 20, FaultCode::InvalidRequest),
    ] {
        let old = cluster.open(&session, &PROMPT, 900).await;
        let new = cluster.ask_for(&session, request, Some(Adopt { generation: old, positions })).await;
        for i in 0..2 {
            assert_eq!(cluster.failed(i, new).await.code, code);
            assert_eq!(cluster.closed(i, old).await, None, "it did nothing, and says so");
        }
        cluster.close(new).await;
        for i in 0..2 {
            cluster.status(i, "nothing open", |s| s.generations == 0).await;
            assert_eq!(cluster.machines[i].engine.open(), 0);
        }
    }
    cluster.end().await;
}

#[tokio::test]
async fn a_takeover_in_the_middle_of_a_prompt_gives_its_room_back() {
    let cluster = Cluster::start(&["0..2", "2..4", "4..6"]).await;
    let session = cluster.open_session().await;
    let long = vec![3; 600];
    let old = cluster.open(&session, &long, 4).await;
    cluster.machines[0].engine.held.send_replace(true);
    cluster.say(0, OrchestratorMessage::Begin { generation: old }).await;
    cluster.status(0, "full of rows", |s| s.prefill_rows == 32).await;
    let request = Generate { produced: expected(&long, 2), ..Cluster::request(&long, 4) };
    let new = cluster.ask_for(&session, request, Some(Adopt { generation: old, positions: 8 })).await;
    cluster.status(0, "free of rows, not of KV", |s| s.prefill_rows == 0 && s.generations == 2).await;
    cluster.machines[0].engine.held.send_replace(false);
    assert!(cluster.closed(0, old).await.is_some());
    // The others have seen none of the rows.
    for i in 1..3 {
        assert_eq!(cluster.failed(i, new).await.code, FaultCode::WrongShape);
        assert_eq!(cluster.closed(i, old).await, None);
    }
    cluster.close(new).await;
    cluster.run(&session, &PROMPT, 9).await;
    cluster.end().await;
}

#[tokio::test]
async fn whoever_is_closed_before_it_takes_over_lets_go_of_both() {
    let cluster = Cluster::start(&["0..6"]).await;
    let session = cluster.open_session().await;
    let old = cluster.open(&session, &PROMPT, 900).await;
    cluster.machines[0].engine.held.send_replace(true);
    // One in the engine's hands, four in its queue, and one that waits for a place there.
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(cluster.ask(&session, &PROMPT, 4).await);
    }
    let new = cluster.ask_for(&session, after(5, 900), Some(Adopt { generation: old, positions: 0 })).await;
    cluster.say(0, OrchestratorMessage::CloseGeneration { generation: new }).await;
    cluster.status(0, "all known", |s| s.generations == 8).await;
    cluster.machines[0].engine.held.send_replace(false);
    assert_eq!(cluster.closed(0, old).await, None);
    assert_eq!(cluster.closed(0, new).await, None);
    for generation in waiting {
        cluster.close(generation).await;
    }
    assert_eq!(cluster.machines[0].engine.open(), 0);
    cluster.end().await;
}
