//! A node leaves politely: what runs through it goes on elsewhere, from token to token.

use computepool_core::control::NodeMessage;
use computepool_core::ports::Adopt;
use computepool_core::{Fault, FaultCode, GenerationId, TokenEvent};

use crate::script::*;

/// A generation of 8 tokens through two shards with 3 given; its entry says that it leaves, and the shadow runs.
fn leaving() -> (Script, GenerationId, Vec<usize>, GenerationId, Vec<usize>) {
    let mut script = Script::lossless(2, 4);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    let route = script.route();
    script.give(generation, route[1], 0..3);
    script.says(route[0], NodeMessage::Draining);
    assert_eq!(script.sent_to(is_close), [], "the old leg goes on");
    script.settle();
    let (shadow, part, other) = script.leg();
    assert!(!other.contains(&route[0]));
    assert_eq!((part.prompt_len, part.adopt, part.unhurried), (7, None, true));
    (script, generation, route, shadow, other)
}

#[test]
fn a_shadow_works_its_way_up_and_a_successor_takes_over() {
    let (mut script, old, route, shadow, other) = leaving();
    script.give(old, route[1], 3..5);
    // The shadow's first tokens are ones that the client has.
    script.give(shadow, other[1], 3..4);
    assert_eq!(script.leg().0, shadow, "nobody succeeds it before there is news");
    script.give(shadow, other[1], 4..5);
    assert_eq!(script.told(), []);
    script.give(old, route[1], 5..6);
    assert_eq!(script.sent_to(is_close), [], "whoever adopts closes");
    let (successor, part, same) = script.leg();
    assert_eq!(same, other);
    assert_eq!(part.adopt, Some(Adopt { generation: shadow, positions: 8 }));
    assert!(!part.unhurried, "now the client waits");
    assert_eq!((part.prompt_len, part.request.unwrap().produced), (10, vec![10, 11, 12, 13, 14, 15]));
    script.give(old, route[1], 6..7);
    script.settle();
    assert_eq!(script.state.network().handovers, 0);
    script.give(successor, other[1], 6..7);
    assert_eq!(script.told(), [], "the old leg was faster");
    assert_eq!(script.sent_to(is_close).len(), 2, "now it is not needed any more");
    assert_eq!(script.state.network().handovers, 1);
    script.give(successor, other[1], 7..8);
    script.settle();
    script.assert_whole();
    let held = script.state.footprint();
    assert_eq!((held.generations, held.legs), (0, 0));
    assert!(!script.state.network().nodes.iter().any(|it| it.node == node(route[0])), "it was let go");
    assert_eq!(script.state.network().failovers, 0, "nothing was lost");
}

#[test]
fn a_shadow_that_is_not_behind_is_its_own_successor() {
    let (mut script, _, _, shadow, other) = leaving();
    script.give(shadow, other[1], 3..4);
    assert_eq!(script.told().len(), 1);
    assert_eq!(script.sent_to(is_close).len(), 2);
    script.give(shadow, other[1], 4..8);
    script.settle();
    script.assert_whole();
    assert_eq!(script.state.network().handovers, 1);
}

#[test]
fn the_leaver_may_vanish_at_any_step() {
    for step in 0..4 {
        let (mut script, old, route, shadow, other) = leaving();
        script.give(old, route[1], 3..5);
        let mut given = 5;
        if step > 0 {
            script.give(shadow, other[1], 3..4);
        }
        if step > 1 {
            script.give(old, route[1], 5..6);
            script.settle();
            given = 6;
        }
        if step > 2 {
            script.give(script.leg().0, other[1], 6..7);
            given = 7;
        }
        script.disconnect(route[0]);
        if step == 0 {
            script.give(shadow, other[1], 3..4);
        }
        script.settle();
        let (last, part, _) = script.leg();
        assert_eq!(part.adopt, Some(Adopt { generation: shadow, positions: 7 }), "{step}");
        script.give(last, other[1], given..8);
        script.settle();
        script.assert_whole();
        assert_eq!(script.state.footprint().legs, 0, "{step}");
    }
}

