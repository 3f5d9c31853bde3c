//! What an orchestrator writes down, and what its next life makes of it.

use std::sync::Arc;

use computepool_core::ports::{PlaceRecord, Record};
use computepool_core::{Advert, ContentHash, FaultCode, NodeId, SessionId};
use computepool_orchestrator::{Effect, EventKind, Footprint, Limits, PoolSettings, State};

use crate::script::*;

fn keeping(shards: usize) -> Script {
    let mut script = Script::with(PoolSettings::new(summary(30), shards), Limits::default());
    script.state.keep_records();
    script
}

/// The next life of an orchestrator that was killed, and what it wrote down first.
fn next_life(old: &Script) -> (Script, Vec<Effect>) {
    let mut script = keeping(2);
    script.now_ms = old.now_ms + 500;
    let effects = script.state.restore(script.now_ms, old.written.clone());
    (script, effects)
}

fn serving(nodes: usize) -> Script {
    let mut script = keeping(2);
    (0..nodes).for_each(|n| script.join(n, None));
    script.settle();
    script
}

#[test]
fn nothing_is_told_to_be_written_where_nobody_keeps_records() {
    let mut script = Script::lossless(2, 4);
    script.ask("ann", request(4, 8));
    script.settle();
    assert_eq!(script.written, []);
}

#[test]
fn a_life_is_written_down_before_its_effects() {
    let mut script = serving(2);
    assert!(matches!(script.written[0], Record::Node(_)));
    let Some(Record::Places { places, .. }) =
        script.written.iter().rev().find(|it| matches!(it, Record::Places { .. }))
    else {
        panic!()
    };
    let expected = [("0..15", 0, 1), ("15..30", 1, 2)];
    let expected = expected
        .map(|(layers, n, assignment)| PlaceRecord { layers: range(layers), holders: vec![(node(n), assignment)] });
    assert_eq!(places, &expected);
    let generation = script.ask("ann", request(4, 8));
    let Effect::Write(records) = &script.last[0] else { panic!("{:?}", script.last) };
    let session = script.opening_session();
    assert!(matches!(&records[0], Record::Session(it) if it.session == session && it.client == client("ann")));
    let at_ms = script.now_ms;
    assert_eq!(records[1..], [Record::GenerationBegan { generation, session, at_ms }]);
    script.settle();
    script.give(generation, 1, 0..8);
    script.settle();
    let ended = Record::GenerationEnded { generation, at_ms, tokens: 8, fault: None };
    assert_eq!(script.written.last(), Some(&ended));
    script.wait(Limits::default().session_idle_ms);
    assert!(script.written.contains(&Record::SessionClosed(session)));
    script.disconnect(0);
    assert!(script.written.contains(&Record::NodeLeft(node(0))));
}

#[test]
fn nodes_that_come_back_take_up_their_places_with_the_same_shards() {
    let old = serving(4);
    let (mut script, _) = next_life(&old);
    assert_eq!(script.state.network().pools[0].places.len(), 2);
    let (newest, _) = (0..4).map(|n| old.assigned(n).unwrap()).max_by_key(|(assignment, _)| *assignment).unwrap();
    for n in [3, 1, 2, 0] {
        script.join(n, None);
        let (assignment, spec) = script.assigned(n).unwrap();
        assert!(assignment > newest, "no assignment is given twice");
        assert_eq!(spec, old.assigned(n).unwrap().1);
    }
    script.settle();
    assert_eq!(script.state.available(), [true]);
    assert_eq!(script.state.network().pools[0].spares, Some(1));
}

#[test]
fn places_are_kept_for_a_while_and_then_given_away() {
    let old = serving(2);
    let (mut script, _) = next_life(&old);
    script.join(0, None);
    script.join(5, None);
    script.settle();
    assert_eq!(script.assigned(5), None, "somebody may be on the way");
    script.pass(Limits::default().restore_ms + 100);
    assert_eq!(script.assigned(5).unwrap().1.layers, range("15..30"));
    assert_eq!(script.state.available(), [true]);

    let (mut script, _) = next_life(&old);
    script.pass(Limits::default().restore_ms + 100);
    script.join(7, Some("0..4"));
    script.join(8, None);
    assert_eq!(script.assigned(8).unwrap().1.layers, range("4..30"), "nobody came: it is cut anew");
}

