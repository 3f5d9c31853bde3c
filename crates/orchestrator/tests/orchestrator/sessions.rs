//! Sessions: opened on demand, shared by a client's generations, renewed, closed.

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{Fault, FaultCode, GenerationEvent, NodeId};
use computepool_orchestrator::{Limits, PoolSettings};

use crate::script::*;

#[test]
fn the_first_request_opens_a_session_that_every_hop_is_shown() {
    let mut script = Script::up(3);
    script.ask("ann", request(4, 8));
    assert_eq!(script.sent_to(is_open_session), [node(0), node(1), node(2)]);
    let OrchestratorMessage::OpenSession { ticket } = &script.sent.last().unwrap().1 else { panic!() };
    let issuer = NodeId::new("orchestrator").unwrap();
    let ticket = ticket.open(&issuer, &FakeVerifier, script.now_ms).expect("the ticket holds");
    let layers: Vec<_> = ticket.hops.iter().map(|hop| (hop.node.clone(), hop.layers)).collect();
    assert_eq!(layers, [(node(0), range("0..10")), (node(1), range("10..20")), (node(2), range("20..30"))]);
    assert_eq!(ticket.hops[0].addresses, ["/ip4/127.0.0.1/tcp/1"]);
    assert_eq!((ticket.limits.max_context, ticket.limits.max_generations, ticket.hidden), (2048, 64, 64));
    assert_eq!(ticket.expires_ms, script.now_ms + limits().ticket_ms);

    let session = ticket.session;
    script.says(0, NodeMessage::SessionOpened { session });
    script.says(2, NodeMessage::SessionOpened { session });
    assert_eq!(script.sent_to(is_open), []);
    script.says(1, NodeMessage::SessionOpened { session });
    assert_eq!(script.sent_to(is_open), [node(0), node(1), node(2)]);
}

#[test]
fn a_client_keeps_its_session_and_another_gets_its_own() {
    let mut script = Script::up(1);
    script.running(1);
    script.ask("ann", request(4, 8));
    assert_eq!(script.sent_to(is_open_session), []);
    assert_eq!(script.sent_to(is_open), [node(0)], "the open session takes it at once");
    script.ask("bob", request(4, 8));
    assert_eq!(script.sent_to(is_open_session), [node(0)]);
    assert_eq!(script.state.footprint().sessions, 2);
}

#[test]
fn a_session_that_does_not_open_in_time_fails_who_waits_and_is_closed() {
    let mut script = Script::up(2);
    script.ask("ann", request(4, 8));
    let session = script.opening_session();
    script.says(0, NodeMessage::SessionOpened { session });
    script.wait(limits().session_open_ms);
    let fault = script.fault();
    assert_eq!(fault.code, FaultCode::Stalled);
    assert!(fault.message.contains("box (layers 15..30)") && !fault.message.contains("0..15"), "{}", fault.message);
    assert_eq!(script.sent_to(is_close_session), [node(0), node(1)]);
    assert_eq!(script.state.footprint().sessions, 0);
    script.says(1, NodeMessage::SessionOpened { session });
    assert_eq!(script.last, [], "too late, and no offence");
}

#[test]
fn a_refused_session_fails_with_the_nodes_reason() {
    let mut script = Script::up(2);
    script.ask("ann", request(4, 8));
    let session = script.opening_session();
    let fault = Fault::new(FaultCode::LinkLost, "cannot dial the next shard");
    script.says(0, NodeMessage::SessionRefused { session, fault });
    let fault = script.fault();
    assert_eq!(fault.code, FaultCode::LinkLost);
    assert_eq!(fault.message, "box (layers 0..15): cannot dial the next shard (link_lost)");
    assert_eq!(script.sent_to(is_close_session), [node(0), node(1)]);
}

#[test]
fn an_idle_session_that_broke_is_replaced_and_nobody_hears_of_it() {
    let mut script = Script::up(2);
    let (generation, session) = script.running(2);
    script.cancel(generation);
    (0..2).for_each(|n| script.closed(n, generation));
    let broken = NodeMessage::SessionRefused { session, fault: Fault::new(FaultCode::LinkLost, "the lane was closed") };
    script.says(1, broken.clone());
    assert_eq!(script.told(), []);
    assert_eq!(script.sent_to(is_close_session), [node(0), node(1)]);
    assert_eq!(script.state.footprint().sessions, 0);
    script.says(0, broken);
    assert_eq!(script.last, [], "the other side of the lane is late, and it is no offence");
    script.ask("ann", request(4, 8));
    assert_eq!(script.sent_to(is_open_session), [node(0), node(1)]);
}

