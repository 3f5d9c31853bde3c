//! Tools: what a request offers, how the model is held to it, and how its calls are read.

mod call_scanner;
mod grammar;
mod offer;
mod parser;
mod prompt;

pub(crate) use offer::{Choice, Offer, Tool, read_offer};
pub(crate) use parser::{Piece, ToolCallParser};
pub(crate) use prompt::prepare_messages;

use computepool_core::ports::{Text, ToolDialect};

pub(crate) use grammar::{Elsewhere, constraint, spacing};

/// What opens a tool call in a model's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// As text.
    pub(crate) text: &'static str,
    /// The control token it is for this model, if it is one: then it never shows up as text.
    pub(crate) token: Option<u32>,
}

/// What the model's dialect comes to, once asked of its vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) kind: ToolDialect,
    /// None where a call is told by its first `{`.
    pub(crate) open: Option<Marker>,
    /// None where the call ends with its object.
    pub(crate) close: Option<Marker>,
}

impl Dialect {
    pub(crate) fn of(text: &dyn Text) -> Self {
        let kind = text.tool_dialect();
        let marker = |marker: &'static str| Some(Marker { text: marker, token: control_token(text, marker) });
        let (open, close) = match kind {
            ToolDialect::Hermes | ToolDialect::Described => (marker("<tool_call>"), marker("</tool_call>")),
            ToolDialect::Mistral => (marker("[TOOL_CALLS]"), None),
            ToolDialect::Llama3 => (None, None),
        };
        Self { kind, open, close }
    }

    /// The key under which a call has its arguments.
    pub(crate) fn arguments_key(&self) -> &'static str {
        match self.kind {
            ToolDialect::Llama3 => "parameters",
            _ => "arguments",
        }
    }

    /// The text of the marker that `token` is, if it is one.
    pub(crate) fn marker_of(&self, token: u32) -> Option<&'static str> {
        let markers = [&self.open, &self.close];
        markers.into_iter().flatten().find(|marker| marker.token == Some(token)).map(|marker| marker.text)
    }
}

/// The control token that `marker` stands for in this vocabulary, if it does: one without text of its own.
fn control_token(text: &dyn Text, marker: &str) -> Option<u32> {
    let ids = text.encode(marker, true).ok()?;
    let last = *ids.last()?;
    let only_openers_before = ids[..ids.len() - 1].iter().all(|id| text.token_bytes(*id).is_empty());
    (text.token_bytes(last).is_empty() && !text.is_end(last) && only_openers_before && ids.len() <= 3).then_some(last)
}
