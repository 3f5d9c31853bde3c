//! What programs asked, without a word of it: who, when, which model, how much, how long. It is kept in memory alone.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use computepool_core::Fault;
use computepool_core::ports::{Clock as _, SystemClock};
use serde::Serialize;
use serde_json::Value;
use ts_rs::TS;

use super::super::Desktop;
use super::keys::Admitted;

/// Requests that are remembered.
const MAX_ENTRIES: usize = 500;
/// So much of an answer's end is looked at for what it took.
const TAIL: usize = 64 * 1024;
const MAX_MODEL: usize = 128;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub(in crate::desktop) struct Entry {
    /// When it came.
    #[ts(type = "number")]
    pub at_ms: u64,
    /// With which key.
    pub key: String,
    /// Which path.
    pub path: String,
    /// Which model.
    pub model: Option<String>,
    /// The HTTP status of its answer.
    pub status: u16,
    /// Tokens of question and answer, where that was told; pieces of the answer otherwise.
    #[ts(type = "number")]
    pub tokens: u64,
    /// Milliseconds to the end of the answer.
    #[ts(type = "number")]
    pub took_ms: u64,
    /// Why it failed.
    pub problem: Option<String>,
}

impl Entry {
    /// A request as it comes. Of its body only the model's name is read.
    pub(super) fn begin(admitted: &Admitted, path: &str, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Named {
            model: String,
        }
        let model = serde_json::from_slice::<Named>(body).ok();
        Self {
            at_ms: SystemClock.now_ms(),
            key: admitted.name.clone(),
            path: path.to_owned(),
            model: model.map(|named| named.model.chars().take(MAX_MODEL).collect()),
            status: 0,
            tokens: 0,
            took_ms: 0,
            problem: None,
        }
    }

    pub(super) fn fail(&mut self, fault: &Fault, began: Instant) {
        self.problem = Some(fault.message.clone());
        self.took_ms = millis(began);
    }
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The newest requests.
#[derive(Default)]
pub(in crate::desktop) struct Requests(Mutex<VecDeque<Entry>>);

impl Requests {
    pub(super) fn push(&self, entry: Entry) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// Forgets all of them.
    pub(in crate::desktop) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Newest first.
    pub(in crate::desktop) fn list(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

/// Counts an answer while it passes, and writes it into the log when that is over, however it is.
pub(super) struct Tally {
    desktop: Desktop,
    admitted: Admitted,
    entry: Entry,
    began: Instant,
    streams: bool,
    pieces: u64,
    tail: Vec<u8>,
}

impl Tally {
    pub(super) fn new(
        desktop: Desktop,
        admitted: Admitted,
        entry: Entry,
        began: Instant,
        content_type: Option<&str>,
    ) -> Self {
        let streams = content_type.is_some_and(|kind| kind.starts_with("text/event-stream"));
        Self { desktop, admitted, entry, began, streams, pieces: 0, tail: Vec::new() }
    }

    pub(super) fn count(&mut self, bytes: &[u8]) {
        if self.streams {
            self.pieces += bytes.windows(6).filter(|window| window == b"data: ").count() as u64;
        }
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    pub(super) fn broke(&mut self, error: &std::io::Error) {
        self.entry.problem = Some(error.to_string());
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.entry.took_ms = millis(self.began);
        self.entry.tokens = tokens(&self.tail, self.streams).unwrap_or_else(|| self.pieces.saturating_sub(1));
        self.desktop.0.keys.spend(&self.admitted.digest, self.entry.tokens);
        self.desktop.0.requests.push(self.entry.clone());
        self.desktop.tell(super::super::HostEvent::Requests);
    }
}

/// What an answer says that it took.
fn tokens(tail: &[u8], streams: bool) -> Option<u64> {
    let text = String::from_utf8_lossy(tail);
    let told = |text: &str| {
        let value: Value = serde_json::from_str(text).ok()?;
        let usage = value.get("usage").filter(|usage| usage.is_object())?;
        let sum = |names: [&str; 2]| names.iter().filter_map(|name| usage[*name].as_u64()).sum::<u64>();
        let whole = usage["total_tokens"].as_u64();
        Some(whole.unwrap_or_else(|| sum(["input_tokens", "output_tokens"])))
    };
    match streams {
        true => text.lines().rev().filter_map(|line| line.trim().strip_prefix("data:")).find_map(told),
        false => told(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_took_is_read_from_its_end() {
        let whole = br#"{"id":"x","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
        assert_eq!(tokens(whole, false), Some(7));
        let stream =
            b"data: {\"choices\":[]}\n\ndata: {\"choices\":[],\"usage\":{\"total_tokens\":9}}\n\ndata: [DONE]\n\n";
        assert_eq!(tokens(stream, true), Some(9));
        assert_eq!(tokens(b"data: {\"usage\":null}\n\ndata: [DONE]\n\n", true), None);
        assert_eq!(tokens(br#"{"usage":{"input_tokens":2,"output_tokens":5}}"#, false), Some(7));
        assert_eq!(tokens(b"not json", false), None);
    }

    #[test]
    fn of_a_question_only_the_models_name_is_read() {
        let admitted = Admitted { digest: "d".to_owned(), name: "editor".to_owned() };
        let entry = Entry::begin(&admitted, "/chat/completions", br#"{"model":"m","messages":[{"content":"secret"}]}"#);
        assert_eq!(entry.model.as_deref(), Some("m"));
        assert!(!format!("{entry:?}").contains("secret"));
        assert_eq!(Entry::begin(&admitted, "/x", b"junk").model, None);
    }
}
