//! Answers, as a client got them: which tokens, when, and how two of them differ.

mod difference;
mod pause;

pub(crate) use difference::Difference;
pub(crate) use pause::{median, percentile};

use std::time::{Duration, Instant};

/// One token of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its log-probability, as the shard said.
    pub(crate) logprob: f64,
    /// When it arrived, since the request was sent.
    pub(crate) at: Duration,
}

/// All that came back to one question.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The tokens, in order of arrival.
    pub(crate) tokens: Vec<Token>,
    /// The text that was streamed.
    pub(crate) text: String,
    /// Why it ended; `None` if nobody said.
    pub(crate) finish: Option<String>,
    /// What went wrong, if something did.
    pub(crate) error: Option<String>,
    /// The nodes whose receipts came with it, once for every receipt.
    pub(crate) served_by: Vec<String>,
    /// When the request was sent.
    pub(crate) began: Instant,
    /// How long it took to the end.
    pub(crate) took: Duration,
}

impl Answer {
    /// An answer of which nothing has come yet.
    pub(crate) fn new(began: Instant) -> Self {
        Self {
            tokens: Vec::new(),
            text: String::new(),
            finish: None,
            error: None,
            served_by: Vec::new(),
            began,
            took: Duration::ZERO,
        }
    }

    /// Time to the first token.
    pub(crate) fn first(&self) -> Option<Duration> {
        self.tokens.first().map(|token| token.at)
    }
}
