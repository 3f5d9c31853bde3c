//! The running task, with nodes that answer over a fake control server.

mod cluster;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use computepool_core::ports::{Inference, Record, ShardPhase};
use computepool_core::{FaultCode, FinishReason, GenerationEvent, ModelId};
use computepool_orchestrator::Limits;
use futures::StreamExt;

use crate::script::{client, limits, model, node, range, request};
use cluster::{Cluster, Habit, Memory};

#[tokio::test]
async fn a_generation_end_to_end() {
    let cluster = Cluster::start(3, Habit::Generous, limits()).await;
    let status = cluster.handle.status();
    assert!(status.nodes.iter().all(|node| node.phase == ShardPhase::Ready));
    let (offered, _) = cluster.handle.models().remove(0);
    assert!(offered.available);
    assert_eq!((offered.max_context, offered.summary.id), (2048, model()));

    let stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    let events: Vec<GenerationEvent> = stream.collect().await;
    assert!(matches!(events[0], GenerationEvent::Started(_)));
    let tokens: Vec<_> = events.iter().filter_map(token).collect();
    assert_eq!(tokens, [(0, None), (1, None), (2, None), (3, None), (4, Some(FinishReason::Length))]);
    let GenerationEvent::Ended(usage) = &events[6] else { panic!("{:?}", events[6]) };
    assert_eq!(events.len(), 7);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (4, 5));
    let layers: Vec<_> = usage.receipts.iter().map(|signed| signed.receipt.layers).collect();
    assert_eq!(layers, [range("0..10"), range("10..20"), range("20..30")]);

    cluster.handle.drain(Duration::from_secs(5)).await;
    assert_eq!(cluster.left().await, 3, "every node was let go");
    let late = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.err().unwrap();
    assert_eq!(late.code, FaultCode::Draining);
    cluster.handle.drain(Duration::ZERO).await;
}

fn token(event: &GenerationEvent) -> Option<(u32, Option<FinishReason>)> {
    match event {
        GenerationEvent::Token(token) => Some((token.index, token.finish)),
        _ => None,
    }
}

#[tokio::test]
async fn many_at_once_each_get_their_own_tokens() {
    let cluster = Cluster::start(2, Habit::Generous, limits()).await;
    let one = |n: u32| {
        let handle = cluster.handle.clone();
        async move {
            let by = client(&format!("client-{}", n % 5));
            let stream = handle.generate(&by, &model(), request(4, 10 + n)).await.unwrap();
            let events: Vec<GenerationEvent> = stream.collect().await;
            assert!(matches!(events.last(), Some(GenerationEvent::Ended(_))), "{:?}", events.last());
            assert_eq!(events.iter().filter_map(token).count() as u32, 10 + n);
        }
    };
    futures::future::join_all((0..32).map(one)).await;
    assert_eq!(cluster.handle.status().generations, 0);
    assert_eq!(cluster.handle.status().sessions, 5);
}

#[tokio::test]
async fn what_cannot_start_is_an_error_and_not_a_stream() {
    let cluster = Cluster::start(1, Habit::Refuse, limits()).await;
    let code = |result: Result<_, computepool_core::Fault>| result.err().map(|fault| fault.code);
    let long = cluster.handle.generate(&client("ann"), &model(), request(4000, 5)).await.map(drop);
    assert_eq!(code(long), Some(FaultCode::ContextLength));
    let other = ModelId::new("other").unwrap();
    let unknown = cluster.handle.generate(&client("ann"), &other, request(4, 5)).await.map(drop);
    assert_eq!(code(unknown), Some(FaultCode::ModelNotFound));
    let refused = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.map(drop);
    assert_eq!(code(refused), Some(FaultCode::NoCapacity));
}

#[tokio::test]
async fn dropping_the_stream_closes_the_generation_on_every_shard() {
    let mut cluster = Cluster::start(2, Habit::OneToken, limits()).await;
    let mut stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    stream.next().await;
    stream.next().await;
    drop(stream);
    assert_eq!(cluster.next_closed().await, 0);
    assert_eq!(cluster.next_closed().await, 1);
    cluster.idle().await;
}

#[tokio::test]
async fn dropping_the_call_before_it_starts_closes_it_too() {
    let mut cluster = Cluster::start(1, Habit::NeverAdmit, limits()).await;
    let (by, model) = (client("ann"), model());
    let call = cluster.handle.generate(&by, &model, request(4, 5));
    tokio::select! {
        _ = call => panic!("nobody admits it"),
        opened = cluster.opened.recv() => assert_eq!(opened, Some(0)),
    }
    assert_eq!(cluster.next_closed().await, 0);
    cluster.idle().await;
}

#[tokio::test]
async fn who_does_not_read_is_cancelled_and_others_are_not_held_up() {
    let limits = Limits { client_buffer: 8, ..limits() };
    let mut cluster = Cluster::start(1, Habit::Generous, limits).await;
    let lazy = cluster.handle.generate(&client("ann"), &model(), request(4, 1000)).await.unwrap();
    assert_eq!(cluster.next_closed().await, 0, "its buffer was full");
    let busy = cluster.handle.generate(&client("bob"), &model(), request(4, 3)).await.unwrap();
    assert!(matches!(busy.collect::<Vec<_>>().await.last(), Some(GenerationEvent::Ended(_))));
    let events: Vec<GenerationEvent> = lazy.collect().await;
    let Some(GenerationEvent::Failed(fault)) = events.last() else { panic!("{:?}", events.last()) };
    assert_eq!(fault.code, FaultCode::Cancelled);
    let indexes: Vec<u32> = events.iter().filter_map(token).map(|(index, _)| index).collect();
    assert!(indexes.iter().enumerate().all(|(i, index)| i as u32 == *index), "what it got has no gap: {indexes:?}");
}

