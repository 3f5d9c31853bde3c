//! The journal, kept by SQLite and by PostgreSQL: the same suite for both, then what only one of them can get wrong.

#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

/// Gives the named macro every test that each database has to pass.
macro_rules! with_every_test {
    ($macro:ident) => {
        $macro! {
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
            ledger::entries_come_back_in_order_and_page_by_page,
            ledger::a_place_in_the_ledger_is_given_once,
            ledger::concluded_subjects_are_not_read_again,
            crash::what_was_acknowledged_survives_a_kill,
        }
    };
}

mod crash;
mod database;
mod ledger;
mod postgres;
mod sample;
mod server;
mod sqlite;
mod suite;
