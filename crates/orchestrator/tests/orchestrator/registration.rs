//! Nodes come, are given places, fail, and go.

use computepool_core::control::NodeMessage;
use computepool_core::ports::ShardPhase;
use computepool_core::{ActivationType, Advert, ContentHash, EngineUsage, Fault, FaultCode};
use computepool_orchestrator::{Limits, PoolSettings};

use crate::script::*;

#[test]
fn a_route_is_up_when_every_range_is_ready() {
    let mut script = Script::new(3);
    script.join(0, None);
    script.join(1, None);
    assert_eq!(script.assigned(0), None, "nothing is loaded before the route can be complete");
    assert_eq!(script.status(0).reason, "waiting: 2 of 3 nodes are there");
    script.join(2, None);
    let layers: Vec<String> = (0..3).map(|n| script.assigned(n).unwrap().1.layers.to_string()).collect();
    assert_eq!(layers, ["0..10", "10..20", "20..30"]);
    script.ready(2);
    script.ready(0);
    assert_eq!(script.state.available(), [false]);
    assert_eq!(script.status(1).phase, ShardPhase::Loading);
    script.ready(1);
    assert_eq!(script.state.available(), [true]);
    let order: Vec<_> = script.state.network().nodes.into_iter().map(|status| status.node).collect();
    assert_eq!(order, [node(0), node(1), node(2)]);
}

#[test]
fn insisted_ranges_are_assigned_as_asked_for() {
    let mut script = Script::new(3);
    script.join(0, Some("20..30"));
    script.join(1, Some("0..5"));
    script.join(2, None);
    let layers: Vec<String> = (0..3).map(|n| script.assigned(n).unwrap().1.layers.to_string()).collect();
    assert_eq!(layers, ["20..30", "0..5", "5..20"]);
}

#[test]
fn strangers_who_break_the_opening_rules_are_disconnected() {
    let mut script = Script::new(1);
    script.connect(0);
    script.says(0, NodeMessage::Draining);
    assert_eq!(script.disconnected(), [node(0)], "something before hello");
    script.says(0, hello(0, None, 1 << 40));
    assert_eq!(script.last, [], "what is still on its way is not heard");

    script.join(1, None);
    script.says(1, hello(1, None, 1 << 40));
    assert_eq!(script.disconnected(), [node(1)], "a second hello");

    script.connect(2);
    script.says(2, NodeMessage::Hello { version: 99, advert: sealed(2, &advert(2, None, 1)) });
    assert_eq!(script.disconnected(), [node(2)], "another version");

    script.says(3, hello(3, None, 1));
    assert_eq!(script.disconnected(), [node(3)], "never connected");

    script.connect(4);
    script.wait(limits().hello_ms);
    assert!(script.disconnected().contains(&node(4)), "silent");
    (0..5).for_each(|n| script.disconnect(n));
    assert_eq!(script.state.footprint().links, 0);
}

#[test]
fn there_is_a_bound_on_nodes() {
    let limits = Limits { max_nodes: 2, ..limits() };
    let mut script = Script::with(PoolSettings::new(summary(30), 1), limits);
    (0..2).for_each(|n| script.connect(n));
    script.connect(2);
    assert_eq!(script.disconnected(), [node(2)]);
    assert_eq!(script.state.footprint().links, 2);
}

#[test]
fn a_node_without_the_model_stays_idle_and_is_told_why() {
    let mut script = Script::new(1);
    script.connect(0);
    let mut other = advert(0, None, 1 << 40);
    other.models[0].model = ContentHash([1; 32]);
    script.says(0, says_hello(0, &other));
    let status = script.status(0);
    assert_eq!((status.phase, status.reason.as_str()), (ShardPhase::Idle, "it has none of the models offered here"));
    script.join(1, Some("0..31"));
    assert_eq!(script.status(1).reason, "it insists on layers 0..31 of a model with 30");
}

#[test]
fn a_node_with_too_little_memory_gets_no_place() {
    let mut script = Script::new(1);
    script.connect(0);
    script.says(0, hello(0, None, 1000));
    let reason = script.status(0).reason;
    assert!(reason.starts_with("waiting: layers 0..30 need") && reason.ends_with("offers 1000"), "{reason}");
    // Weights, and less KV than the pool would like: that is granted as far as it goes.
    script.connect(1);
    script.says(1, hello(1, None, 3100 + 30 * 2048 + 5));
    assert_eq!(script.assigned(1).unwrap().1.kv_bytes, 30 * 2048 + 5);
}

