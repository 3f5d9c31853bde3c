//! What a template can show, found out by trying.

use computepool_core::ports::ToolDialect;
use serde_json::{Map, Value, json};

use super::ChatTemplate;

/// In what form a template takes a message's content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Contents {
    /// Text.
    #[default]
    Texts,
    /// A list of parts.
    Parts,
    /// Either.
    Both,
}

/// What was found out about a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) contents: Contents,
    /// It shows system messages.
    pub(super) system: bool,
    pub(super) dialect: ToolDialect,
}

impl Default for Traits {
    fn default() -> Self {
        Self { contents: Contents::Texts, system: true, dialect: ToolDialect::Described }
    }
}

/// A word that no template has of itself.
const NEEDLE: &str = "xqzneedlezqx";

impl Traits {
    /// Tries the template; `source` is the one that is used with tools.
    pub(super) fn of(template: &ChatTemplate, source: &str) -> Self {
        let shows = |messages: Value, tools: &[Value]| {
            let Value::Array(messages) = messages else { return None };
            template.run(messages, tools, true, &Map::new()).ok().filter(|text| text.contains(NEEDLE))
        };
        let text = json!(NEEDLE);
        let parts = json!([{"type": "text", "text": NEEDLE}]);
        // A template that prints the list itself, with its quotes and braces, does not know parts.
        let knows_parts = shows(json!([{"role": "user", "content": parts}]), &[])
            .is_some_and(|shown| !shown.contains("'type'") && !shown.contains("\"type\""));
        let knows_texts = shows(json!([{"role": "user", "content": text}]), &[]).is_some();
        let contents = match (knows_texts, knows_parts) {
            (false, true) => Contents::Parts,
            (true, true) => Contents::Both,
            (_, false) => Contents::Texts,
        };
        let content = |text: &str| match contents {
            Contents::Parts => json!([{"type": "text", "text": text}]),
            _ => json!(text),
        };
        let user = json!({"role": "user", "content": content("hello")});
        let system = shows(json!([{"role": "system", "content": content(NEEDLE)}, user]), &[]).is_some();
        let tool = json!({"type": "function", "function": {"name": NEEDLE, "description": "a tool",
            "parameters": {"type": "object", "properties": {"x": {"type": "string", "description": "x"}}, "required": ["x"]}}});
        let dialect = written_dialect(source)
            .filter(|_| shows(json!([user]), std::slice::from_ref(&tool)).is_some())
            .unwrap_or(ToolDialect::Described);
        Self { contents, system, dialect }
    }
}

/// The dialect that the text of a template gives away. Some use another's tags around something else than JSON: their
/// calls could not be read back, so those count as not known.
fn written_dialect(source: &str) -> Option<ToolDialect> {
    let has = |word: &str| source.contains(word);
    if has("<tool_call>") && !has("<function=") && !has("<arg_key>") {
        Some(ToolDialect::Hermes)
    } else if has("[TOOL_CALLS]") && !has("[ARGS]") {
        Some(ToolDialect::Mistral)
    } else if has("<|start_header_id|>") && has("\"parameters\"") && !has("<function=") {
        Some(ToolDialect::Llama3)
    } else {
        None
    }
}
