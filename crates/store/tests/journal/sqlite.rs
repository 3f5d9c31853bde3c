//! The suite on SQLite, and files that are none.

use computepool_core::{Fault, FaultCode};
use computepool_store::{Store, StoreError};

use crate::database::Database;
use crate::sample::peer;
use crate::{crash, suite};

macro_rules! on_sqlite {
    ($($room:ident::$name:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $room::$name(&Database::file()).await;
        })+
    };
}

on_sqlite! {
    suite::records_come_back_as_they_were_written,
    suite::later_records_replace_earlier_ones,
    suite::a_closed_session_takes_its_generations_with_it,
    suite::a_batch_with_a_record_that_cannot_be_kept_leaves_nothing,
    suite::a_dropped_write_leaves_all_or_nothing,
    suite::many_write_at_once,
    suite::orchestrators_see_their_own_records_only,
    suite::an_orchestrator_has_one_writer,
    suite::a_newer_layout_is_refused_and_left_alone,
    suite::strangers_words_cannot_break_a_batch,
    suite::people_find_columns_to_ask_for,
    suite::the_newest_generations_are_kept,
    crash::what_was_acknowledged_survives_a_kill,
}

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
