//! What is printed at the end, and whether it is good enough.

use std::fmt::{Display, Write};
use std::time::Duration;

/// Words of `key=value`, and those that are over their bounds.
#[derive(Default)]
pub(crate) struct Figures {
    words: String,
    broken: Vec<String>,
}

impl Figures {
    pub(crate) fn add(&mut self, key: &str, value: impl Display) {
        let gap = if self.words.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(self.words, "{gap}{key}={value}");
    }

    /// A figure that may be at most `most`.
    pub(crate) fn bound(&mut self, key: &str, value: f64, most: f64) {
        self.add(key, format!("{value:.3}"));
        if value > most {
            self.broken.push(format!("{key} is {value:.3}, more than {most}"));
        }
    }

    /// Something that must hold.
    pub(crate) fn holds(&mut self, what: &str, holds: bool) {
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    /// Prints what is wrong, then the figures; `false` where something is.
    pub(crate) fn finish(self) -> bool {
        println!();
        for broken in &self.broken {
            println!("NOT MET: {broken}");
        }
        println!("{}", self.words);
        self.broken.is_empty()
    }
}

/// In milliseconds; the hundredth percentile is the most. Sorts.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
