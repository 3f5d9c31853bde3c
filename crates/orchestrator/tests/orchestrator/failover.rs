//! A route is lost, and the client does not notice: same tokens, each once, one end.

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{Fault, FaultCode, FinishReason, GenerationEvent, SessionId};
use computepool_orchestrator::{EventKind, Footprint, Limits, PoolSettings};

use crate::script::*;

/// How far a generation is when something is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    OpeningSession,
    OpeningGeneration,
    Prefill,
    Decode,
    LastTokenInFlight,
    Closing,
}

const PHASES: [Phase; 6] = [
    Phase::OpeningSession,
    Phase::OpeningGeneration,
    Phase::Prefill,
    Phase::Decode,
    Phase::LastTokenInFlight,
    Phase::Closing,
];

/// Brings a generation of 8 tokens on 3 shards to a phase; how many tokens it has then, and its route.
fn bring_to(script: &mut Script, phase: Phase) -> (u32, Vec<usize>) {
    let generation = script.ask("ann", request(4, 8));
    let route = script.route();
    match phase {
        Phase::OpeningSession => return (0, route),
        Phase::OpeningGeneration => {
            script.settle_some(is_open_session);
            return (0, route);
        }
        _ => script.settle(),
    }
    let given = match phase {
        Phase::Decode => 3,
        Phase::LastTokenInFlight => 7,
        Phase::Closing => 8,
        _ => 0,
    };
    script.give(generation, route[2], 0..given);
    (given, route)
}

#[test]
fn any_shard_may_be_lost_at_any_moment() {
    for phase in PHASES {
        for place in 0..3 {
            let what = format!("place {place}, {phase:?}");
            let mut script = Script::lossless(3, 6);
            let (given, route) = bring_to(&mut script, phase);
            script.disconnect(route[place]);
            script.settle();
            if phase != Phase::Closing {
                let (leg, part, other) = script.leg();
                assert!(!other.contains(&route[place]), "{what}: {other:?}");
                assert_eq!((part.prompt_len, part.max_len), (4 + given, 12), "{what}");
                assert_eq!(part.request.unwrap().produced, (10..10 + given).collect::<Vec<_>>(), "{what}");
                assert_eq!(script.state.network().failovers, 0, "{what}: it has not gone on yet");
                script.give(leg, other[2], given..8);
                script.settle();
                assert_eq!(script.state.network().failovers, 1, "{what}");
            }
            script.assert_whole();
            let held = script.state.footprint();
            assert_eq!((held.generations, held.legs), (0, 0), "{what}");
        }
    }
}

