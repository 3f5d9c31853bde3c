//! Lanes that come before their session, or after it.

use std::time::Duration;

use computepool_core::control::OrchestratorMessage;
use computepool_core::{ContentHash, FaultCode, HopFrame, Lane, RouteTicket};

use crate::kit::{Cluster, Frames, Opened, name, rows};

/// An exit that waits for sessions without end; for places, a neighbour has at most two of three.
async fn patient() -> Cluster {
    let cluster = Cluster::with(&["4..6"], |options| {
        options.lane_patience = Duration::from_secs(3600);
        (options.max_waiting_lanes, options.max_waiting_lanes_per_peer) = (3, 2);
    })
    .await;
    // The exit's lanes back lead somewhere.
    for peer in ["evil", "other"] {
        let mut doors = cluster.net.join(&name(peer));
        tokio::spawn(async move {
            let mut lanes = Vec::new();
            while let Some(lane) = doors.recv().await {
                lanes.push(tokio::spawn(futures::StreamExt::for_each(lane.frames, |_| async {})));
            }
        });
    }
    cluster
}

async fn lane(cluster: &Cluster, ticket: &RouteTicket, from: &str, lane: Lane) -> Frames {
    cluster.net.connect(ticket, &name(from), &cluster.machines[0].id, lane).await.unwrap()
}

async fn dropped(lane: &Frames) {
    tokio::time::timeout(Duration::from_secs(10), lane.closed()).await.expect("the lane is dropped at once");
}

/// Opens the session that a lane waits for, and sends a prompt through it.
async fn serves(cluster: &Cluster, ticket: RouteTicket, lane: &Frames) {
    let session = cluster.open_ticket(ticket).await;
    prompt(cluster, &session, lane).await;
}

async fn prompt(cluster: &Cluster, session: &Opened, lane: &Frames) {
    let generation = cluster.open(session, &[1; 2], 3).await;
    lane.send(Ok(HopFrame::Activation { generation, position: 0, sample: true, hidden: rows(2) })).await.unwrap();
    cluster.some_tokens(generation, 1).await;
    cluster.close(generation).await;
}

#[tokio::test]
async fn no_lane_waits_for_a_session_that_is_over() {
    let cluster = patient().await;
    let session = cluster.open_ticket(cluster.ticket_with(&[("evil", "0..4")], &[])).await;
    cluster.close_session(&session).await;
    cluster.status(0, "no session", |s| s.sessions == 0).await;
    for _ in 0..3 {
        dropped(&lane(&cluster, &session.ticket, "evil", Lane::Prefill).await).await;
    }
    cluster.status(0, "the faults", |s| s.faults_of(FaultCode::WrongSession) == 3).await;
    cluster.end().await;
}

#[tokio::test]
async fn no_lane_waits_for_a_session_that_was_refused() {
    let cluster = patient().await;
    let mut ticket = cluster.ticket_with(&[("evil", "0..4")], &[]);
    ticket.model = ContentHash([8; 32]);
    let early = lane(&cluster, &ticket, "evil", Lane::Prefill).await;
    cluster.say(0, OrchestratorMessage::OpenSession { ticket: Cluster::sealed(&ticket) }).await;
    cluster.refused(0, ticket.session).await;
    dropped(&early).await;
    dropped(&lane(&cluster, &ticket, "evil", Lane::Decode).await).await;
    cluster.end().await;
}

#[tokio::test]
async fn lanes_that_wait_keep_no_place_from_others() {
    let cluster = patient().await;
    let ticket = |from: &str| cluster.ticket_with(&[(from, "0..4")], &[]);
    let (first, second, third) = (ticket("evil"), ticket("evil"), ticket("evil"));
    let waits =
        [lane(&cluster, &first, "evil", Lane::Prefill).await, lane(&cluster, &second, "evil", Lane::Prefill).await];
    dropped(&lane(&cluster, &third, "evil", Lane::Prefill).await).await;
    let theirs = ticket("other");
    let honest = lane(&cluster, &theirs, "other", Lane::Prefill).await;
    dropped(&lane(&cluster, &theirs, "other", Lane::Decode).await).await;
    cluster.status(0, "the faults", |s| s.faults_of(FaultCode::NoCapacity) == 2).await;
    assert!(waits.iter().chain([&honest]).all(|lane| !lane.is_closed()));

    // Lanes of a session that is open need no such place.
    let open = cluster.open_ticket(ticket("evil")).await;
    let live = lane(&cluster, &open.ticket, "evil", Lane::Prefill).await;
    prompt(&cluster, &open, &live).await;
    // A lane that is seen in frees its place.
    serves(&cluster, theirs, &honest).await;
    serves(&cluster, first, &waits[0]).await;
    let next = lane(&cluster, &third, "evil", Lane::Prefill).await;
    serves(&cluster, third, &next).await;
    assert!(!waits[1].is_closed());
    cluster.end().await;
}
