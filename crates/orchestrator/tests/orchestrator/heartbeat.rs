//! Signs of life, and routes that have become slow.

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::ports::ShardPhase;
use computepool_core::{FaultCode, GenerationEvent};
use computepool_orchestrator::{EventKind, Limits, PoolSettings};

use crate::script::*;

#[test]
fn nobody_is_asked_who_has_nothing_to_do() {
    let mut script = Script::lossless(2, 4);
    script.pass(5_000);
    assert!(!script.asides.iter().any(|(_, it)| matches!(it, OrchestratorMessage::Ping { .. })));
}

#[test]
fn a_node_that_falls_silent_is_left_and_taken_again_when_it_speaks() {
    for place in 0..2 {
        let mut script = Script::lossless(2, 4);
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        let route = script.route();
        script.give(generation, route[1], 0..3);
        script.mute.insert(route[place]);
        let since_ms = script.now_ms;
        while script.leg().0 == generation {
            script.pass(100);
            assert!(script.now_ms - since_ms <= 1_600, "{} ms", script.now_ms - since_ms);
        }
        let (leg, part, other) = script.leg();
        assert!(!other.contains(&route[place]) && part.prompt_len == 7);
        let status = script.status(route[place]);
        assert_eq!((status.phase, status.reason.as_str()), (ShardPhase::Ready, "serving, but does not answer"));
        assert_eq!(script.state.network().pools[0].spares, Some(0));
        script.give(leg, other[1], 3..8);
        script.settle();
        // Frozen, not dead: it goes on where it was, which is of no use to anybody.
        script.mute.clear();
        if place == 1 {
            script.token(route[1], generation, 3, None);
        } else {
            script.says(route[0], NodeMessage::Pong { nonce: 1 });
        }
        assert_eq!(script.status(route[place]).reason, "serving");
        assert_eq!(script.state.network().pools[0].spares, Some(1));
        script.pass(3_000);
        script.assert_whole();
        assert_eq!(script.state.footprint().legs, 0);
    }
}

#[test]
fn silence_of_the_only_holder_is_waited_out() {
    let mut script = Script::lossless(1, 1);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    script.give(generation, 0, 0..3);
    script.mute.insert(0);
    script.pass(10_000);
    assert_eq!(script.state.available(), [false]);
    script.mute.clear();
    script.says(0, NodeMessage::Pong { nonce: 1 });
    script.settle();
    let (leg, part, _) = script.leg();
    assert!(leg != generation && part.prompt_len == 7);
    script.give(leg, 0, 3..8);
    script.pass(200);
    script.assert_whole();
}

#[test]
fn an_orchestrator_that_was_kept_from_running_suspects_nobody() {
    let mut script = Script::lossless(2, 4);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    script.pass(400);
    // Ten seconds in which nothing was read, and then the first tick.
    script.wait(10_000);
    script.wait(100);
    assert_eq!(script.leg().0, generation);
}

#[test]
fn a_route_that_becomes_slow_is_left_for_another() {
    for others in [true, false] {
        let mut script = Script::lossless(2, if others { 4 } else { 2 });
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        let route = script.route();
        for index in 0..3 {
            script.pass(100);
            script.give(generation, route[1], index..index + 1);
        }
        script.pass(Limits::default().slow_ms - 100);
        assert_eq!(script.leg().0, generation);
        script.pass(200);
        let (leg, _, other) = script.leg();
        assert_eq!(leg != generation, others);
        if others {
            assert!(route.iter().all(|n| !other.contains(n)));
        }
        script.give(leg, other[1], 3..8);
        script.settle();
        script.assert_whole();
    }
}

#[test]
fn a_first_token_that_is_long_overdue_is_sought_elsewhere_once() {
    let mut script = Script::lossless(2, 6);
    let mut legs = vec![script.ask("ann", request(4, 8))];
    script.settle();
    script.pass(3_800);
    assert_eq!(script.leg().0, legs[0], "twice what would be slow between tokens is not over");
    while script.now_ms < 1_025_000 {
        script.pass(500);
        if legs.last() != Some(&script.leg().0) {
            legs.push(script.leg().0);
        }
    }
    assert_eq!(legs.len(), 2, "others are no faster, and some routes just take their time");
    let (leg, _, route) = script.leg();
    script.give(leg, route[1], 0..8);
    script.settle();
    script.assert_whole();
}

#[test]
fn a_route_is_as_slow_as_it_always_was() {
    let mut script = Script::lossless(2, 4);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    let route = script.route();
    for index in 0..4 {
        script.give(generation, route[1], index..index + 1);
        script.pass(900);
    }
    script.pass(7_000);
    assert_eq!(script.leg().0, generation, "ten times its usual pace is not reached");
    script.pass(2_000);
    assert_ne!(script.leg().0, generation);
}

#[test]
fn silence_without_failover_ends_a_generation_truthfully() {
    let mut script = Script::with(PoolSettings::new(summary(30), 1), limits());
    script.join(0, None);
    script.settle();
    script.ask("ann", request(4, 8));
    script.settle();
    script.mute.insert(0);
    script.pass(1_600);
    let (_, GenerationEvent::Failed(fault)) = script.heard.last().unwrap() else { panic!() };
    assert_eq!(fault.code, FaultCode::Stalled);
    assert_eq!(fault.message, "no answer within 1000 ms to a ping, missing: box (layers 0..30)");
    script.event(EventKind::Tick);
}
