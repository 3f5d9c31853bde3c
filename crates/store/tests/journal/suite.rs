//! What both databases must do.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::ports::{Journal, Record};
use computepool_core::{FaultCode, SessionId};
use computepool_store::StoreError;
use futures::future::join_all;

use crate::database::Database;
use crate::sample::{advert, began, ended, generation, generations, model, node, node_with, peer, place, session};

pub(crate) async fn records_come_back_as_they_were_written(database: &Database) {
    let records = vec![
        node("alba"),
        node("brock"),
        Record::Places {
            model: model(1),
            places: vec![
                place(0, 10, &[("brock", 7), ("alba", u64::MAX >> 1)]),
                place(10, 24, &[]),
                place(24, 30, &[("alba", 0)]),
            ],
        },
        Record::Places { model: model(2), places: vec![place(0, 4, &[("brock", 8)])] },
        session(1),
        session(2),
        began(generation(0, 1), 1, 5_000),
        ended(generation(0, 1), 6_000, 17, None),
        began(generation(0, 2), 2, 5_001),
        began(generation(0, 3), 2, 5_002),
        ended(generation(0, 3), 5_003, 0, Some(FaultCode::NodeLost)),
    ];
    let store = database.open("ada").await;
    store.write(records.clone()).await.unwrap();
    assert_eq!(store.read().await.unwrap(), records);
    store.close().await.unwrap();
    for _ in 0..2 {
        let store = database.open("ada").await;
        assert_eq!(store.read().await.unwrap(), records);
        store.close().await.unwrap();
    }
    let openings = database.ask("SELECT CAST(openings AS TEXT) FROM orchestrators").await;
    assert_eq!(openings, ["3"], "each opening is counted");
}

pub(crate) async fn later_records_replace_earlier_ones(database: &Database) {
    let store = database.open("ada").await;
    let cut = |end, holder| Record::Places { model: model(1), places: vec![place(0, end, &[holder])] };
    let (first, again) = (generation(0, 1), generation(0, 2));
    store
        .write(vec![node("alba"), node("brock"), cut(10, ("alba", 1)), session(1), began(first, 1, 10)])
        .await
        .unwrap();
    let mut newer = node_with(&advert("alba"));
    (newer.seen_ms, newer.strikes, newer.slowness) = (99_000, 4, 900);
    newer.advert.signature = vec![9];
    let left = Record::NodeLeft(peer("brock"));
    let batch = vec![
        Record::Node(newer.clone()),
        left,
        cut(30, ("carol", 2)),
        ended(first, 20, 5, Some(FaultCode::Stalled)),
        began(first, 1, 30),
        began(again, 1, 31),
        ended(again, 40, 1, Some(FaultCode::NoRoute)),
        ended(again, 41, 2, None),
        ended(generation(9, 9), 42, 2, None),
    ];
    store.write(batch).await.unwrap();
    let expected = vec![
        Record::Node(newer),
        cut(30, ("carol", 2)),
        session(1),
        began(first, 1, 30),
        began(again, 1, 31),
        ended(again, 41, 2, None),
    ];
    assert_eq!(store.read().await.unwrap(), expected);
    store.write(vec![Record::Places { model: model(1), places: Vec::new() }]).await.unwrap();
    assert_eq!(store.read().await.unwrap().len(), expected.len() - 1, "a model that is not cut has no record");
}

pub(crate) async fn a_closed_session_takes_its_generations_with_it(database: &Database) {
    let store = database.open("ada").await;
    let kept = vec![session(2), began(generation(0, 2), 2, 11)];
    let mut records = vec![session(1), began(generation(0, 1), 1, 10), ended(generation(0, 1), 12, 3, None)];
    records.extend(kept.clone());
    store.write(records).await.unwrap();
    store.write(vec![Record::SessionClosed(SessionId([1; 16]))]).await.unwrap();
    assert_eq!(store.read().await.unwrap(), kept);
    assert_eq!(database.ask("SELECT session FROM generations").await, [SessionId([2; 16]).to_string()]);
}

pub(crate) async fn a_batch_with_a_record_that_cannot_be_kept_leaves_nothing(database: &Database) {
    let store = database.open("ada").await;
    store.write(vec![node("alba")]).await.unwrap();
    let batch = vec![node("brock"), Record::NodeLeft(peer("alba")), session(1), began(generation(0, 1), 1, u64::MAX)];
    let fault = store.write(batch).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::InvalidRequest, "{fault}");
    assert_eq!(store.read().await.unwrap(), [node("alba")]);
    store.write(vec![node("brock")]).await.unwrap();
    assert_eq!(store.read().await.unwrap(), [node("alba"), node("brock")]);
}

pub(crate) async fn a_dropped_write_leaves_all_or_nothing(database: &Database) {
    let store = database.open("ada").await;
    for group in 0..8 {
        let batch: Vec<_> = (0..5).map(|member| began(generation(group, member), 1, u64::from(group))).collect();
        // The patience of the first is none at all; of the last, enough for some of the batch.
        let patience = Duration::from_micros(u64::from(group) * 300);
        let _ = tokio::time::timeout(patience, store.write(batch)).await;
    }
    store.write(vec![began(generation(9, 0), 1, 9)]).await.unwrap();
    let found = generations(&store.read().await.unwrap());
    assert!(found.contains(&generation(9, 0)));
    for group in 0..8 {
        let members = (0..5).filter(|member| found.contains(&generation(group, *member))).count();
        assert!(members == 0 || members == 5, "{members} of group {group}");
    }
}

