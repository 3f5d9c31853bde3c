//! Who is served, and until when.

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{ActivationType, ContentHash, FaultCode, HopFrame, Lane, RouteTicket, SignedTicket};

use crate::kit::{Cluster, Name, name};

#[tokio::test]
async fn tickets_that_do_not_hold_are_refused_by_name() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let change = |change: fn(&mut RouteTicket)| {
        let mut ticket = cluster.ticket();
        change(&mut ticket);
        (ticket.session, Cluster::sealed(&ticket))
    };
    let stranger = cluster.ticket();
    let forged = {
        let (session, mut ticket) = change(|_| ());
        *ticket.body.last_mut().unwrap() ^= 1;
        (session, ticket)
    };
    let cases = [
        ((stranger.session, SignedTicket::seal(&stranger, &Name(name("somebody"))).unwrap()), FaultCode::BadTicket),
        (forged, FaultCode::BadTicket),
        (change(|t| t.expires_ms = 5), FaultCode::TicketExpired),
        (change(|t| t.not_before_ms = 1_900_000), FaultCode::TicketExpired),
        (change(|t| t.hops[0].node = name("somebody")), FaultCode::NotInTicket),
        (change(|t| t.model = ContentHash([8; 32])), FaultCode::ModelNotFound),
        (
            change(|t| {
                t.hops[0].layers = "0..2".parse().unwrap();
                t.hops[1].layers = "2..6".parse().unwrap();
            }),
            FaultCode::ModelNotFound,
        ),
        (change(|t| t.hidden += 1), FaultCode::WrongShape),
        (change(|t| t.activation = ActivationType::F16), FaultCode::WrongShape),
        (change(|t| t.hops[1].node = name("nobody-there")), FaultCode::LinkLost),
    ];
    let total = cases.len();
    for ((session, ticket), code) in cases {
        cluster.say(0, OrchestratorMessage::OpenSession { ticket }).await;
        assert_eq!(cluster.refused(0, session).await.code, code);
    }
    let status = cluster.status(0, "no session", |s| s.sessions == 0).await;
    assert_eq!(status.faults.values().sum::<u64>(), total as u64, "each was counted once");
    cluster.end().await;
}

#[tokio::test]
async fn sessions_are_limited_and_opened_once() {
    let cluster = Cluster::with(&["0..6"], |options| options.max_sessions = 2).await;
    let first = cluster.open_session().await;
    cluster.open_session().await;
    let third = cluster.ticket();
    cluster.say(0, OrchestratorMessage::OpenSession { ticket: Cluster::sealed(&third) }).await;
    assert_eq!(cluster.refused(0, third.session).await.code, FaultCode::NoCapacity);
    cluster.close_session(&first).await;
    cluster.open_ticket(cluster.ticket()).await;
    cluster.end().await;
}

#[tokio::test]
async fn an_expired_session_ends_with_everything_in_it() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let (session, mut longer) = (cluster.open_session().await, cluster.ticket());
    longer.expires_ms = 3_000_000;
    let longer = cluster.open_ticket(longer).await;
    let generation = cluster.begin(&session, &[1; 4], 900).await;
    cluster.some_tokens(generation, 1).await;
    cluster.clock.set(2_000_001);
    for i in 0..2 {
        assert_eq!(cluster.failed(i, generation).await.code, FaultCode::TicketExpired);
        cluster.status(i, "one session left", |s| s.sessions == 1 && s.generations == 0).await;
        assert!(cluster.closed(i, generation).await.is_some(), "what was done is accounted for unasked");
    }
    // And only once, though the orchestrator asks as it always does.
    cluster.close(generation).await;
    cluster.run(&longer, &[1; 4], 5).await;
    let accounts = cluster
        .count(|_, message| matches!(message, NodeMessage::Closed { generation: which, .. } if *which == generation));
    assert_eq!(accounts, 2);
    cluster.end().await;
}

#[tokio::test]
async fn closing_a_session_closes_and_accounts_for_its_generations() {
    let cluster = Cluster::start(&["0..3", "3..6"]).await;
    let session = cluster.open_session().await;
    let generation = cluster.begin(&session, &[1; 4], 900).await;
    cluster.some_tokens(generation, 1).await;
    cluster.close_session(&session).await;
    for i in 0..2 {
        assert!(cluster.closed(i, generation).await.is_some());
        cluster.status(i, "nothing", |s| s.sessions == 0 && s.generations == 0).await;
    }
    cluster.end().await;
}

#[tokio::test]
async fn lanes_may_come_before_their_session() {
    let cluster = Cluster::start(&["4..6"]).await;
    let evil = name("evil");
    let mut doors = cluster.net.join(&evil);
    let ticket = cluster.ticket_with(&[("evil", "0..4")], &[]);
    let lane = cluster.net.connect(&ticket, &evil, &cluster.machines[0].id, Lane::Prefill).await.unwrap();
    let session = cluster.open_ticket(ticket).await;
    let generation = cluster.open(&session, &[1; 2], 3).await;
    let hidden = crate::kit::rows(2);
    lane.send(Ok(HopFrame::Activation { generation, position: 0, sample: true, hidden })).await.unwrap();
    cluster.some_tokens(generation, 1).await;
    let mut back = doors.recv().await.unwrap();
    let token = futures::StreamExt::next(&mut back.frames).await.unwrap().unwrap();
    assert!(matches!(token, HopFrame::Token { position: 2, .. }));
    cluster.end().await;
}

#[tokio::test]
async fn beginning_before_the_engine_has_admitted_is_a_fault() {
    let cluster = Cluster::start(&["0..6"]).await;
    let session = cluster.open_session().await;
    cluster.machines[0].engine.held.send_replace(true);
    let generation = cluster.ask(&session, &[1; 4], 4).await;
    cluster.say(0, OrchestratorMessage::Begin { generation }).await;
    assert_eq!(cluster.failed(0, generation).await.code, FaultCode::ProtocolViolation);
    cluster.machines[0].engine.held.send_replace(false);
    cluster.status(0, "nothing open", |s| s.generations == 0).await;
    cluster.end().await;
}
