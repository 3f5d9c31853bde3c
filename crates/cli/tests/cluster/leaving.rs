//! No process outlives its purpose.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::family::{Family, gone};
use crate::kit::{Bed, PATIENCE, model, program};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_that_leaves_in_order_leaves_no_process() {
    let bed = Bed::start(3).await;
    let family = Family::now().below(std::process::id());
    assert_eq!(family.len(), 7, "an orchestrator, three nodes, three engines: {family:?}");
    // With something to finish: what runs may end, and ends as it would have.
    let stream = bed.stream("The first ten prime numbers are", 24).await;
    let (left, answer) = tokio::join!(bed.cluster.leave(), stream.rest());
    assert!(left, "a process had to be ended");
    assert!(answer.done && answer.finish.as_deref() == Some("length"), "{answer:?}");
    gone(&family, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_whose_parent_is_killed_goes_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Command::new(program())
        .args(["up", "--api", "127.0.0.1:0", "--model", &model()])
        .env("XDG_CACHE_HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let up = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("Endpoint:") {
                return true;
            }
        }
        false
    };
    assert!(timeout(PATIENCE, up).await.unwrap(), "`computepool up` did not come up");
    let family = Family::now().below(parent.id().unwrap());
    // How many processes anvil is held by differs from system to system.
    assert!(family.len() >= 9, "an orchestrator, three nodes, three engines, a devnet, anvil: {family:?}");
    parent.kill().await.unwrap();
    let took = gone(&family, Duration::from_secs(20)).await;
    println!("the last of {} processes was gone {} ms after its parent was killed", family.len(), took.as_millis());
}