pub(crate) async fn many_write_at_once(database: &Database) {
    let stores = [database.open("ada").await, database.open("ben").await];
    let writers = (0..8).map(|writer| {
        let store = Arc::clone(&stores[writer as usize % 2]);
        async move {
            for turn in 0..10 {
                let id = |member| generation(writer * 100 + turn, member);
                store.write(vec![began(id(0), 1, 1), began(id(1), 1, 2), ended(id(0), 3, 1, None)]).await.unwrap();
            }
        }
    });
    join_all(writers.map(tokio::spawn)).await.into_iter().for_each(|done| done.unwrap());
    for store in stores {
        let records = store.read().await.unwrap();
        assert_eq!((generations(&records).len(), records.len()), (80, 120));
    }
}

pub(crate) async fn orchestrators_see_their_own_records_only(database: &Database) {
    let names = ["ada", "ben", "cyd"];
    // All at once into a database without tables.
    let stores: Vec<_> = join_all(names.map(|name| database.open(name))).await;
    for (store, name) in stores.iter().zip(names) {
        let cut = Record::Places { model: model(1), places: vec![place(0, 9, &[(name, 1)])] };
        store.write(vec![node(name), node("shared"), cut, session(1), began(generation(0, 1), 1, 1)]).await.unwrap();
    }
    stores[0].write(vec![Record::NodeLeft(peer("shared")), Record::SessionClosed(SessionId([1; 16]))]).await.unwrap();
    assert_eq!(stores[0].read().await.unwrap().len(), 2);
    for (store, name) in stores.iter().zip(names).skip(1) {
        let records = store.read().await.unwrap();
        assert_eq!(records.len(), 5);
        assert!(records.contains(&node(name)) && records.contains(&node("shared")), "{name}");
    }
}

pub(crate) async fn an_orchestrator_has_one_writer(database: &Database) {
    let store = database.open("ada").await;
    let error = database.try_open("ada").await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("ada") && error.to_string().contains("another process"), "{error}");
    store.write(vec![session(1)]).await.unwrap();
    store.close().await.unwrap();
    let after = store.write(vec![session(2)]).await.unwrap_err();
    assert!(after.message.contains("closed"), "{after}");
    assert_eq!(database.open("ada").await.read().await.unwrap(), [session(1)]);
}

pub(crate) async fn a_newer_layout_is_refused_and_left_alone(database: &Database) {
    database.open("ada").await.close().await.unwrap();
    database.ask("UPDATE store_version SET version = 99").await;
    let error = database.try_open("ada").await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 2, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("newer ComputePool") && text.contains("99"), "{text}");
    assert_eq!(database.ask("SELECT CAST(version AS TEXT) FROM store_version").await, ["99"]);
    database.ask("UPDATE store_version SET version = 2").await;
    database.open("ada").await;
}

pub(crate) async fn strangers_words_cannot_break_a_batch(database: &Database) {
    let mut loud = advert("loud");
    loud.name = format!("a\0b\u{1b}[31m{}", "long ".repeat(1000));
    loud.device = "'); DROP TABLE nodes; --".to_owned();
    (loud.memory_bytes, loud.price_per_hour) = (u64::MAX, u64::MAX);
    let mut garbled = node_with(&advert("garbled"));
    garbled.advert.body = vec![0xff; 300];
    let records = vec![Record::Node(garbled), Record::Node(node_with(&loud))];
    let store = database.open("ada").await;
    store.write(records.clone()).await.unwrap();
    assert_eq!(store.read().await.unwrap(), records);
    let shown = database.ask("SELECT name FROM nodes WHERE node = 'loud'").await.remove(0);
    assert!(shown.starts_with("ab[31mlong ") && shown.chars().count() == 200, "{shown}");
    let memory = database.ask("SELECT CAST(memory_bytes AS TEXT) FROM nodes WHERE node = 'loud'").await;
    assert_eq!(memory, [i64::MAX.to_string()]);
    assert_eq!(database.ask("SELECT node FROM nodes WHERE name IS NULL").await, ["garbled"]);
}

pub(crate) async fn people_find_columns_to_ask_for(database: &Database) {
    let store = database.open("ada").await;
    let id = generation(0, 1);
    let cut = Record::Places { model: model(1), places: vec![place(0, 10, &[("alba", 1)])] };
    store
        .write(vec![node("alba"), cut, session(1), began(id, 1, 10), ended(id, 20, 3, Some(FaultCode::NodeLost))])
        .await
        .unwrap();
    let question = "SELECT n.name || ' ' || n.reach || ' ' || p.first_layer || '..' || p.end_layer FROM nodes n \
                    JOIN holders h ON h.node = n.node JOIN places p ON p.model = h.model AND p.place = h.place";
    assert_eq!(database.ask(question).await, ["alba's machine punchable 0..10"]);
    let question = "SELECT s.client || ' ' || g.fault || ' after ' || (g.ended_ms - g.began_ms) \
                    FROM generations g JOIN sessions s ON s.session = g.session";
    assert_eq!(database.ask(question).await, ["local node_lost after 10"]);
}

pub(crate) async fn the_newest_generations_are_kept(database: &Database) {
    let store = database.open_keeping("ada", 20).await;
    let other = database.open("ben").await;
    other.write((0..40).map(|n| began(generation(n, 0), 1, u64::from(n))).collect()).await.unwrap();
    for n in 0..50 {
        let id = generation(n, 0);
        store.write(vec![began(id, 1, u64::from(n)), ended(id, u64::from(n), 1, None)]).await.unwrap();
        assert!(generations(&store.read().await.unwrap()).len() <= 21);
    }
    store.close().await.unwrap();
    let store = database.open_keeping("ada", 5).await;
    let newest: Vec<_> = (45..50).map(|n| generation(n, 0)).collect();
    assert_eq!(generations(&store.read().await.unwrap()), newest);
    assert_eq!(generations(&other.read().await.unwrap()).len(), 40, "somebody else's");
}
