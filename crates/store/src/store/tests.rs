//! What only somebody with a hand on the connection can bring about.

use computepool_core::{FaultCode, GenerationId, Retry, SessionId};

use super::*;

fn began(number: u16) -> Record {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Record::GenerationBegan { generation: GenerationId(id), session: SessionId([7; 16]), at_ms: u64::from(number) }
}

async fn with_pragma(folder: &tempfile::TempDir, pragma: &'static str) -> Arc<Store> {
    let path = folder.path().join("pool.db");
    let orchestrator = NodeId::new("orchestrator").unwrap();
    let store = Store::open(path.to_str().unwrap(), &orchestrator).await.unwrap();
    store.held.lock().await.connection.as_mut().unwrap().script(pragma).await.unwrap();
    store
}

#[tokio::test]
async fn a_full_disk_is_said_and_costs_nothing_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_pragma(&folder, "PRAGMA max_page_count = 40").await;
    store.write(vec![began(0)]).await.unwrap();
    let fault = store.write((1..2000).map(began).collect()).await.unwrap_err();
    assert_eq!((fault.code, fault.retry), (FaultCode::Io, Retry::AfterMs(10_000)));
    assert!(fault.message.contains("no room left") && fault.message.contains("pool.db"), "{fault}");
    assert_eq!(store.read().await.unwrap(), [began(0)]);
    store.write(vec![began(1)]).await.unwrap();
    assert_eq!(store.read().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_database_that_may_not_be_written_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_pragma(&folder, "PRAGMA query_only = ON").await;
    let fault = store.write(vec![began(0)]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Io);
    assert!(fault.message.contains("cannot be written") && fault.hint.is_some(), "{fault}");
}

#[tokio::test]
async fn a_commit_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_pragma(&folder, "SELECT 1").await;
    let mut held = store.held.lock().await;
    let connection = held.connection.as_mut().unwrap();
    let mode = connection.rows("PRAGMA journal_mode", &[]).await.unwrap();
    let synchronous = connection.rows("PRAGMA synchronous", &[]).await.unwrap();
    assert_eq!((mode[0].text(0).unwrap().as_str(), synchronous[0].integer(0).unwrap()), ("wal", 2));
}
