//! A node with its engine is lost as a whole.

use std::time::{Duration, Instant};

use computepool_core::ports::{NetworkStatus, NodeStatus};

use crate::family::gone;
use crate::kit::{Bed, asking, engine, refused};

const PROMPT: &str = "Water boils at";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_tells_of_a_killed_node_and_a_fresh_one_takes_its_place() {
    let mut bed = Bed::start_with(3, &["--patience", "2"]).await;
    let right = bed.answer(PROMPT, 12).await;
    let mut stream = bed.stream("Count slowly from one upwards: one, two,", 1500).await;
    stream.under_way().await;
    bed.until("telling of engines", |network| network.nodes.iter().all(|node| node.usage.is_some())).await;
    let lost = bed.network().await.nodes[1].clone();
    let layers = lost.layers.unwrap();
    let process = bed.cluster.nodes().processes().iter_mut().find(|process| process.name() == lost.name).unwrap();
    let killed = Instant::now();
    process.kill().await;

    let (code, message) = stream.rest().await.fault();
    println!("told after {} ms: {message}", killed.elapsed().as_millis());
    assert_eq!(code, "node_lost", "{message}");
    assert!(message.starts_with(&lost.name), "which? {message}");
    let orphan = gone(&[engine(&lost)], Duration::from_secs(10)).await;
    println!("its engine was gone {} ms later", orphan.as_millis());

    bed.until("rid of the node", |network| network.nodes.len() == 2).await;
    let message = refused(bed.post(&asking(PROMPT, 12)).await).await;
    println!("refused: {message}");
    assert!(message.contains(&layers.to_string()) || message.contains("node"), "what is missing? {message}");

    let (settings, addresses) = (bed.settings.clone(), bed.cluster.address().addresses.clone());
    let began = Instant::now();
    bed.cluster.nodes().add(&settings, &addresses, "fresh", None).await.unwrap();
    bed.until_answering().await;
    println!("a fresh node serves {} ms after its start", began.elapsed().as_millis());
    let network = bed.network().await;
    assert_eq!((network.nodes[1].name.as_str(), network.nodes[1].layers), ("fresh", Some(layers)));
    assert_eq!(bed.answer(PROMPT, 12).await, right);
    // One process was killed, so not all of them leave in order.
    assert!(!bed.cluster.leave().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_loses_no_token_with_a_node_while_there_are_spares() {
    let mut bed = Bed::start(2).await;
    let (settings, addresses) = (bed.settings.clone(), bed.cluster.address().addresses.clone());
    for spare in ["spare-1", "spare-2"] {
        bed.cluster.nodes().add(&settings, &addresses, spare, None).await.unwrap();
    }
    let spares = |count| move |network: &NetworkStatus| network.pools[0].spares == Some(count);
    bed.until("redundant", spares(1)).await;
    let right = bed.answer(PROMPT, 120).await;
    for place in 0..2 {
        let mut stream = bed.stream(PROMPT, 120).await;
        stream.under_way().await;
        let network = bed.network().await;
        let ready = &network.pools[0].places[place].ready;
        let serves = |node: &&NodeStatus| ready.contains(&node.node) && node.generations > 0;
        let lost = network.nodes.iter().find(serves).unwrap().name.clone();
        let process = bed.cluster.nodes().processes().iter_mut().find(|process| process.name() == lost).unwrap();
        process.kill().await;
        assert_eq!(stream.rest().await.whole(), right, "{lost} was lost at place {place}");
    }
    assert_eq!(bed.network().await.failovers, 2);
    // Both places have a holder left, and neither a spare.
    bed.until("down to the last", spares(0)).await;
    assert!(!bed.cluster.leave().await, "two processes were killed");
}
