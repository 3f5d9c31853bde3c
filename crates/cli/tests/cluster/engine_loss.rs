//! An engine process is killed in the middle of a generation.

use std::time::Instant;

use computepool_core::ports::ShardPhase;

use crate::family::Family;
use crate::kit::{Bed, engine};

const PROMPT: &str = "The capital of France is";
const LONG: &str = "Count slowly from one upwards: one, two,";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_goes_on_with_an_answer_whose_engine_was_killed() {
    let bed = Bed::start(3).await;
    let right = bed.answer(PROMPT, 12).await;
    let long = bed.answer(LONG, 200).await;
    for place in 0..3 {
        let mut stream = bed.stream(LONG, 200).await;
        stream.under_way().await;
        bed.until("telling of engines", |network| network.nodes.iter().all(|node| node.usage.is_some())).await;
        let before = bed.network().await;
        let (name, pid) = (&before.nodes[place].name, engine(&before.nodes[place]));
        let killed = Instant::now();
        Family::now().kill(pid);
        assert_eq!(stream.rest().await.whole(), long, "the answer went on as if nothing had happened to {name}");
        println!("{name}: {} ms from the kill to the end of the answer", killed.elapsed().as_millis());
        assert_eq!(bed.answer(PROMPT, 12).await, right, "after {name} lost its engine");
        let is_back = |network: &computepool_core::ports::NetworkStatus| {
            network.nodes[place].usage.is_some_and(|usage| usage.pid.is_some_and(|now| now != pid))
        };
        bed.until("telling of the new engine", is_back).await;
        let after = bed.network().await;
        assert!(after.nodes.iter().all(|node| node.phase == ShardPhase::Ready), "{after:#?}");
        for other in (0..3).filter(|other| *other != place) {
            assert_eq!(engine(&after.nodes[other]), engine(&before.nodes[other]), "the others' engines go on");
        }
    }
    bed.leave().await;
}
