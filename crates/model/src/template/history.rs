//! Brings the messages of a request into the form that a template can show.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::TemplateError;
use super::json::Style;

/// A copy of the messages with what templates trip over put right: every message has a role and a content, and the
/// arguments of tool calls are objects and not JSON in a string. Parts other than text are refused.
pub(super) fn checked(messages: &[Value]) -> Result<Vec<Value>, TemplateError> {
    messages
        .iter()
        .enumerate()
        .map(|(index, message)| checked_message(message).map_err(|reason| TemplateError::BadMessage { index, reason }))
        .collect()
}

fn checked_message(message: &Value) -> Result<Value, String> {
    let mut message = message.as_object().cloned().ok_or("it is not an object")?;
    if !message.get("role").is_some_and(Value::is_string) {
        return Err("it has no role".into());
    }
    match message.get("content") {
        Some(Value::String(_)) => {}
        None | Some(Value::Null) => {
            message.insert("content".into(), "".into());
        }
        Some(Value::Array(parts)) => {
            for part in parts {
                match part["type"].as_str() {
                    Some("text") if part["text"].is_string() => {}
                    Some("text") => return Err("a text part has no text".into()),
                    other => {
                        let kind = crate::error::shown(other.unwrap_or("without a type"));
                        return Err(format!("this model takes text only, not a part of type `{kind}`"));
                    }
                }
            }
        }
        Some(_) => return Err("its content is neither text nor a list of parts".into()),
    }
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        let Some(arguments) = call.get_mut("function").and_then(|function| function.get_mut("arguments")) else {
            continue;
        };
        let parsed = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
        if let Some(parsed @ Value::Object(_)) = parsed {
            *arguments = parsed;
        }
    }
    // Clients send an empty list or null; templates ask whether there is one.
    if message.get("tool_calls").is_some_and(|calls| calls.as_array().is_none_or(Vec::is_empty)) {
        message.remove("tool_calls");
    }
    Ok(Value::Object(message))
}

/// A message's content as text, parts on lines of their own.
fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// Every content as text.
pub(super) fn flatten(messages: &mut [Value]) {
    for message in messages {
        message["content"] = text_of(message).into();
    }
}

/// Every content as a list of parts.
pub(super) fn wrap(messages: &mut [Value]) {
    for message in messages.iter_mut().filter(|message| message["content"].is_string()) {
        message["content"] = json!([{"type": "text", "text": message["content"]}]);
    }
}

/// Tool calls and their results as plain text, for templates that know neither: calls as the assistant's words, results
/// as the user's. Neighbouring messages of the user become one, since many templates insist on turns.
pub(super) fn put_in_words(messages: &mut Vec<Value>) {
    let mut worded: Vec<Value> = Vec::with_capacity(messages.len());
    let mut after_result = false;
    for mut message in messages.drain(..) {
        let is_result = matches!(message["role"].as_str(), Some("tool" | "function"));
        if is_result {
            let text = format!("<tool_response>\n{}\n</tool_response>", text_of(&message));
            message = json!({"role": "user", "content": text});
        }
        if message["role"] == "assistant" {
            put_calls_in_words(&mut message);
        }
        let joins = (is_result || after_result) && message["role"] == "user";
        match worded.last_mut().filter(|last| joins && last["role"] == "user") {
            Some(last) => last["content"] = format!("{}\n{}", text_of(last), text_of(&message)).into(),
            None => worded.push(message),
        }
        after_result = is_result;
    }
    *messages = worded;
}

fn put_calls_in_words(message: &mut Value) {
    let Some(calls) = message.as_object_mut().and_then(|message| message.remove("tool_calls")) else { return };
    let mut text = text_of(message);
    for call in calls.as_array().into_iter().flatten() {
        let function = &call["function"];
        let call = Style::default().write(&json!({"name": function["name"], "arguments": function["arguments"]}));
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("<tool_call>\n{call}\n</tool_call>"));
    }
    message["content"] = text.into();
}

/// Tells the model in words what tools there are and how to call them: in the system message, or, where the template
/// shows none, in front of the user's first words.
pub(super) fn describe_tools(messages: &mut Vec<Value>, tools: &[Value], system: bool) {
    let mut text = String::from("You can call functions. These are available, one JSON description a line:\n<tools>\n");
    for tool in tools {
        // The function itself, as clients wrap it in its type.
        let function = tool.get("function").unwrap_or(tool);
        text.push_str(&Style::default().write(function));
        text.push('\n');
    }
    text.push_str(
        "</tools>\nTo call a function, answer with its name and its arguments as JSON between tags, once for each call, \
         and with nothing after it:\n<tool_call>\n{\"name\": \"the function's name\", \"arguments\": {\"parameter\": \"value\"}}\n\
         </tool_call>\nIts result is then given to you between <tool_response> tags. If no function is needed, answer directly.",
    );
    let role = if system { "system" } else { "user" };
    match messages.iter_mut().find(|message| message["role"] == role) {
        Some(message) if system => message["content"] = format!("{}\n\n{text}", text_of(message)).into(),
        Some(message) => message["content"] = format!("{text}\n\n{}", text_of(message)).into(),
        None => messages.insert(
            0,
            Value::Object(Map::from_iter([("role".to_owned(), role.into()), ("content".to_owned(), text.into())])),
        ),
    }
}

/// Mistral's templates insist on call ids of nine letters and digits. Others are replaced, equal ones by equal ones.
pub(super) fn shorten_call_ids(messages: &mut [Value]) {
    for message in messages {
        if let Some(id) = message.get_mut("tool_call_id") {
            shorten(id);
        }
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        for id in calls.into_iter().flatten().filter_map(|call| call.get_mut("id")) {
            shorten(id);
        }
    }
}

fn shorten(id: &mut Value) {
    let Some(text) = id.as_str() else { return };
    if text.len() != 9 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        *id = hex::encode(Sha256::digest(text.as_bytes()))[..9].into();
    }
}
