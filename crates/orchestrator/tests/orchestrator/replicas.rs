//! Places held by several nodes.

use computepool_core::{Advert, HeldModel, NodeId, WeightSource, control::OrchestratorMessage};
use computepool_orchestrator::{Limits, PoolSettings};

use crate::script::*;

fn holders(script: &Script) -> Vec<Vec<NodeId>> {
    script.state.network().pools[0].places.iter().map(|place| place.ready.clone()).collect()
}

#[test]
fn every_place_is_filled_once_before_any_is_doubled() {
    let mut script = Script::lossless(3, 7);
    let counts: Vec<usize> = holders(&script).iter().map(Vec::len).collect();
    assert_eq!(counts.iter().sum::<usize>(), 7);
    assert!(counts.iter().all(|count| (2..=3).contains(count)), "{counts:?}");
    assert_eq!(script.state.network().pools[0].spares, Some(1));
    script.join(7, Some("10..20"));
    script.settle();
    assert!(holders(&script)[1].contains(&node(7)), "who insists doubles what it insists on");
}

#[test]
fn clients_are_spread_over_replicas() {
    let mut script = Script::lossless(2, 4);
    script.ask("ann", request(4, 8));
    let first = script.route();
    script.ask("bob", request(4, 8));
    let second = script.route();
    assert!(first.iter().all(|n| !second.contains(n)), "{first:?} {second:?}");
    // So are the requests of one client, where they run at once.
    script.ask("cat", request(4, 8));
    let third = script.route();
    script.ask("cat", request(4, 8));
    let fourth = script.route();
    assert!(third.iter().all(|n| !fourth.contains(n)), "{third:?} {fourth:?}");
    assert_eq!(script.state.network().nodes.iter().map(|it| it.generations).collect::<Vec<_>>(), [2; 4]);
}

#[test]
fn a_client_that_asks_again_keeps_its_route() {
    let mut script = Script::lossless(2, 4);
    for _ in 0..3 {
        let generation = script.ask("ann", request(4, 8));
        script.settle();
        let route = script.route();
        script.give(generation, route[1], 0..8);
        script.settle();
    }
    assert_eq!(script.state.footprint().sessions, 1);
}

#[test]
fn who_comes_back_gets_the_place_that_it_had() {
    let mut script = Script::lossless(3, 6);
    let before = holders(&script);
    let specs: Vec<_> = (0..6).map(|n| script.assigned(n).unwrap().1).collect();
    for n in [4, 0] {
        script.disconnect(n);
    }
    for n in [0, 4] {
        script.join(n, None);
        assert_eq!(script.assigned(n).unwrap().1, specs[n], "its engine has it loaded");
    }
    script.settle();
    let sorted = |holders: Vec<Vec<NodeId>>| {
        holders
            .into_iter()
            .map(|mut it| {
                it.sort();
                it
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(sorted(holders(&script)), sorted(before));
}

#[test]
fn a_place_that_lost_everybody_is_given_somebody_from_elsewhere() {
    let mut script = Script::lossless(2, 4);
    let lost: Vec<usize> = holders(&script)[1].iter().map(number).collect();
    for n in &lost {
        script.disconnect(*n);
    }
    assert_eq!(script.state.available(), [false]);
    script.pass(2_900);
    assert_eq!(script.state.available(), [false], "its link may come back");
    script.pass(300);
    assert_eq!(script.state.available(), [true]);
    assert_eq!(holders(&script).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn only_the_idle_move_to_even_places_out() {
    let mut script = Script::lossless(2, 6);
    let second: Vec<usize> = holders(&script)[1].iter().map(number).collect();
    for n in &second[..2] {
        script.disconnect(*n);
    }
    script.pass(Limits::default().down_ms - 200);
    assert_eq!(holders(&script).iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    script.pass(400);
    assert_eq!(holders(&script).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn who_lacks_the_weights_is_told_where_they_are() {
    let manifest = sealed(9, &advert(9, None, 1));
    let source = WeightSource { manifest, urls: vec!["https://example.org/".into()] };
    let pool = PoolSettings { source: Some(source.clone()), ..PoolSettings::new(summary(30), 2) };
    let mut script = Script::with(pool, Limits::default());
    script.connect(0);
    script.says(0, says_hello(0, &Advert { models: Vec::new(), disk_bytes: 1 << 40, ..advert(0, None, 1 << 40) }));
    let half = HeldModel { layers: Some(range("15..30")), ..advert(1, None, 1).models[0] };
    script.connect(1);
    script.says(1, says_hello(1, &Advert { models: vec![half], disk_bytes: 1 << 40, ..advert(1, None, 1 << 40) }));
    let sources: Vec<_> = script
        .sent
        .iter()
        .map(|(to, message)| match message {
            OrchestratorMessage::Assign { source, .. } => (number(to), source.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sources, [(0, Some(source)), (1, None)]);
}

#[test]
fn neighbours_are_asked_to_measure_the_paths_between_them_now_and_then() {
    let mut script = Script::lossless(2, 4);
    let probes = |script: &Script| {
        let probe = |(to, it): &(NodeId, OrchestratorMessage)| match it {
            OrchestratorMessage::Probe { peers } => {
                Some((number(to), peers.iter().map(|it| number(&it.node)).collect()))
            }
            _ => None,
        };
        script.asides.iter().filter_map(probe).collect::<Vec<(usize, Vec<usize>)>>()
    };
    script.pass(1_000);
    let first = probes(&script);
    assert_eq!(first.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let place = |n: usize| holders(&script).iter().position(|it| it.contains(&node(n)));
    for (to, peers) in &first {
        assert!(peers.len() == 2 && peers.iter().all(|peer| place(*peer) != place(*to)), "{to}: {peers:?}");
    }
    script.pass(20_000);
    assert_eq!(probes(&script).len(), 4, "not again so soon");
    script.pass(12_000);
    assert_eq!(probes(&script).len(), 8);
}