#[test]
fn an_unused_session_is_closed() {
    let mut script = Script::up(1);
    let (generation, session) = script.running(1);
    script.wait(limits().session_idle_ms / 4);
    script.cancel(generation);
    script.closed(0, generation);
    script.wait(limits().session_idle_ms - 1);
    assert_eq!(script.sent_to(is_close_session), []);
    script.wait(1);
    assert_eq!(script.sent_to(is_close_session), [node(0)]);
    assert_eq!(script.sent.last().unwrap().1, OrchestratorMessage::CloseSession { session });
    assert_eq!(script.state.footprint().current, 0);
}

#[test]
fn a_session_near_its_end_is_renewed_and_the_old_one_closed_when_empty() {
    let limits = Limits { stall_ms: 1 << 40, ..limits() };
    let mut script = Script::with(PoolSettings::new(summary(30), 1), limits.clone());
    script.bring_up(1);
    let (old, first) = script.running(1);
    script.wait(limits.ticket_ms - limits.renew_before_ms + 1);
    let fresh = script.ask("ann", request(4, 8));
    assert_eq!(script.sent_to(is_open_session), [node(0)], "too little time is left for a new generation");
    assert_eq!(script.state.footprint().sessions, 2);
    let session = script.opening_session();
    script.says(0, NodeMessage::SessionOpened { session });
    script.admit(fresh, 1);
    assert!(matches!(script.told()[..], [GenerationEvent::Started(_)]));
    // The one that still runs under the old ticket ends with it.
    script.wait(limits.renew_before_ms);
    let fault = script.fault();
    assert_eq!(fault.code, FaultCode::TicketExpired);
    script.closed(0, old);
    assert_eq!(script.sent.last().unwrap().1, OrchestratorMessage::CloseSession { session: first });
    assert_eq!(script.state.footprint().sessions, 1);
}

#[test]
fn a_session_that_lost_a_node_is_closed_and_the_next_request_uses_the_new_route() {
    let mut script = Script::up(2);
    let (generation, session) = script.running(2);
    script.join(2, None);
    script.disconnect(1);
    assert_eq!(script.fault().code, FaultCode::NodeLost);
    script.closed(0, generation);
    assert_eq!(script.sent.last().unwrap(), &(node(0), OrchestratorMessage::CloseSession { session }));
    script.wait(3_000);
    script.ready(2);
    script.ask("ann", request(4, 8));
    assert_eq!(script.sent_to(is_open_session), [node(0), node(2)], "it doubled the other place until then");
}

#[test]
fn sessions_are_bounded_and_an_idle_one_makes_room() {
    let limits = Limits { max_sessions: 1, ..limits() };
    let mut script = Script::with(PoolSettings::new(summary(30), 1), limits);
    script.bring_up(1);
    let (generation, session) = script.running(1);
    script.ask("bob", request(4, 8));
    assert_eq!(script.fault().code, FaultCode::NoCapacity);
    script.cancel(generation);
    script.closed(0, generation);
    script.ask("bob", request(4, 8));
    assert_eq!(script.sent_to(is_open_session), [node(0)]);
    assert!(script.sent.contains(&(node(0), OrchestratorMessage::CloseSession { session })));
    assert_eq!(script.state.footprint().sessions, 1);
}

#[test]
fn the_session_unused_for_longest_makes_room() {
    let limits = Limits { max_sessions: 3, ..limits() };
    let mut script = Script::with(PoolSettings::new(summary(30), 1), limits);
    script.bring_up(1);
    let mut sessions = Vec::new();
    for by in ["ann", "bob", "cleo"] {
        let generation = script.ask(by, request(4, 8));
        let session = script.opening_session();
        script.says(0, NodeMessage::SessionOpened { session });
        script.admit(generation, 1);
        sessions.push((session, generation));
    }
    // The first one is still busy, and the third was left before the second.
    for (_, generation) in [sessions[2], sessions[1]] {
        script.wait(10);
        script.cancel(generation);
        script.closed(0, generation);
    }
    for (by, retired) in [("dan", sessions[2].0), ("eve", sessions[1].0)] {
        script.ask(by, request(4, 8));
        let closed = (node(0), OrchestratorMessage::CloseSession { session: retired });
        assert!(script.sent.ends_with(&[closed, script.sent.last().unwrap().clone()]), "{by}: {:?}", script.last);
        assert_eq!(script.sent_to(is_open_session), [node(0)]);
        assert_eq!(script.state.footprint().sessions, 3);
    }
    script.ask("fay", request(4, 8));
    assert_eq!(script.fault().code, FaultCode::NoCapacity, "all are in use");
}

#[test]
fn speaking_of_others_sessions_is_an_offence() {
    let mut script = Script::up(1);
    script.join(1, None);
    let (_, session) = script.running(1);
    script.says(1, NodeMessage::SessionOpened { session });
    assert_eq!(script.disconnected(), [node(1)]);
    script.says(0, NodeMessage::SessionOpened { session: computepool_core::SessionId([99; 16]) });
    assert_eq!(script.last, [], "a session that is over may be spoken of");
}
