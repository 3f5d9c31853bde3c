//! How an engine process ended, for people.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::Duration;

use computepool_core::{Fault, FaultCode};

/// Lines kept of what a process last said.
const KEPT_LINES: usize = 20;

/// Lines of those that are told.
const TOLD_LINES: usize = 3;

/// Characters told of a line.
const TOLD_CHARACTERS: usize = 200;

/// What a process last said on its standard error.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    lines: VecDeque<String>,
    /// The first panic, which is the cause: where it was, and what it said.
    panic: Option<[String; 2]>,
}

impl LastWords {
    pub(super) fn push(&mut self, line: String) {
        match &mut self.panic {
            None if line.contains("panicked at ") => self.panic = Some([shorten(&line), String::new()]),
            // The message stands on the line below.
            Some([_, message]) if message.is_empty() => *message = shorten(&line),
            _ => {}
        }
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The panic, or else the last lines that say something.
    fn told(&self) -> String {
        if let Some([place, message]) = &self.panic {
            return format!("{place} {message}");
        }
        let said = self.lines.iter().rev().filter(|line| !line.trim().is_empty());
        let mut told: Vec<String> = said.take(TOLD_LINES).map(|line| shorten(line)).collect();
        told.reverse();
        told.join(" | ")
    }
}

fn shorten(line: &str) -> String {
    line.trim().chars().take(TOLD_CHARACTERS).collect()
}

/// Why a process is given up.
#[derive(Debug)]
pub(super) enum Loss {
    /// It ended by itself, or was killed from outside.
    Ended,
    /// It said something that is no frame.
    Misspoke(String),
    /// It said nothing for too long.
    Silent(Duration),
    /// It took too long to load.
    SlowLoad(Duration),
    /// It took too long to time a model.
    SlowMeasure(Duration),
    /// It said itself that it cannot go on.
    Fatal(Fault),
    /// The shard could not be loaded.
    LoadFailed(Fault),
    /// It could not even be started.
    NotStarted(std::io::Error),
}

impl Loss {
    /// The fault that tells it: how the process ended as `status` has it, and what it last said.
    pub(super) fn fault(self, status: Option<ExitStatus>, words: &LastWords) -> Fault {
        let message = match self {
            // Its own words are the better explanation.
            Self::LoadFailed(fault) => return fault,
            Self::Fatal(fault) => format!("the engine could not go on: {}", fault.message),
            Self::Misspoke(error) => format!("the engine said something that makes no sense: {error}"),
            Self::Silent(limit) => format!("the engine did not answer for {} s and was ended", limit.as_secs_f32()),
            Self::SlowLoad(limit) => {
                format!("the engine took longer than {} s to load and was ended", limit.as_secs_f32())
            }
            Self::SlowMeasure(limit) => {
                format!("the engine took longer than {} s to time a model and was ended", limit.as_secs_f32())
            }
            Self::NotStarted(error) => {
                return Fault::new(FaultCode::EngineLost, format!("the engine could not be started: {error}"))
                    .hint("install ComputePool again, or build the whole workspace")
                    .retry_after_ms(1_000);
            }
            Self::Ended => match status {
                Some(status) => format!("the engine {}", ending(status)),
                None => "the engine ended".to_owned(),
            },
        };
        let told = words.told();
        let message = if told.is_empty() { message } else { format!("{message}; it last said: {told}") };
        let fault = Fault::new(FaultCode::EngineLost, message).retry_after_ms(1_000);
        if status.is_some_and(was_killed) {
            fault.hint("where nobody ended it by hand, the system may have run out of memory: offer less of it")
        } else {
            fault
        }
    }
}

#[cfg(unix)]
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}{}", signal_name(signal)),
        (None, Some(127)) => "could not be started: a library it needs is missing (status 127)".to_owned(),
        (None, Some(code)) => format!("ended with status {code}"),
        (None, None) => format!("ended: {status}"),
    }
}

#[cfg(unix)]
fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic)",
        9 => " (killed)",
        11 => " (segmentation fault)",
        15 => " (terminated)",
        _ => "",
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(9)
}

#[cfg(not(unix))]
fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with status {code} ({code:#010x})"),
        None => format!("ended: {status}"),
    }
}

#[cfg(not(unix))]
fn was_killed(_: ExitStatus) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_that_say_something_are_told() {
        let mut words = LastWords::default();
        for number in 0..50 {
            words.push(format!("line {number}"));
        }
        words.push("  ".to_owned());
        let fault = Loss::Ended.fault(None, &words);
        assert_eq!(fault.message, "the engine ended; it last said: line 47 | line 48 | line 49");
        assert_eq!(fault.code, FaultCode::EngineLost);
        words.push("thread 'main' panicked at src/batch.rs:7:1:".to_owned());
        words.push("index out of bounds".to_owned());
        for number in 0..50 {
            words.push(format!("  {number}: some::frame"));
        }
        let fault = Loss::Ended.fault(None, &words);
        assert!(fault.message.ends_with("panicked at src/batch.rs:7:1: index out of bounds"), "{}", fault.message);
        assert_eq!(words.lines.len(), KEPT_LINES);
    }

    #[cfg(unix)]
    #[test]
    fn signals_are_named() {
        use std::os::unix::process::ExitStatusExt;
        let fault = Loss::Ended.fault(Some(ExitStatus::from_raw(9)), &LastWords::default());
        assert_eq!(fault.message, "the engine was ended by signal 9 (killed)");
        assert!(fault.hint.unwrap().contains("memory"));
        let fault = Loss::Ended.fault(Some(ExitStatus::from_raw(3 << 8)), &LastWords::default());
        assert_eq!(fault.message, "the engine ended with status 3");
    }
}
