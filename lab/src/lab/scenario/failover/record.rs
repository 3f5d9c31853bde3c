//! What came of the trials.

use std::fmt;
use std::time::Duration;

use super::Trial;
use crate::lab::answer::{Difference, percentile};
use crate::lab::scenario::{ms, seconds};
use crate::lab::table::Table;

/// What came of one.
pub(super) struct Record {
    pub(super) trial: Trial,
    /// Tokens that had come before the blow.
    pub(super) before: usize,
    pub(super) difference: Difference,
    pub(super) pause: Duration,
    /// From bringing the node back until every place had a spare.
    pub(super) redundancy: Duration,
    /// What the client was told, if it was told of an error.
    pub(super) error: Option<String>,
    /// Receipts that came with the answer.
    pub(super) accounts: usize,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { lost, duplicated, changed, drifted } = self.difference;
        write!(
            f,
            "{:8} {:6} after {:>2} tokens: pause {:>5} ms, spares back in {} s, {} accounts",
            self.trial.blow.name(),
            self.trial.role.name(),
            self.before,
            ms(self.pause),
            seconds(self.redundancy),
            self.accounts,
        )?;
        if lost + duplicated + changed + drifted > 0 {
            write!(f, "; lost {lost}, duplicated {duplicated}, changed {changed}, drifted {drifted}")?;
        }
        self.error.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

/// What came of several together.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) difference: Difference,
    pub(super) pauses: Vec<Duration>,
    pub(super) redundancy: Vec<Duration>,
}

impl Sum {
    pub(super) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut sum = Self::default();
        for record in records {
            sum.difference.lost += record.difference.lost;
            sum.difference.duplicated += record.difference.duplicated;
            sum.difference.changed += record.difference.changed;
            sum.difference.drifted += record.difference.drifted;
            sum.pauses.push(record.pause);
            sum.redundancy.push(record.redundancy);
        }
        sum
    }
}

/// The table: every blow on every role, and all together.
pub(super) fn print(title: &str, records: &[Record]) {
    let head =
        ["blow", "role", "count", "lost", "twice", "changed", "drifted", "p50", "p95", "max", "spares p50", "max"];
    let mut table = Table::new(&head);
    let mut kinds: Vec<_> = records.iter().map(|record| (record.trial.blow, record.trial.role)).collect();
    kinds.sort();
    kinds.dedup();
    for (blow, role) in kinds {
        let of = records.iter().filter(|record| (record.trial.blow, record.trial.role) == (blow, role));
        table.row(row(blow.name(), role.name(), &Sum::of(of)));
    }
    table.row(row("all", "", &Sum::of(records)));
    table.print(&format!("{title} (pauses in ms, spares in s)"));
}

fn row(blow: &str, role: &str, sum: &Sum) -> Vec<String> {
    let Difference { lost, duplicated, changed, drifted } = sum.difference;
    let mut cells = vec![blow.to_owned(), role.to_owned()];
    cells.extend([sum.pauses.len(), lost, duplicated, changed, drifted].map(|count| count.to_string()));
    cells.extend([0.5, 0.95, 1.0].map(|share| ms(percentile(&sum.pauses, share))));
    cells.extend([0.5, 1.0].map(|share| seconds(percentile(&sum.redundancy, share))));
    cells
}
