//! Reads a model's text, as it arrives, into content and tool calls. Markers are never content.

use computepool_core::ports::ToolDialect;
use computepool_core::{Fault, FaultCode};

use super::call_scanner::{CallScanner, Told};
use super::{Dialect, Offer};
use crate::stop::StopMatcher;

/// What the text comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Content(String),
    /// A call begins.
    Call {
        index: u32,
        name: String,
    },
    /// More of its arguments' JSON text.
    Arguments {
        index: u32,
        fragment: String,
    },
}

enum State {
    /// Text, up to an opening marker.
    Text,
    /// Behind the opening marker, before the first object.
    Opened,
    /// In the object of a call.
    Call(CallScanner),
    /// Behind an object; what came since.
    Closing(String),
}

/// The parser of one answer.
pub(crate) struct ToolCallParser {
    dialect: Dialect,
    names: Vec<String>,
    state: State,
    opening: StopMatcher,
    /// White space that the text, or the text behind a call, began with: shown only if more text follows.
    blank: Option<String>,
    /// Calls that have begun.
    calls: u32,
}

impl ToolCallParser {
    pub(crate) fn new(offer: &Offer) -> Self {
        let markers = offer.dialect.open.iter().map(|marker| marker.text.to_owned()).collect();
        Self {
            names: offer.tools.iter().map(|tool| tool.name.clone()).collect(),
            dialect: offer.dialect.clone(),
            state: State::Text,
            opening: StopMatcher::new(markers),
            blank: Some(String::new()),
            calls: 0,
        }
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Whether a call has begun.
    pub(crate) fn has_called(&self) -> bool {
        self.calls > 0
    }

    /// Takes the next piece of text.
    pub(crate) fn push(&mut self, text: &str) -> Result<Vec<Piece>, Fault> {
        let mut pieces = Vec::new();
        let mut rest = text.to_owned();
        while !rest.is_empty() {
            rest = match self.state {
                State::Text => self.text(&rest, &mut pieces),
                State::Opened => self.opened(&rest)?,
                State::Call(_) => self.call(&rest, &mut pieces)?,
                State::Closing(_) => self.closing(&rest)?,
            };
        }
        Ok(pieces)
    }

    /// The text has ended; `complete` unless it was cut off by a limit.
    pub(crate) fn finish(&mut self, complete: bool) -> Result<Vec<Piece>, Fault> {
        let mut pieces = Vec::new();
        match &self.state {
            State::Text => {
                // Half a marker is text only if no more was to come.
                let held = self.opening.finish();
                if complete {
                    self.content(&held, &mut pieces);
                }
                if let Some(blank) = self.blank.take().filter(|blank| !blank.is_empty() && self.calls == 0) {
                    pieces.push(Piece::Content(blank));
                }
            }
            State::Opened | State::Call(_) if complete => return Err(garbled("it breaks off")),
            State::Opened | State::Call(_) | State::Closing(_) => {}
        }
        Ok(pieces)
    }

    fn text(&mut self, text: &str, pieces: &mut Vec<Piece>) -> String {
        if self.dialect.kind == ToolDialect::Llama3 {
            let begun = text.trim_start();
            if self.blank.is_some() && begun.starts_with('{') {
                self.begin();
                return begun.to_owned();
            }
            self.content(text, pieces);
            return String::new();
        }
        let passed = self.opening.push(text);
        self.content(&passed.text, pieces);
        match passed.behind_stop {
            None => String::new(),
            Some(rest) => {
                self.blank = None;
                self.state = State::Opened;
                if self.dialect.kind != ToolDialect::Mistral {
                    self.begin();
                }
                rest
            }
        }
    }

    fn content(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        if text.is_empty() {
            return;
        }
        let shown = match self.blank.take() {
            None => text.to_owned(),
            Some(blank) => {
                let together = blank + text;
                if together.trim_start().is_empty() && together.len() <= 256 {
                    self.blank = Some(together);
                    return;
                }
                together
            }
        };
        pieces.push(Piece::Content(shown));
    }

    fn begin(&mut self) {
        self.blank = None;
        self.state = State::Call(CallScanner::new(self.dialect.arguments_key()));
    }

    /// Mistral's list opens.
    fn opened(&mut self, text: &str) -> Result<String, Fault> {
        let text = text.trim_start();
        match text.chars().next() {
            None => {}
            Some('[') => self.begin(),
            Some(_) => return Err(garbled("a list of calls was expected")),
        }
        Ok(text.get(1..).unwrap_or_default().to_owned())
    }

    fn call(&mut self, text: &str, pieces: &mut Vec<Piece>) -> Result<String, Fault> {
        let State::Call(scanner) = &mut self.state else { return Ok(text.to_owned()) };
        let mut told = Vec::new();
        let taken = scanner.push(text, &mut told).map_err(|_| garbled("its JSON is not that of a call"))?;
        for told in told {
            match told {
                Told::Name(name) => {
                    if !self.names.contains(&name) {
                        return Err(garbled("it names a tool that was not offered"));
                    }
                    pieces.push(Piece::Call { index: self.calls, name });
                    self.calls += 1;
                }
                Told::Arguments(fragment) => {
                    pieces.push(Piece::Arguments { index: self.calls.saturating_sub(1), fragment });
                }
                Told::End => self.state = State::Closing(String::new()),
            }
        }
        Ok(text[taken..].to_owned())
    }

    fn closing(&mut self, text: &str) -> Result<String, Fault> {
        let State::Closing(seen) = &mut self.state else { return Ok(text.to_owned()) };
        seen.push_str(text);
        let rest = seen.trim_start();
        match self.dialect.kind {
            ToolDialect::Llama3 => {}
            ToolDialect::Mistral => {
                let Some(first) = rest.chars().next() else { return Ok(String::new()) };
                let behind = rest[first.len_utf8()..].to_owned();
                match first {
                    ',' => self.begin(),
                    ']' => self.resume_text(),
                    _ => return Err(garbled("its list goes on with something else")),
                }
                return Ok(behind);
            }
            ToolDialect::Hermes | ToolDialect::Described => {
                let close = self.dialect.close.as_ref().map_or("", |marker| marker.text);
                let Some(behind) = rest.strip_prefix(close) else {
                    return match close.starts_with(rest) {
                        true => Ok(String::new()),
                        false => Err(garbled("it is not closed")),
                    };
                };
                let behind = behind.to_owned();
                self.resume_text();
                return Ok(behind);
            }
        }
        let behind = rest.to_owned();
        self.resume_text();
        Ok(behind)
    }

    fn resume_text(&mut self) {
        self.state = State::Text;
        self.blank = Some(String::new());
    }
}

fn garbled(why: &str) -> Fault {
    Fault::new(FaultCode::Internal, format!("the model wrote a tool call that cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Choice, Marker, Tool};
    use super::*;

    fn offer(kind: ToolDialect) -> Offer {
        let marker = |text| Some(Marker { text, token: None });
        let (open, close) = match kind {
            ToolDialect::Mistral => (marker("[TOOL_CALLS]"), None),
            ToolDialect::Llama3 => (None, None),
            _ => (marker("<tool_call>"), marker("</tool_call>")),
        };
        let tool =
            |name: &str| Tool { name: name.into(), parameters: json!({}), strict: false, definition: Value::Null };
        let dialect = Dialect { kind, open, close };
        Offer { tools: vec![tool("f"), tool("g")], choice: Choice::Auto, parallel: true, dialect }
    }

    /// Content, and the calls with their arguments put together; the same for whole text and for single characters.
    fn read(kind: ToolDialect, text: &str) -> Result<(String, Vec<(String, String)>), Fault> {
        let gather = |pieces: Vec<Piece>, into: &mut (String, Vec<(String, String)>)| {
            for piece in pieces {
                match piece {
                    Piece::Content(text) => into.0.push_str(&text),
                    Piece::Call { index, name } => {
                        assert_eq!(index as usize, into.1.len());
                        into.1.push((name, String::new()));
                    }
                    Piece::Arguments { index, fragment } => into.1[index as usize].1.push_str(&fragment),
                }
            }
        };
        let mut results = Vec::new();
        for size in [1, 2, 3, 7, text.len().max(1)] {
            let mut parser = ToolCallParser::new(&offer(kind));
            let mut seen = (String::new(), Vec::new());
            let chars: Vec<char> = text.chars().collect();
            for chunk in chars.chunks(size) {
                gather(parser.push(&chunk.iter().collect::<String>())?, &mut seen);
            }
            gather(parser.finish(true)?, &mut seen);
            results.push(seen);
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
        Ok(results.remove(0))
    }

    #[test]
    fn hermes_calls_are_told_from_text_however_they_are_cut() {
        let text = "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"}\\\"{ü\", \"b\": [1, {}]}}\n</tool_call>\n\
                    <tool_call>\n{\"name\":\"g\",\"arguments\":{}}\n</tool_call>";
        let (content, calls) = read(ToolDialect::Hermes, text).unwrap();
        assert_eq!(content, "I look.\n");
        let expected = [("f".into(), "{\"a\": \"}\\\"{ü\", \"b\": [1, {}]}".into()), ("g".into(), "{}".to_string())];
        assert_eq!(calls, expected);
        let (content, calls) = read(ToolDialect::Hermes, "2 <tool 3 <tool_calls>").unwrap();
        assert_eq!((content.as_str(), calls.len()), ("2 <tool 3 <tool_calls>", 0));
        assert_eq!(read(ToolDialect::Hermes, " \n ").unwrap().0, " \n ");
    }

    #[test]
    fn llama_and_mistral_calls_are_read_too() {
        let (content, calls) = read(ToolDialect::Llama3, "{\"name\": \"f\", \"parameters\": {\"n\": 1.5}}").unwrap();
        assert_eq!((content.as_str(), calls), ("", vec![("f".to_string(), "{\"n\": 1.5}".to_string())]));
        assert_eq!(read(ToolDialect::Llama3, "a {\"b\": 1}").unwrap().0, "a {\"b\": 1}");
        let text = "[TOOL_CALLS][{\"name\": \"g\", \"arguments\": {}}, {\"arguments\": {\"x\": true}, \"id\": 3, \"name\": \"f\"}]";
        let (content, calls) = read(ToolDialect::Mistral, text).unwrap();
        assert_eq!(content, "");
        assert_eq!(calls, [("g".to_string(), "{}".to_string()), ("f".to_string(), "{\"x\": true}".to_string())]);
    }

    #[test]
    fn what_only_looks_like_a_call_is_a_fault_and_not_content() {
        for bad in
            ["<tool_call>\n{\"name\": \"f\"", "<tool_call> hi", "<tool_call>{\"name\": \"unknown\", \"arguments\": {}}"]
        {
            assert!(read(ToolDialect::Hermes, bad).is_err(), "{bad}");
        }
        assert!(read(ToolDialect::Mistral, "[TOOL_CALLS] f").is_err());
    }

    #[test]
    fn a_call_cut_off_by_a_limit_leaves_no_marker_behind() {
        for cut in
            ["<tool_", "<tool_call>", "<tool_call>\n{\"na", "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool"]
        {
            let mut parser = ToolCallParser::new(&offer(ToolDialect::Hermes));
            let mut pieces = parser.push(cut).unwrap();
            pieces.extend(parser.finish(false).unwrap());
            assert!(!pieces.iter().any(|piece| matches!(piece, Piece::Content(_))), "{cut}: {pieces:?}");
        }
    }
}