#[test]
fn a_handover_that_fails_costs_nothing_and_is_tried_again() {
    for successor in [false, true] {
        let (mut script, old, route, shadow, other) = leaving();
        script.give(old, route[1], 3..4);
        let mut lost = shadow;
        if successor {
            script.give(shadow, other[1], 3..4);
        }
        script.give(old, route[1], 4..5);
        if successor {
            lost = script.leg().0;
            assert!(lost != shadow);
        }
        let fault = Fault::new(FaultCode::NoCapacity, "no KV left");
        script.says(other[0], NodeMessage::GenerationFailed { generation: lost, fault });
        script.settle();
        assert_eq!(script.state.footprint().legs, 1, "the old one");
        script.give(old, route[1], 5..6);
        script.pass(1_200);
        let (again, part, other) = script.leg();
        assert!(again != shadow && part.prompt_len == 10 && !other.contains(&route[0]));
        script.give(again, other[1], 6..8);
        script.settle();
        script.assert_whole();
    }
}

#[test]
fn an_adopted_leg_is_closed_where_nobody_adopted_it() {
    let (mut script, old, route, shadow, other) = leaving();
    script.give(old, route[1], 3..4);
    script.give(shadow, other[1], 3..4);
    script.give(old, route[1], 4..5);
    let successor = script.leg().0;
    script.closed(other[0], shadow);
    let fault = Fault::new(FaultCode::NoCapacity, "no KV left");
    script.says(other[1], NodeMessage::GenerationFailed { generation: successor, fault });
    let closed: Vec<_> =
        script.sent.iter().filter(|(_, it)| is_close_of(it, shadow)).map(|(to, _)| number(to)).collect();
    assert_eq!(closed, [other[1]]);
}

#[test]
fn a_shadow_that_gives_other_tokens_is_not_followed() {
    let (mut script, old, route, shadow, other) = leaving();
    script.give(old, route[1], 3..5);
    let event = TokenEvent { index: 3, id: 999, logprob: None, finish: None };
    script.says(other[1], NodeMessage::Token { generation: shadow, event });
    assert_eq!(script.told(), []);
    assert!(script.status(other[1]).reason.contains("token 3 was 13, and came again as 999"));
    script.settle();
    script.give(old, route[1], 5..8);
    script.settle();
    script.assert_whole();
}

#[test]
fn without_another_route_the_leaver_finishes() {
    let mut script = Script::lossless(1, 1);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    script.give(generation, 0, 0..3);
    script.says(0, NodeMessage::Draining);
    script.settle();
    script.give(generation, 0, 3..7);
    script.give(generation, 0, 7..8);
    script.settle();
    script.assert_whole();
    assert_eq!(script.state.footprint().links, 0);
}

#[test]
fn a_spare_that_comes_later_is_handed_what_still_runs() {
    let mut script = Script::lossless(1, 1);
    let generation = script.ask("ann", request(4, 8));
    script.settle();
    script.give(generation, 0, 0..3);
    script.says(0, NodeMessage::Draining);
    script.join(1, None);
    script.settle();
    let (shadow, _, route) = script.leg();
    assert_eq!(route, [1]);
    script.give(shadow, 1, 3..8);
    script.settle();
    script.assert_whole();
}

#[test]
fn what_has_not_begun_moves_at_once() {
    let mut script = Script::lossless(2, 4);
    script.ask("ann", request(4, 8));
    let route = script.route();
    script.says(route[0], NodeMessage::Draining);
    script.settle();
    let (leg, part, other) = script.leg();
    assert!(!other.contains(&route[0]) && part.prompt_len == 4);
    script.give(leg, other[1], 0..8);
    script.settle();
    script.assert_whole();
}
