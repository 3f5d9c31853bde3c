//! What a chat with tools looks like to the model's template.

use computepool_core::ports::ToolDialect;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Choice, Offer};

/// Fits checked messages to the dialect: the messages and the tools that the template is given.
pub(crate) fn prepare_messages(
    mut messages: Vec<Value>,
    offer: Option<&Offer>,
    kind: ToolDialect,
) -> (Vec<Value>, Vec<Value>) {
    match kind {
        ToolDialect::Described => {
            let mut messages: Vec<Value> = messages.into_iter().map(as_text).collect();
            if let Some(offer) = offer {
                add_system(&mut messages, &describe(offer));
            }
            (messages, Vec::new())
        }
        kind => {
            if kind == ToolDialect::Mistral {
                messages.iter_mut().for_each(shorten_ids);
            }
            let tools = offer.map(|offer| offer.tools.iter().map(|tool| tool.definition.clone()).collect());
            (messages, tools.unwrap_or_default())
        }
    }
}

/// The tools in words, for a template that knows none.
fn describe(offer: &Offer) -> String {
    let tools: Vec<String> = offer.tools.iter().map(|tool| tool.definition.to_string()).collect();
    let when = match offer.choice {
        Choice::Auto => "You may call functions to answer.",
        Choice::Required => "Answer by calling a function.",
    };
    let several =
        if offer.parallel { "To make several calls, write several such blocks." } else { "Make one call only." };
    format!(
        "{when} These are their signatures, one JSON object a line:\n<tools>\n{}\n</tools>\n\
         Write a call as a JSON object with the function's name and arguments, between tags:\n\
         <tool_call>\n{{\"name\": \"FUNCTION\", \"arguments\": {{…}}}}\n</tool_call>\n{several}",
        tools.join("\n")
    )
}

fn add_system(messages: &mut Vec<Value>, text: &str) {
    if let Some(first) = messages.first_mut().filter(|message| message["role"] == "system") {
        let said = first["content"].as_str().unwrap_or_default();
        first["content"] = format!("{said}\n\n{text}").into();
        return;
    }
    messages.insert(0, json!({"role": "system", "content": text}));
}

/// Calls and their results as plain text, for a template that knows no tools.
fn as_text(message: Value) -> Value {
    let content = message["content"].as_str().unwrap_or_default();
    if message["role"] == "tool" {
        return json!({"role": "user", "content": format!("<tool_response>\n{content}\n</tool_response>")});
    }
    let Some(calls) = message["tool_calls"].as_array() else { return message };
    let mut parts: Vec<String> = Vec::with_capacity(calls.len() + 1);
    if !content.is_empty() {
        parts.push(content.to_owned());
    }
    for call in calls {
        let mut object = Map::new();
        object.insert("name".into(), call["function"]["name"].clone());
        object.insert("arguments".into(), call["function"]["arguments"].clone());
        parts.push(format!("<tool_call>\n{}\n</tool_call>", Value::Object(object)));
    }
    json!({"role": "assistant", "content": parts.join("\n")})
}

/// Mistral's templates insist on ids of nine letters and digits.
fn shorten_ids(message: &mut Value) {
    let shorten = |id: &mut Value| {
        if let Some(text) = id.as_str() {
            *id = hex::encode(Sha256::digest(text.as_bytes()))[..9].into();
        }
    };
    if let Some(id) = message.get_mut("tool_call_id") {
        shorten(id);
    }
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(id) = call.get_mut("id") {
            shorten(id);
        }
    }
}
