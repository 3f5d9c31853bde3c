//! The suite on SQLite, and files that are none.

use computepool_core::{Fault, FaultCode};
use computepool_store::{Store, StoreError};

use crate::database::Database;
use crate::sample::peer;
use crate::{crash, ledger, suite};

macro_rules! on_sqlite {
    ($($room:ident::$name:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $room::$name(&Database::file()).await;
        })+
    };
}

with_every_test!(on_sqlite);

#[tokio::test]
async fn a_file_that_cannot_be_a_database_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "this is not a database at all, ".repeat(400)).unwrap();
    let error = Store::open(text.to_str().unwrap(), &peer("ada")).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");

    let taken = folder.path().join("folder.db");
    std::fs::create_dir(&taken).unwrap();
    for missing in [folder.path().join("nowhere").join("pool.db"), text.join("pool.db"), taken] {
        let error = Store::open(missing.to_str().unwrap(), &peer("ada")).await.unwrap_err();
        assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
        let fault = Fault::from(error);
        assert!(fault.code == FaultCode::Io && fault.hint.is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_file_is_the_same_whichever_way_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("aside")).unwrap();
    let straight = folder.path().join("pool.db");
    let crooked = folder.path().join("aside").join("..").join("pool.db");
    let _store = Store::open(straight.to_str().unwrap(), &peer("ada")).await.unwrap();
    let error = Store::open(crooked.to_str().unwrap(), &peer("ada")).await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}
