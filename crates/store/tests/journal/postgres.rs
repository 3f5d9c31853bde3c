//! The suite on PostgreSQL, in one test because it has one server, and what can happen to a connection.

use computepool_core::ports::Journal;
use computepool_core::{Fault, FaultCode, Retry};
use computepool_store::{Store, StoreError};

use crate::database::Database;
use crate::sample::{peer, session};
use crate::server::Server;
use crate::{crash, ledger, suite};

#[tokio::test]
async fn postgres_keeps_the_journal_as_sqlite_does() {
    let server = Server::start();
    macro_rules! on_postgres {
        ($($room:ident::$name:ident),+ $(,)?) => {
            $(
                eprintln!("PostgreSQL: {}", stringify!($name));
                $room::$name(&Database::on(&server, stringify!($name)).await).await;
            )+
        };
    }
    with_every_test!(on_postgres);
    let database = Database::on(&server, "connections").await;
    a_broken_connection_is_mended(&database).await;
    who_was_replaced_stays_out(&database).await;
    refusals_say_why_and_no_password(&server).await;
}

/// Ends every session in the database but the one that says so, as a restart of the server would.
async fn hang_up(database: &Database) {
    let ended = "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(database.ask(ended).await.contains(&"true".to_owned()));
}

async fn a_broken_connection_is_mended(database: &Database) {
    let store = database.open("ada").await;
    store.write(vec![session(1)]).await.unwrap();
    hang_up(database).await;
    store.write(vec![session(2)]).await.unwrap();
    hang_up(database).await;
    assert_eq!(store.read().await.unwrap(), [session(1), session(2)]);
    store.close().await.unwrap();
}

async fn who_was_replaced_stays_out(database: &Database) {
    let first = database.open("ben").await;
    // Its session ends, and before it notices, another process has the records.
    hang_up(database).await;
    let second = database.open("ben").await;
    second.write(vec![session(2)]).await.unwrap();
    let fault = first.write(vec![session(1)]).await.unwrap_err();
    assert!(fault.message.contains("in use by another process"), "{fault}");
    second.close().await.unwrap();
    let fault = first.write(vec![session(1)]).await.unwrap_err();
    assert!(fault.message.contains("taken over"), "{fault}");
    assert_eq!(database.open("ben").await.read().await.unwrap(), [session(2)]);
}

async fn refusals_say_why_and_no_password(server: &Server) {
    let right = server.url("postgres");
    let (user, address) = right.rsplit_once('@').unwrap();
    let (user, _) = user.rsplit_once(':').unwrap();

    let wrong = format!("{user}:opensezme@{address}");
    let error = Store::open(&wrong, &peer("ada")).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    let fault = Fault::from(error);
    assert!(fault.code == FaultCode::Io && fault.hint.is_some(), "{fault:?}");
    assert!(!format!("{fault:?}").contains("opensezme"), "{fault:?}");

    let error = Store::open(&server.url("no_such_database"), &peer("ada")).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }) && error.to_string().contains("no_such_database"), "{error}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fault = Fault::from(Store::open(&format!("postgres://ann:hush@{nobody}/x"), &peer("ada")).await.unwrap_err());
    assert_eq!((fault.code, fault.retry), (FaultCode::Io, Retry::AfterMs(1_000)), "{fault}");
    assert!(fault.message.contains("cannot be reached") && !fault.message.contains("hush"), "{fault}");
}