#[test]
fn a_lost_place_is_taken_by_a_spare_or_by_who_comes_back() {
    let mut script = Script::up(2);
    script.join(2, None);
    assert_eq!(script.status(2).layers, Some(range("0..15")), "the first place is as good as any to be doubled");
    script.disconnect(0);
    assert_eq!(script.assigned(2).unwrap().1.layers, range("0..15"));
    assert_eq!(script.state.available(), [false], "it has to load first");
    script.ready(2);
    assert_eq!(script.state.available(), [true]);
    script.disconnect(1);
    assert_eq!(script.state.available(), [false]);
    script.join(1, None);
    script.ready(1);
    assert_eq!(script.state.available(), [true]);
    assert_eq!(script.assigned(1).unwrap().1.layers, range("15..30"));
}

#[test]
fn a_second_link_stands_in_for_the_first() {
    let mut script = Script::up(1);
    script.connect(0);
    assert_eq!(script.state.available(), [false]);
    script.says(0, hello(0, None, 1 << 40));
    script.ready(0);
    assert_eq!(script.state.available(), [true]);
}

#[test]
fn when_every_place_is_vacant_the_model_is_cut_anew() {
    let mut script = Script::up(2);
    script.disconnect(0);
    script.disconnect(1);
    script.join(5, Some("0..4"));
    script.join(6, None);
    assert_eq!(script.assigned(6).unwrap().1.layers, range("4..30"));
}

#[test]
fn a_shard_that_restarts_keeps_its_place_and_one_that_stays_down_loses_it() {
    let mut script = Script::up(1);
    script.join(1, None);
    let (assignment, spec) = script.assigned(0).unwrap();
    let fault = Fault::new(FaultCode::EngineLost, "the engine was killed");
    script.says(0, NodeMessage::ShardDown { assignment, fault: fault.clone() });
    assert_eq!(script.state.available(), [false]);
    assert_eq!(script.status(0).phase, ShardPhase::Down);
    assert_eq!(script.status(0).reason, "the engine was killed");
    script.wait(1000);
    script.says(0, NodeMessage::ShardReady { assignment, info: info(&spec) });
    assert_eq!(script.state.available(), [true]);

    script.says(0, NodeMessage::ShardDown { assignment, fault });
    script.wait(limits().down_ms - 1);
    assert_eq!(script.status(0).phase, ShardPhase::Down);
    script.wait(1);
    assert_eq!(script.assigned(1).unwrap().1.layers, range("0..30"));
    assert_eq!(script.status(0).phase, ShardPhase::Idle);
    assert!(script.status(0).reason.contains("lost layers 0..30 to a spare: the engine was killed"));
    script.says(0, NodeMessage::ShardReady { assignment, info: info(&spec) });
    assert_eq!(script.disconnected(), [], "a late answer to an old assignment is no offence");
    assert_eq!(script.state.available(), [false]);
    script.ready(1);
    assert_eq!(script.state.available(), [true]);
}

#[test]
fn a_shard_that_never_loads_counts_as_down() {
    let mut script = Script::new(1);
    script.join(0, None);
    script.wait(limits().load_ms);
    assert_eq!(script.status(0).phase, ShardPhase::Down);
    script.join(1, None);
    script.wait(limits().down_ms);
    assert!(script.assigned(1).is_some());
}

#[test]
fn a_shard_that_stays_down_is_asked_again_where_no_spare_fits() {
    let mut script = Script::up(1);
    // Too small for the place.
    script.connect(1);
    script.says(1, hello(1, None, 1000));
    let goes_down = |script: &mut Script, pause: u64| {
        let (assignment, spec) = script.assigned(0).unwrap();
        let fault = Fault::new(FaultCode::EngineLost, "the engine was given up");
        script.says(0, NodeMessage::ShardDown { assignment, fault });
        script.wait(pause - 1);
        assert_eq!(script.assigned(0).unwrap().0, assignment, "not before {pause} ms");
        script.wait(1);
        let (again, same) = script.assigned(0).unwrap();
        assert!(again > assignment && same == spec, "after {pause} ms");
        assert_eq!(script.status(0).phase, ShardPhase::Loading);
    };
    for pause in [15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000] {
        goes_down(&mut script, pause);
    }
    script.ready(0);
    assert_eq!(script.state.available(), [true]);
    goes_down(&mut script, limits().down_ms);
    // One that fits is not kept waiting by the pauses.
    let assignment = script.assigned(0).unwrap().0;
    let fault = Fault::new(FaultCode::EngineLost, "the engine was given up");
    script.says(0, NodeMessage::ShardDown { assignment, fault });
    script.wait(limits().down_ms);
    script.join(2, None);
    assert!(script.assigned(2).is_some());
    assert_eq!(script.assigned(1), None);
}

