//! What both databases must do as ledgers.

use computepool_core::FaultCode;
use computepool_core::ports::{Ledger, LedgerEntry};
use computepool_store::LedgerReader;

use crate::database::Database;
use crate::sample::peer;

fn entry(subject: &str, ordinal: u32, concludes: bool) -> LedgerEntry {
    let body = format!("{{\"what\":\"{subject} {ordinal}: 'quoted', ünïcode\"}}");
    LedgerEntry {
        subject: subject.to_owned(),
        ordinal,
        at_ms: 1_000 + u64::from(ordinal),
        kind: "told".to_owned(),
        body,
        concludes,
    }
}

pub(crate) async fn entries_come_back_in_order_and_page_by_page(database: &Database) {
    let entries = vec![entry("b", 0, false), entry("a", 0, false), entry("b", 1, false), entry("a", 1, true)];
    let (store, other) = (database.open("ada").await, database.open("ben").await);
    store.append(entries[..2].to_vec()).await.unwrap();
    other.append(vec![entry("a", 0, false)]).await.unwrap();
    store.append(entries[2..].to_vec()).await.unwrap();
    store.close().await.unwrap();
    let store = database.open("ada").await;
    assert_eq!(store.page(0, 100).await.unwrap(), entries);
    assert_eq!(store.page(1, 2).await.unwrap(), entries[1..3]);
    assert!(store.page(4, 100).await.unwrap().is_empty() && store.page(u64::MAX, 1).await.unwrap().is_empty());
    assert_eq!(other.page(0, 100).await.unwrap().len(), 1);
    // Whoever only reads does so beside both, and hinders neither.
    let mut reader = LedgerReader::open(&database.url()).await.unwrap();
    assert_eq!(reader.orchestrators().await.unwrap(), [peer("ada"), peer("ben")]);
    assert_eq!(reader.page(&peer("ada"), 1, 2).await.unwrap(), entries[1..3]);
    other.append(vec![entry("a", 1, true)]).await.unwrap();
    assert_eq!(reader.page(&peer("ben"), 1, 9).await.unwrap(), [entry("a", 1, true)]);
    assert_eq!(database.ask("SELECT subject FROM ledger WHERE orchestrator = 'ada' AND line = 3").await, ["a"]);
}

pub(crate) async fn a_place_in_the_ledger_is_given_once(database: &Database) {
    let store = database.open("ada").await;
    store.append(vec![entry("a", 0, false)]).await.unwrap();
    let mut other = entry("a", 0, false);
    other.at_ms += 1;
    let fault = store.append(vec![entry("b", 0, false), other]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Duplicate, "{fault}");
    assert_eq!(store.page(0, 100).await.unwrap(), [entry("a", 0, false)], "all or nothing");
    // Word for word, it is the same write once more.
    store.append(vec![entry("a", 0, false), entry("a", 1, false)]).await.unwrap();
    assert_eq!(store.page(0, 100).await.unwrap().len(), 2);
    let mut long = entry("a", 2, false);
    long.body = "x".repeat(70_000);
    assert_eq!(store.append(vec![long]).await.unwrap_err().code, FaultCode::InvalidRequest);
}

pub(crate) async fn concluded_subjects_are_not_read_again(database: &Database) {
    let store = database.open("ada").await;
    let all = vec![entry("a", 0, false), entry("b", 0, false), entry("a", 1, true), entry("b", 1, false)];
    store.append(all.clone()).await.unwrap();
    store.append(vec![entry("c", 0, true)]).await.unwrap();
    // Repeating what was written opens nothing again.
    store.append(vec![entry("a", 0, false)]).await.unwrap();
    assert_eq!(store.unconcluded().await.unwrap(), [all[1].clone(), all[3].clone()]);
}
