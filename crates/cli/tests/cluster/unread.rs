//! Clients that leave before their answer is complete.

use std::time::Duration;

use computepool_core::ports::NetworkStatus;
use futures::future::join_all;
use serde_json::json;

use crate::family::Family;
use crate::kit::{Bed, asking, kv};
use crate::stream::Stream;

const PROMPT: &str = "Count slowly from one upwards: one, two,";

fn idle(network: &NetworkStatus) -> bool {
    network.generations == 0 && network.nodes.iter().all(|node| kv(node) == 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_frees_what_clients_leave_behind() {
    let bed = Bed::start(3).await;
    let right = bed.answer(PROMPT, 12).await;
    for _ in 0..3 {
        let mut stream = bed.stream(PROMPT, 1500).await;
        stream.under_way().await;
        bed.until("using KV", |network| network.nodes.iter().all(|node| kv(node) > 0)).await;
        drop(stream);
        let freed = bed.until("idle", idle).await;
        println!("KV free on every shard, and known to be, {} ms after the client left", freed.as_millis());
    }

    // At every moment a client can leave: before the answer starts, while the prompt is worked on, in mid-answer.
    let mut memory = Vec::new();
    for round in 0..25_u64 {
        join_all((0..8).map(|client| leave_after(&bed, Duration::from_millis(round * 6 + client)))).await;
        if round % 8 == 0 {
            bed.until("idle", idle).await;
            memory.push(footprint());
        }
    }
    bed.until("idle", idle).await;
    let network = bed.network().await;
    assert!(network.sessions <= 1, "{network:#?}");
    println!("bytes of memory of all processes, as 200 clients come and go: {memory:?}");
    let (settled, last) = (memory[1], memory[memory.len() - 1]);
    assert!(last < settled + (24 << 20), "136 clients that left cost {} bytes that stay", last.saturating_sub(settled));
    assert_eq!(bed.answer(PROMPT, 12).await, right);
    bed.leave().await;
}

/// Asks on a connection of its own and goes away, wherever the answer may be by then.
async fn leave_after(bed: &Bed, moment: Duration) {
    let mut body = asking(PROMPT, 400);
    body["stream"] = json!(true);
    let ask = async {
        let url = format!("{}/completions", bed.cluster.api());
        let response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Stream::new(response).rest().await
    };
    let ended = tokio::time::timeout(moment, ask).await;
    assert!(ended.is_err(), "400 tokens do not come in {moment:?}: {ended:?}");
}

/// Bytes of memory of every process this test has started.
fn footprint() -> u64 {
    let now = Family::now();
    now.below(std::process::id()).into_iter().map(|pid| now.memory(pid)).sum()
}