#[test]
fn a_lost_engine_and_a_lost_lane_are_survived_like_a_lost_node() {
    let engine = |script: &mut Script, n: usize| {
        let (assignment, _) = script.assigned(n).unwrap();
        script.says(n, NodeMessage::ShardDown { assignment, fault: Fault::new(FaultCode::EngineLost, "killed") });
    };
    let lane = |script: &mut Script, n: usize| {
        let generation = script.leg().0;
        let fault = Fault::new(FaultCode::LinkLost, "the lane was closed");
        script.says(n, NodeMessage::GenerationFailed { generation, fault });
    };
    let session = |script: &mut Script, n: usize| {
        let session = script.opening_session();
        let fault = Fault::new(FaultCode::LinkLost, "the lane was closed");
        script.says(n, NodeMessage::SessionRefused { session, fault });
    };
    type Loss<'a> = &'a dyn Fn(&mut Script, usize);
    let losses: [Loss<'_>; 3] = [&engine, &lane, &session];
    for (kind, lose) in losses.iter().enumerate() {
        for place in 0..3 {
            let mut script = Script::lossless(3, 6);
            let (_, route) = bring_to(&mut script, Phase::Decode);
            lose(&mut script, route[place]);
            script.settle();
            let (leg, _, other) = script.leg();
            assert_ne!(other, route, "{kind} {place}");
            if kind > 0 {
                // Who speaks of a lost lane is at one end of it; the other end is avoided.
                let around = [route[(place + 1) % 3], route[(place + 2) % 3]];
                assert!(around.iter().all(|n| !other.contains(n)) && other.contains(&route[place]), "{kind} {place}");
            }
            script.give(leg, other[2], 3..8);
            script.settle();
            script.assert_whole();
        }
    }
}

#[test]
fn the_next_route_may_be_lost_too() {
    for phase in [Phase::OpeningSession, Phase::OpeningGeneration, Phase::Prefill] {
        let mut script = Script::lossless(2, 6);
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        let route = script.route();
        script.give(generation, route[1], 0..3);
        script.disconnect(route[0]);
        match phase {
            Phase::OpeningSession => {}
            Phase::OpeningGeneration => script.settle_some(|message| !is_open(message)),
            _ => script.settle(),
        }
        let second = script.route();
        script.disconnect(second[0]);
        script.disconnect(second[1]);
        script.settle();
        let (leg, part, third) = script.leg();
        assert!(![route[0], second[0], second[1]].iter().any(|n| third.contains(n)), "{phase:?}");
        assert_eq!(part.prompt_len, 7);
        script.give(leg, third[1], 3..8);
        script.settle();
        script.assert_whole();
    }
}

#[test]
fn without_a_spare_it_waits_for_one_and_gives_up_in_time() {
    for comes in [true, false] {
        let mut script = Script::lossless(2, 2);
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        script.give(generation, 1, 0..3);
        script.disconnect(1);
        script.settle();
        script.pass(Limits::default().failover_ms - 200);
        assert_eq!(script.heard.len(), 4, "nothing is said while there is hope");
        if comes {
            script.join(2, None);
            script.settle();
            let (leg, _, route) = script.leg();
            assert_eq!(route, [0, 2]);
            script.give(leg, 2, 3..8);
            script.settle();
            script.assert_whole();
        } else {
            script.pass(200);
            let (_, GenerationEvent::Failed(fault)) = script.heard.last().unwrap() else { panic!() };
            assert_eq!(
                (fault.code, fault.message.as_str()),
                (FaultCode::NodeLost, "box (layers 15..30) left the network")
            );
            assert_eq!(script.state.footprint().generations, 0);
        }
    }
}

#[test]
fn the_same_node_will_do_when_it_is_back() {
    let mut script = Script::lossless(2, 2);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    script.give(generation, 1, 0..3);
    script.disconnect(1);
    script.settle();
    script.join(1, None);
    script.settle();
    let (leg, _, route) = script.leg();
    assert_eq!(route, [0, 1]);
    // What the lost leg had on its way is of no use and no offence.
    script.token(1, generation, 3, None);
    assert_eq!(script.last, []);
    script.give(leg, 1, 3..8);
    script.settle();
    script.assert_whole();
}

#[test]
fn tokens_of_a_lost_leg_are_not_heard() {
    let mut script = Script::lossless(2, 4);
    let (_, part, _) = {
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        let route = script.route();
        script.give(generation, route[1], 0..3);
        script.disconnect(route[0]);
        script.token(route[1], generation, 3, None);
        assert_eq!(script.last, []);
        assert!(!script.status(route[1]).reason.contains("broke"));
        script.settle();
        script.leg()
    };
    assert_eq!(part.request.unwrap().produced, [10, 11, 12]);
}

#[test]
fn what_is_wrong_with_the_request_is_not_tried_elsewhere() {
    for code in [FaultCode::BadGrammar, FaultCode::InvalidRequest, FaultCode::ContextLength, FaultCode::NoCapacity] {
        let mut script = Script::lossless(1, 2);
        let generation = script.ask("ann", request(4, 8));
        script.settle_some(is_open_session);
        let route = script.route();
        script.says(route[0], NodeMessage::GenerationFailed { generation, fault: Fault::new(code, "no") });
        assert_eq!(script.fault().code, code);
    }
}

#[test]
fn a_full_node_is_left_for_another_once_it_has_begun() {
    let mut script = Script::lossless(1, 2);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    let first = script.route()[0];
    script.give(generation, first, 0..2);
    let fault = Fault::new(FaultCode::NoCapacity, "no KV left");
    script.says(first, NodeMessage::GenerationFailed { generation, fault });
    script.settle();
    let (leg, _, route) = script.leg();
    assert_ne!(route[0], first);
    script.give(leg, route[0], 2..8);
    script.settle();
    script.assert_whole();
}

#[test]
fn routes_that_lead_nowhere_are_tried_so_often_and_ever_more_slowly() {
    let mut script = Script::lossless(1, 1);
    script.ask("ann", request(4, 8));
    let mut opened = vec![script.now_ms];
    let mut last: Option<SessionId> = None;
    while script.heard.is_empty() {
        let session = script.opening_session();
        if last != Some(session) {
            last = Some(session);
            opened.push(script.now_ms);
            let fault = Fault::new(FaultCode::LinkLost, "cannot dial");
            script.says(0, NodeMessage::SessionRefused { session, fault });
        }
        script.wait(50);
        assert!(script.now_ms < 1_000_000 + Limits::default().failover_ms, "given up by number, not by time");
    }
    let pauses: Vec<u64> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), Limits::default().max_legs as usize);
    assert!(pauses.windows(2).all(|pair| pair[1] >= pair[0]) && *pauses.last().unwrap() > 1000, "{pauses:?}");
    let (_, GenerationEvent::Failed(fault)) = &script.heard[0] else { panic!() };
    assert_eq!(fault.code, FaultCode::LinkLost);
    assert_eq!(script.state.footprint().legs, 0);
}

