//! Checks the messages of a chat and brings them into the one shape that templates are given.

use serde_json::{Map, Value, json};

use crate::RequestLimits;
use crate::error::ApiError;

/// Every message as `{"role", "content": text, …}`; `arguments` of calls as objects, as templates expect them.
pub(crate) fn read_messages(messages: Vec<Value>, limits: &RequestLimits) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid("messages", "a chat needs at least one message"));
    }
    if messages.len() > limits.messages {
        let message = format!("the chat has {} messages, at most {} are accepted", messages.len(), limits.messages);
        return Err(ApiError::invalid("messages", message));
    }
    messages.into_iter().enumerate().map(|(index, value)| read_message(value, &format!("messages[{index}]"))).collect()
}

fn read_message(value: Value, at: &str) -> Result<Value, ApiError> {
    let Value::Object(mut message) = value else {
        return Err(ApiError::invalid(at, "expected an object with `role` and `content`"));
    };
    let role = match message.get("role") {
        Some(Value::String(role)) => role.clone(),
        _ => return Err(ApiError::invalid(format!("{at}.role"), "expected a string")),
    };
    let role = match role.as_str() {
        "developer" => "system",
        "system" | "user" | "assistant" | "tool" => role.as_str(),
        other => {
            let message = format!("`{other}` is not one of `system`, `developer`, `user`, `assistant`, `tool`");
            return Err(ApiError::invalid(format!("{at}.role"), message));
        }
    };
    let calls = match message.remove("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) if role == "assistant" => {
            let read = |(index, call)| read_call(call, &format!("{at}.tool_calls[{index}]"));
            calls.into_iter().enumerate().map(read).collect::<Result<_, _>>()?
        }
        Some(_) => {
            return Err(ApiError::invalid(format!("{at}.tool_calls"), "expected an array, on an assistant's message"));
        }
    };
    let content = match message.remove("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => join_parts(parts, at)?,
        None | Some(Value::Null) if role == "assistant" => String::new(),
        None | Some(Value::Null) => {
            return Err(ApiError::invalid(format!("{at}.content"), "this message needs content"));
        }
        Some(_) => return Err(ApiError::invalid(format!("{at}.content"), "expected a string or an array of parts")),
    };

    let mut read = Map::new();
    read.insert("role".into(), role.into());
    read.insert("content".into(), content.into());
    match message.remove("name") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name.len() <= 64 => {
            read.insert("name".into(), name.into());
        }
        Some(_) => return Err(ApiError::invalid(format!("{at}.name"), "expected a string of at most 64 bytes")),
    }
    if !calls.is_empty() {
        read.insert("tool_calls".into(), calls.into());
    }
    if role == "tool" {
        match message.remove("tool_call_id") {
            Some(Value::String(id)) if (1..=128).contains(&id.len()) => {
                read.insert("tool_call_id".into(), id.into());
            }
            _ => {
                return Err(ApiError::invalid(
                    format!("{at}.tool_call_id"),
                    "a tool's message names the call it answers",
                ));
            }
        }
    }
    Ok(Value::Object(read))
}

fn join_parts(parts: Vec<Value>, at: &str) -> Result<String, ApiError> {
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{at}.content[{index}]");
        let kind = part.get("type").and_then(Value::as_str);
        let said = match kind {
            Some("text") => part.get("text").and_then(Value::as_str),
            Some("refusal") => part.get("refusal").and_then(Value::as_str),
            Some(other) => {
                let message = format!("content of type `{other}` is not supported: the models here read text only");
                return Err(ApiError::invalid(format!("{at}.type"), message).code("unsupported_content"));
            }
            None => return Err(ApiError::invalid(format!("{at}.type"), "expected a part with a `type`")),
        };
        let Some(said) = said else { return Err(ApiError::invalid(format!("{at}.text"), "expected a string")) };
        if index > 0 {
            text.push('\n');
        }
        text.push_str(said);
    }
    Ok(text)
}

fn read_call(call: Value, at: &str) -> Result<Value, ApiError> {
    let function = call.get("function");
    let name = function.and_then(|f| f.get("name")).and_then(Value::as_str);
    let arguments = function.and_then(|f| f.get("arguments")).and_then(Value::as_str);
    let id = call.get("id").and_then(Value::as_str);
    let (Some(name), Some(arguments), Some(id)) = (name, arguments, id) else {
        let message = "a call has an `id` and a `function` with a `name` and `arguments`, all of them strings";
        return Err(ApiError::invalid(at, message));
    };
    // Templates write arguments as JSON: a string would be quoted a second time.
    let arguments = match serde_json::from_str::<Value>(arguments) {
        Ok(object @ Value::Object(_)) => object,
        _ if arguments.trim().is_empty() => json!({}),
        _ => Value::String(arguments.to_owned()),
    };
    Ok(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
}
