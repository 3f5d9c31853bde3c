//! What was measured, as a table.

use std::time::Duration;

use crate::{MEMORY, VERDICT};

/// One return of the owner.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) trigger: &'static str,
    pub(crate) reason: String,
    /// From what happened to the verdict.
    pub(crate) verdict: Duration,
    /// From what happened to the end of the process that held the memory.
    pub(crate) memory: Duration,
    /// Bytes that it held.
    pub(crate) freed: u64,
    /// Answers under way.
    pub(crate) answers: usize,
    /// Such that were not what they would have been.
    pub(crate) harmed: usize,
    /// The longest that one of them stood still.
    pub(crate) pause: Duration,
}

impl Row {
    pub(crate) fn kept(&self) -> bool {
        self.verdict <= VERDICT && self.memory <= MEMORY && self.harmed == 0 && self.answers > 0
    }
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n{:<18} {:>9} {:>9} {:>9} {:>8} {:>7} {:>9}",
        "", "verdict", "memory", "given", "answers", "harmed", "longest"
    );
    println!(
        "{:<18} {:>9} {:>9} {:>9} {:>8} {:>7} {:>9}",
        "what happened", "ms", "back ms", "back MB", "running", "", "pause ms"
    );
    for row in rows {
        println!(
            "{:<18} {:>9} {:>9} {:>9} {:>8} {:>7} {:>9}",
            row.trigger,
            row.verdict.as_millis(),
            row.memory.as_millis(),
            row.freed / 1_000_000,
            row.answers,
            row.harmed,
            row.pause.as_millis()
        );
    }
    println!();
}
