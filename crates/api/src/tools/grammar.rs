//! Tool calls as a grammar, in llguidance's Lark dialect: what the model writes always parses.

use std::fmt::Write;

use computepool_core::Constraint;
use computepool_core::ports::ToolDialect;
use serde_json::{Map, Value, json};

use super::{Choice, Marker, Offer, Tool};

/// Calls in one answer, at most.
const MAX_CALLS: usize = 16;

/// What the answer may be where it is not a call.
#[derive(Clone, Debug)]
pub(crate) enum Elsewhere {
    /// Any text.
    Text,
    /// JSON of this schema.
    Json(Value),
}

/// The grammar of an answer that may, or must, call tools.
pub(crate) fn constraint(offer: &Offer, elsewhere: Elsewhere) -> Constraint {
    let mut lark = String::new();
    let calls = calls(offer);
    let open = offer.dialect.open.as_ref();
    let start = match (offer.choice, &elsewhere, open) {
        (Choice::Required, ..) => calls.with_opening,
        (Choice::Auto, Elsewhere::Json(_), _) => format!("json | {}", calls.with_opening),
        // A control token cannot be part of a text: free text may simply run up to it.
        (Choice::Auto, Elsewhere::Text, Some(Marker { token: Some(_), .. })) => {
            format!("TEXT | TEXT? {}", calls.with_opening)
        }
        (Choice::Auto, Elsewhere::Text, Some(_)) => format!("TEXT | opening {}", calls.after_opening),
        (Choice::Auto, Elsewhere::Text, None) => format!("TEXT | {}", calls.with_opening),
    };
    let _ = writeln!(lark, "start: {start}");
    if offer.choice == Choice::Auto {
        match (&elsewhere, open) {
            (Elsewhere::Json(schema), _) => {
                let _ = writeln!(lark, "json: %json {schema}");
            }
            (Elsewhere::Text, Some(Marker { token: Some(_), .. })) => lark.push_str("TEXT: /(?s:.)*/\n"),
            (Elsewhere::Text, Some(marker)) => {
                // Lazy: as soon as the marker is written, a call must follow.
                let _ = writeln!(lark, "opening[lazy]: TEXT {}", quoted(marker.text));
                lark.push_str("TEXT: /(?s:.)*/\n");
            }
            (Elsewhere::Text, None) => lark.push_str("TEXT: /([^{\\s](?s:.)*)?/\n"),
        }
    }
    let names: Vec<String> = (0..offer.tools.len()).map(|index| format!("call_{index}")).collect();
    let _ = writeln!(lark, "call: {}", names.join(" | "));
    for (name, tool) in names.iter().zip(&offer.tools) {
        let _ = writeln!(lark, "{name}: %json {}", call_schema(tool, offer.dialect.arguments_key()));
    }
    Constraint::Lark(lark)
}

struct Calls {
    with_opening: String,
    after_opening: String,
}

/// One call or several, as the dialect writes them.
fn calls(offer: &Offer) -> Calls {
    let open = offer.dialect.open.as_ref().map(symbol).unwrap_or_default();
    let close = offer.dialect.close.as_ref().map(symbol).unwrap_or_default();
    let more = MAX_CALLS - 1;
    let after_opening = match (offer.dialect.kind, offer.parallel) {
        (ToolDialect::Llama3, _) => "call".to_owned(),
        (ToolDialect::Mistral, false) => "\"[\" call \"]\"".to_owned(),
        (ToolDialect::Mistral, true) => format!("\"[\" call (\", \" call){{0,{more}}} \"]\""),
        (_, false) => format!("\"\\n\" call \"\\n\" {close}"),
        (_, true) => format!("\"\\n\" call \"\\n\" {close} (\"\\n\" {open} \"\\n\" call \"\\n\" {close}){{0,{more}}}"),
    };
    Calls { with_opening: format!("{open} {after_opening}").trim_start().to_owned(), after_opening }
}

fn symbol(marker: &Marker) -> String {
    match marker.token {
        Some(token) => format!("<[{token}]>"),
        None => quoted(marker.text),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The schema of one call. Spaces are fixed, so that a weak model cannot lose itself in them.
fn call_schema(tool: &Tool, arguments_key: &str) -> Value {
    let mut parameters = tool.parameters.clone();
    if let Some(object) = parameters.as_object_mut() {
        // These would give the inner schema a base of its own, or options of the requester's choosing.
        for key in ["$schema", "$id", "id", "x-guidance"] {
            object.remove(key);
        }
    }
    move_references(&mut parameters, &format!("#/properties/{arguments_key}"));
    let mut properties = Map::new();
    properties.insert("name".into(), json!({"const": tool.name}));
    properties.insert(arguments_key.into(), parameters);
    json!({
        "type": "object",
        "properties": properties,
        "required": ["name", arguments_key],
        "additionalProperties": false,
        "x-guidance": spacing(!tool.strict),
    })
}

/// How JSON is spaced in what models are held to: as Python's `json.dumps` does, which they were trained on.
pub(crate) fn spacing(lenient: bool) -> Value {
    json!({"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false, "lenient": lenient})
}

/// Local references keep pointing at the same place when their document moves to `base`.
fn move_references(schema: &mut Value, base: &str) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(reference) if key == "$ref" && reference.starts_with('#') => {
                        *reference = format!("{base}{}", &reference[1..]);
                    }
                    _ => move_references(value, base),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, base)),
        _ => {}
    }
}
