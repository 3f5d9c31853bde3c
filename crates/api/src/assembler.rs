//! Puts one answer together from its tokens: text, tool calls, log-probabilities, and how it ends.

use std::collections::VecDeque;
use std::sync::Arc;

use computepool_core::ports::{Text, TextDecoder};
use computepool_core::{Fault, FinishReason, TokenEvent, TokenLogprob};

use crate::stop::StopMatcher;
use crate::tools::{Offer, Piece, ToolCallParser};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
}

impl Finish {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// A token with its log-probability.
#[derive(Clone, Debug)]
pub(crate) struct TokenRecord {
    pub(crate) id: u32,
    pub(crate) logprob: TokenLogprob,
    /// Characters of text before it.
    pub(crate) offset: usize,
    start: usize,
    end: usize,
}

/// What a token adds to an answer.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) records: Vec<TokenRecord>,
    pub(crate) finish: Option<Finish>,
}

impl Step {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.records.is_empty() && self.finish.is_none()
    }
}

/// One answer in the making.
pub(crate) struct Assembler {
    text: Arc<dyn Text>,
    decoder: Box<dyn TextDecoder>,
    tools: Option<ToolCallParser>,
    stop: StopMatcher,
    records: VecDeque<TokenRecord>,
    /// Bytes of text decoded.
    decoded: usize,
    /// Characters of text decoded.
    characters: usize,
    /// Bytes of text shown.
    shown: usize,
    /// Tokens taken.
    pub(crate) tokens: u32,
    finished: bool,
}

impl Assembler {
    pub(crate) fn new(text: Arc<dyn Text>, offer: Option<&Offer>, stops: Vec<String>) -> Self {
        let decoder = text.decoder();
        Self {
            text,
            decoder,
            tools: offer.map(ToolCallParser::new),
            stop: StopMatcher::new(stops),
            records: VecDeque::new(),
            decoded: 0,
            characters: 0,
            shown: 0,
            tokens: 0,
            finished: false,
        }
    }

    /// Whether the answer is complete, and further tokens do not belong to it.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// Takes the next token.
    pub(crate) fn push(&mut self, token: TokenEvent) -> Result<Step, Fault> {
        let mut step = Step::default();
        if self.finished {
            return Ok(step);
        }
        self.tokens = self.tokens.saturating_add(1);
        let (start, offset) = (self.decoded, self.characters);
        let decoded = self.decoder.push(token.id);
        self.decoded += decoded.len();
        self.characters += decoded.chars().count();
        if let Some(logprob) = token.logprob.filter(|_| !self.text.is_end(token.id)) {
            self.records.push_back(TokenRecord { id: token.id, logprob, offset, start, end: self.decoded });
        }
        self.take(&decoded, &mut step)?;
        let marker = self.tools.as_ref().and_then(|tools| tools.dialect().marker_of(token.id));
        if let Some(marker) = marker.filter(|_| decoded.is_empty()) {
            self.take(marker, &mut step)?;
        }
        if let Some(reason) = token.finish.filter(|_| !self.finished) {
            let tail = self.decoder.finish();
            self.decoded += tail.len();
            self.take(&tail, &mut step)?;
            if !self.finished {
                self.end(reason, &mut step)?;
            }
        }
        self.release(&mut step);
        Ok(step)
    }

    /// Text from the decoder.
    fn take(&mut self, text: &str, step: &mut Step) -> Result<(), Fault> {
        if text.is_empty() || self.finished {
            return Ok(());
        }
        let Some(tools) = &mut self.tools else {
            self.show(text, step);
            return Ok(());
        };
        for piece in tools.push(text)? {
            self.piece(piece, step);
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece, step: &mut Step) {
        match piece {
            Piece::Content(content) => self.show(&content, step),
            piece if !self.finished => step.pieces.push(piece),
            _ => {}
        }
    }

    /// Text for the reader, up to a stop string.
    fn show(&mut self, text: &str, step: &mut Step) {
        if self.finished {
            return;
        }
        let passed = self.stop.push(text);
        self.content(passed.text, step);
        if passed.behind_stop.is_some() {
            self.finished = true;
            step.finish = Some(self.reason(FinishReason::Stop));
        }
    }

    fn content(&mut self, text: String, step: &mut Step) {
        self.shown += text.len();
        match step.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Content(before)) => before.push_str(&text),
            _ => step.pieces.push(Piece::Content(text)),
        }
    }

    /// The model or its limit ended the text.
    fn end(&mut self, reason: FinishReason, step: &mut Step) -> Result<(), Fault> {
        if let Some(tools) = &mut self.tools {
            for piece in tools.finish(reason == FinishReason::Stop)? {
                self.piece(piece, step);
            }
        }
        if !self.finished {
            let held = self.stop.finish();
            self.content(held, step);
            self.finished = true;
            step.finish = Some(self.reason(reason));
        }
        Ok(())
    }

    fn reason(&self, reason: FinishReason) -> Finish {
        match reason {
            FinishReason::Length => Finish::Length,
            FinishReason::Stop if self.tools.as_ref().is_some_and(ToolCallParser::has_called) => Finish::ToolCalls,
            FinishReason::Stop => Finish::Stop,
        }
    }

    /// Log-probabilities go out with the text they belong to; those of a stop string never do.
    fn release(&mut self, step: &mut Step) {
        if step.pieces.is_empty() && step.finish.is_none() {
            return;
        }
        let (tools, shown, finished) = (self.tools.is_some(), self.shown, self.finished);
        let all = finished && shown >= self.decoded;
        let due = |record: &TokenRecord| match (tools || all, finished) {
            (true, _) => true,
            (false, true) => record.start < shown,
            (false, false) => record.end <= shown,
        };
        while self.records.front().is_some_and(due) {
            step.records.extend(self.records.pop_front());
        }
    }
}