#[tokio::test]
async fn a_lost_node_fails_the_stream_and_shows_in_the_status() {
    let cluster = Cluster::start(2, Habit::OneToken, limits()).await;
    let mut stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    stream.next().await;
    stream.next().await;
    cluster.cut(1).await;
    let Some(GenerationEvent::Failed(fault)) = stream.next().await else { panic!("the stream goes on") };
    assert_eq!(fault.code, FaultCode::NodeLost);
    assert!(fault.message.contains("layers 15..30"), "{}", fault.message);
    assert!(stream.next().await.is_none());
    let mut shown = cluster.handle.subscribe();
    shown.wait_for(|snapshot| snapshot.available == [false]).await.unwrap();
    let nodes: Vec<_> = cluster.handle.status().nodes.into_iter().map(|status| status.node).collect();
    assert_eq!(nodes, [node(0)]);
}

#[tokio::test]
async fn without_handles_it_ends_by_itself() {
    let cluster = Cluster::start(1, Habit::OneToken, limits()).await;
    let mut stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    stream.next().await;
    stream.next().await;
    let mut shown = cluster.handle.subscribe();
    let left = cluster.forget_handle();
    let Some(GenerationEvent::Failed(fault)) = stream.next().await else { panic!("the stream goes on") };
    assert_eq!(fault.code, FaultCode::Draining);
    while shown.changed().await.is_ok() {}
    assert_eq!(left.await, 1);
}

#[tokio::test]
async fn a_stream_goes_on_when_a_node_of_its_route_is_lost_again_and_again() {
    let cluster = Cluster::start_with(1, 5, Habit::OneToken, Limits::default(), None).await;
    cluster.handle.subscribe().wait_for(|it| it.network.pools[0].spares == Some(4)).await.unwrap();
    let mut stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    assert!(matches!(stream.next().await, Some(GenerationEvent::Started(_))));
    for index in 0..4 {
        assert_eq!(stream.next().await.as_ref().and_then(token), Some((index, None)));
        let busy = cluster.handle.status().nodes.into_iter().find(|it| it.generations > 0).unwrap();
        cluster.cut(crate::script::number(&busy.node)).await;
    }
    assert_eq!(stream.next().await.as_ref().and_then(token), Some((4, Some(FinishReason::Length))));
    assert!(matches!(stream.next().await, Some(GenerationEvent::Ended(_))));
    assert_eq!(cluster.handle.status().failovers, 4);
}

#[tokio::test]
async fn another_life_finds_what_the_last_one_wrote_down() {
    let journal = Arc::new(Memory::default());
    let cluster = Cluster::start_with(2, 2, Habit::OneToken, Limits::default(), Some(journal.clone())).await;
    let mut stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    stream.next().await;
    stream.next().await;
    // What a crash leaves behind: nothing after this moment is written.
    let left = loop {
        let records = journal.records.lock().unwrap().clone();
        if records.iter().any(|it| matches!(it, Record::GenerationBegan { .. })) {
            break records;
        }
        tokio::task::yield_now().await;
    };
    drop(stream);
    drop(cluster);
    let journal = Arc::new(Memory::default());
    journal.records.lock().unwrap().extend(left);
    let cluster = Cluster::start_with(2, 2, Habit::Generous, Limits::default(), Some(journal.clone())).await;
    assert_eq!(cluster.handle.status().sessions, 1, "it is still ann's");
    let stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    assert!(matches!(stream.collect::<Vec<_>>().await.last(), Some(GenerationEvent::Ended(_))));
    cluster.handle.drain(Duration::from_secs(5)).await;
    let records = journal.records.lock().unwrap().clone();
    let ends: Vec<_> = records
        .iter()
        .filter_map(|it| match it {
            Record::GenerationEnded { tokens, fault, .. } => Some((*tokens, *fault)),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(0, Some(FaultCode::Interrupted)), (5, None)]);
    let closed = records.iter().filter(|it| matches!(it, Record::SessionClosed(_))).count();
    assert_eq!(closed, 2, "a drain closes what is open, and that is written before it ends");
}

#[tokio::test]
async fn a_journal_that_fails_is_shown_and_tokens_flow() {
    let journal = Arc::new(Memory::default());
    journal.broken.store(true, Ordering::Relaxed);
    let cluster = Cluster::start_with(1, 1, Habit::Generous, Limits::default(), Some(journal.clone())).await;
    let stream = cluster.handle.generate(&client("ann"), &model(), request(4, 5)).await.unwrap();
    assert!(matches!(stream.collect::<Vec<_>>().await.last(), Some(GenerationEvent::Ended(_))));
    let mut shown = cluster.handle.subscribe();
    let fault = shown.wait_for(|it| it.network.journal_fault.is_some()).await.unwrap().network.journal_fault.clone();
    assert_eq!(fault.as_deref(), Some("the disk is full"));
    journal.broken.store(false, Ordering::Relaxed);
    shown.wait_for(|it| it.network.journal_fault.is_none()).await.unwrap();
    let kept = journal.records.lock().unwrap().clone();
    assert!(matches!(kept[0], Record::Node(_)), "nothing was left out: {kept:?}");
}