#[test]
fn a_ticket_that_runs_out_is_followed_by_another() {
    let limits = Limits { stall_ms: 1 << 40, slow_ms: 1 << 40, ..Limits::default() };
    let mut script = Script::with(PoolSettings::new(summary(30), 1), limits);
    script.join(0, None);
    script.settle();
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    script.give(generation, 0, 0..3);
    script.wait(Limits::default().ticket_ms - 30_000);
    script.give(generation, 0, 3..4);
    script.wait(30_000);
    script.settle();
    let (leg, part, _) = script.leg();
    assert_eq!(part.prompt_len, 8);
    script.give(leg, 0, 4..8);
    script.settle();
    script.assert_whole();
}

#[test]
fn every_leg_is_accounted_for() {
    let mut script = Script::lossless(1, 2);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    let (first, session) = (script.route()[0], script.opening_session());
    script.give(generation, first, 0..3);
    let fault = Fault::new(FaultCode::Internal, "a bug");
    script.says(first, NodeMessage::GenerationFailed { generation, fault });
    let one = receipt(&node(first), generation, session, range("0..30"));
    script.says(first, NodeMessage::Closed { generation, receipt: Some(one.clone()) });
    script.mute.insert(first);
    script.settle();
    let (leg, _, route) = script.leg();
    let (second, session) = (route[0], script.opening_session());
    script.give(leg, second, 3..8);
    let other = receipt(&node(second), leg, session, range("0..30"));
    script.says(second, NodeMessage::Closed { generation: leg, receipt: Some(other.clone()) });
    let [GenerationEvent::Ended(usage)] = &script.told()[..] else { panic!("{:?}", script.told()) };
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (4, 8));
    assert_eq!(usage.receipts, [one, other]);
}

#[test]
fn who_waits_for_a_route_may_leave_and_a_drain_ends_the_wait() {
    for drain in [true, false] {
        let mut script = Script::lossless(1, 1);
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        script.disconnect(0);
        if drain {
            script.event(EventKind::Drain { deadline_ms: script.now_ms + 1000 });
            script.wait(1000);
            assert_eq!(script.heard.len(), 2);
        } else {
            script.cancel(generation);
            assert_eq!(script.fault().code, FaultCode::Cancelled);
        }
        assert_eq!(script.state.footprint(), Footprint::default());
    }
}

#[test]
fn nothing_is_hoped_for_when_all_links_are_gone_for_good() {
    let mut script = Script::lossless(2, 4);
    script.ask("ann", request(4, 8));
    script.settle();
    script.event(EventKind::LinksClosed);
    assert_eq!(script.fault().code, FaultCode::NodeLost);
    assert_eq!(script.state.footprint(), Footprint::default());
}

#[test]
fn a_route_that_fails_others_leaves_them_their_own() {
    let mut script = Script::lossless(2, 4);
    let ann = script.ask("ann", request(4, 8));
    script.settle();
    let of_ann = script.route();
    let bob = script.ask("bob", request(4, 8));
    script.settle();
    let of_bob = script.route();
    script.give(ann, of_ann[1], 0..2);
    script.give(bob, of_bob[1], 0..2);
    script.disconnect(of_ann[0]);
    script.settle();
    assert!(!of_bob.contains(&of_ann[0]));
    script.token(of_bob[1], bob, 2, Some(FinishReason::Stop));
    assert_eq!(script.told().len(), 1, "it goes on as if nothing had been");
    let opened: Vec<_> =
        script.sent.iter().filter(|(_, message)| matches!(message, OrchestratorMessage::Begin { .. })).collect();
    assert_eq!(opened.len(), 3);
}