#[test]
fn a_shard_that_is_not_what_was_asked_for_is_refused() {
    let mut script = Script::new(1);
    script.join(0, None);
    let (assignment, mut spec) = script.assigned(0).unwrap();
    script.says(0, NodeMessage::ShardReady { assignment: assignment + 1, info: info(&spec) });
    assert_eq!(script.disconnected(), [node(0)]);
    script.join(1, None);
    let assignment = script.assigned(1).unwrap().0;
    spec.layers = range("0..29");
    script.says(1, NodeMessage::ShardReady { assignment, info: info(&spec) });
    assert_eq!(script.disconnected(), [node(1)]);
    assert_eq!(script.state.available(), [false]);
}

#[test]
fn shards_that_store_states_differently_make_no_route() {
    let mut script = Script::new(2);
    (0..2).for_each(|n| script.join(n, None));
    script.ready(0);
    let (assignment, spec) = script.assigned(1).unwrap();
    let info = computepool_core::ShardInfo { activation: ActivationType::F16, ..info(&spec) };
    script.says(1, NodeMessage::ShardReady { assignment, info });
    script.ask("ann", request(4, 4));
    let fault = script.fault();
    assert_eq!(fault.code, FaultCode::NoRoute);
    assert!(fault.message.contains("stores hidden states as F16"), "{}", fault.message);
}

#[test]
fn a_draining_node_finishes_gives_its_place_up_and_may_leave() {
    let mut script = Script::up(1);
    let (generation, _) = script.running(1);
    script.join(1, None);
    script.says(0, NodeMessage::Draining);
    assert_eq!(script.status(0).phase, ShardPhase::Draining);
    assert!(script.assigned(1).is_some(), "a spare takes its place at once");
    assert_eq!(script.told(), [], "what runs goes on");
    script.token(0, generation, 0, Some(computepool_core::FinishReason::Stop));
    assert_eq!(script.sent_to(is_leave), []);
    script.closed(0, generation);
    assert_eq!(script.sent_to(is_close_session), [node(0)]);
    assert_eq!(script.sent_to(is_leave), [node(0)]);
    script.ready(1);
    script.ask("ann", request(4, 4));
    assert_eq!(script.sent_to(is_open_session), [node(1)]);
    script.wait(limits().leave_ms);
    assert_eq!(script.disconnected(), [node(0)], "it had its time to leave");
}

#[test]
fn what_strangers_call_themselves_is_cut_to_size() {
    let mut script = Script::new(1);
    script.connect(0);
    let name = format!("\u{1b}[31m{}", "x".repeat(1000));
    let addresses = vec!["/a".repeat(400); 40];
    script.says(0, says_hello(0, &Advert { name, addresses, ..advert(0, None, 1 << 40) }));
    let name = script.status(0).name;
    assert!(name.chars().count() <= 64 && !name.contains('\u{1b}'));
}

#[test]
fn what_an_engine_uses_is_shown_until_its_node_goes() {
    let mut script = Script::new(1);
    script.join(0, None);
    assert_eq!(script.status(0).usage, None);
    let usage = EngineUsage { pid: Some(7), rss_bytes: 1 << 20, peak_rss_bytes: 2 << 20, kv_tokens_used: 40 };
    script.says(0, NodeMessage::Usage(usage));
    assert_eq!(script.status(0).usage, Some(usage));
    let shown = script.state.revision();
    script.says(0, NodeMessage::Usage(usage));
    assert_eq!(script.state.revision(), shown, "the same again is no news");
    script.disconnect(0);
    script.join(0, None);
    assert_eq!(script.status(0).usage, None, "another process may run there now");
    script.connect(1);
    script.says(1, NodeMessage::Usage(usage));
    assert_eq!(script.disconnected(), [node(1)], "nothing goes before the hello");
}