#[test]
fn what_was_under_way_is_written_down_as_interrupted() {
    let mut old = serving(2);
    let done = old.ask("ann", request(4, 8));
    old.settle();
    old.give(done, 1, 0..8);
    old.settle();
    let cut = old.ask("ann", request(4, 8));
    old.settle();
    old.give(cut, 1, 0..3);
    let (script, effects) = next_life(&old);
    let at_ms = script.now_ms;
    let fault = Some(FaultCode::Interrupted);
    let ended = Record::GenerationEnded { generation: cut, at_ms, tokens: 0, fault };
    assert_eq!(effects, [Effect::Write(vec![ended])]);
    assert_eq!(script.state.network().generations, 0);
}

#[test]
fn sessions_are_their_clients_again_under_another_id_and_the_same_deadline() {
    let mut old = serving(2);
    let generation = old.ask("ann", request(4, 8));
    old.settle();
    old.give(generation, 1, 0..8);
    old.settle();
    let session = old.opening_session();
    let (mut script, _) = next_life(&old);
    assert_eq!((script.state.network().sessions, script.state.footprint().sessions), (1, 0));
    (0..2).for_each(|n| script.join(n, None));
    script.settle();
    script.ask("bob", request(4, 8));
    script.now_ms += 60_000;
    script.ask("ann", request(4, 8));
    assert_eq!(script.state.network().sessions, 2);
    let fresh = script.opening_session();
    assert_ne!(fresh, session);
    let Effect::Write(records) = &script.last[0] else { panic!("{:?}", script.last) };
    assert_eq!(records[0], Record::SessionClosed(session));
    let expires_ms = old.now_ms + Limits::default().ticket_ms;
    assert!(matches!(&records[1], Record::Session(it) if it.session == fresh && it.expires_ms == expires_ms));

    // Nobody has to come back.
    let (mut script, _) = next_life(&old);
    script.wait(Limits::default().ticket_ms);
    assert_eq!(script.state.network().sessions, 0);
    assert!(script.written.contains(&Record::SessionClosed(session)));
}

#[test]
fn what_was_learned_of_a_node_waits_for_it() {
    let mut old = serving(2);
    let generation = old.ask("ann", request(4, 8));
    old.settle();
    old.token(1, generation, 5, None);
    assert!(old.status(1).reason.contains("broke the protocol 1 times"));
    let (mut script, _) = next_life(&old);
    (0..2).for_each(|n| script.join(n, None));
    script.settle();
    for _ in 0..2 {
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        script.token(1, generation, 5, None);
        script.cancel(generation);
        script.settle();
    }
    assert!(!script.state.network().nodes.iter().any(|it| it.node == node(1)), "three strikes over two lives");
}

#[test]
fn the_whole_as_it_is_can_be_written_anew() {
    let mut old = serving(2);
    let generation = old.ask("ann", request(4, 8));
    old.settle();
    let mut script = keeping(2);
    let effects = script.state.restore(old.now_ms, old.state.records());
    let [Effect::Write(records)] = &effects[..] else { panic!("{effects:?}") };
    assert!(matches!(records[..], [Record::GenerationEnded { generation: it, .. }] if it == generation));
    assert_eq!(script.state.network().sessions, 1);
    (0..2).for_each(|n| script.join(n, None));
    script.settle();
    assert_eq!(script.state.available(), [true]);
}

#[test]
fn another_lifes_records_do_no_harm() {
    let mut script = keeping(2);
    let stranger = |n: usize| {
        Record::Node(computepool_core::ports::NodeRecord {
            advert: sealed(n, &Advert { name: "old".into(), ..advert(n, None, 1) }),
            seen_ms: 1,
            strikes: 0,
            slowness: 1000,
        })
    };
    let gap = vec![
        PlaceRecord { layers: range("0..10"), holders: vec![(node(1), 7)] },
        PlaceRecord { layers: range("12..30"), holders: vec![(node(2), u64::MAX - 1)] },
    ];
    let unknown = Record::Places { model: ContentHash([9; 32]), places: gap.clone() };
    let broken = Record::Places { model: ContentHash([7; 32]), places: gap };
    let records = (0..5000).map(stranger).chain([unknown, broken, Record::SessionClosed(SessionId([1; 16]))]).collect();
    assert_eq!(script.state.restore(2_000, records), []);
    (0..2).for_each(|n| script.join(n, None));
    script.settle();
    assert_eq!(script.state.available(), [true]);
    script.event(EventKind::Drain { deadline_ms: 0 });
    script.settle();
    script.wait(Limits::default().leave_ms);
    assert_eq!(script.state.footprint(), Footprint::default());
    let signer = Arc::new(FakeKey(NodeId::new("orchestrator").unwrap()));
    assert!(
        State::new(Vec::new(), Limits { max_legs: 0, ..Limits::default() }, signer, Arc::new(FakeVerifier)).is_err()
    );
}
