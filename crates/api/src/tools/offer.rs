//! Reading `tools`, `tool_choice` and `parallel_tool_calls`.

use serde_json::{Value, json};

use super::Dialect;
use crate::RequestLimits;
use crate::error::ApiError;
use crate::response_format::check_schema;

/// A function the model may call.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// The JSON schema of its arguments: an object.
    pub(crate) parameters: Value,
    /// Whether parts of the schema that cannot be enforced are an error.
    pub(crate) strict: bool,
    /// As templates want it: `{"type": "function", "function": {…}}`.
    pub(crate) definition: Value,
}

/// Whether the model must call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It may.
    Auto,
    /// It must.
    Required,
}

/// The tools of a request; never empty.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    /// Whether one answer may hold several calls.
    pub(crate) parallel: bool,
    pub(crate) dialect: Dialect,
}

/// What is offered; `None` where there is nothing to call.
pub(crate) fn read_offer(
    tools: Option<&[Value]>,
    tool_choice: Option<&Value>,
    parallel: Option<bool>,
    dialect: Dialect,
    limits: &RequestLimits,
) -> Result<Option<Offer>, ApiError> {
    let list = tools.unwrap_or_default();
    if list.len() > limits.tools {
        let message = format!("{} tools are offered, at most {} are accepted", list.len(), limits.tools);
        return Err(ApiError::invalid("tools", message));
    }
    let mut tools = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let tool = read_tool(value, &format!("tools[{index}]"), limits)?;
        if tools.iter().any(|known: &Tool| known.name == tool.name) {
            return Err(ApiError::invalid(format!("tools[{index}]"), format!("two tools are named `{}`", tool.name)));
        }
        tools.push(tool);
    }
    let Some((choice, tools)) = read_choice(tool_choice, tools)? else { return Ok(None) };
    // Llama 3.x has no form for several calls in one turn.
    let parallel = parallel.unwrap_or(true) && dialect.kind != computepool_core::ports::ToolDialect::Llama3;
    Ok(Some(Offer { tools, choice, parallel, dialect }))
}

fn read_tool(value: &Value, at: &str, limits: &RequestLimits) -> Result<Tool, ApiError> {
    let kind = value.get("type").and_then(Value::as_str);
    if kind != Some("function") {
        let message = format!("tools of type `{}` are not supported, only `function`", kind.unwrap_or("(none)"));
        return Err(ApiError::invalid(format!("{at}.type"), message));
    }
    let Some(function) = value.get("function").and_then(Value::as_object) else {
        return Err(ApiError::invalid(format!("{at}.function"), "a function tool needs a `function` object"));
    };
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        let message = "a function's name has 1 to 64 letters, digits, underscores, dashes and dots";
        return Err(ApiError::invalid(format!("{at}.function.name"), message));
    }
    let description = match function.get("description") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => return Err(ApiError::invalid(format!("{at}.function.description"), "expected a string")),
    };
    let strict = match function.get("strict") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(strict)) => *strict,
        Some(_) => return Err(ApiError::invalid(format!("{at}.function.strict"), "expected a boolean")),
    };
    let parameters = match function.get("parameters") {
        None | Some(Value::Null) => json!({"type": "object", "properties": {}, "additionalProperties": false}),
        Some(schema) => {
            let at = format!("{at}.function.parameters");
            check_schema(schema, &at, limits)?;
            arguments_schema(schema, &at)?
        }
    };
    let mut shown = json!({"name": name, "description": description.map_or("", String::as_str)});
    shown["parameters"] =
        function.get("parameters").filter(|p| !p.is_null()).cloned().unwrap_or_else(|| parameters.clone());
    let definition = json!({"type": "function", "function": shown});
    Ok(Tool { name: name.to_owned(), parameters, strict, definition })
}

/// Arguments are an object, whatever else the schema says.
fn arguments_schema(schema: &Value, at: &str) -> Result<Value, ApiError> {
    let mut schema = schema.clone();
    let Some(object) = schema.as_object_mut() else {
        return Err(ApiError::invalid(at, "expected a JSON schema object"));
    };
    match object.get("type") {
        Some(Value::String(kind)) if kind == "object" => {}
        None => {
            object.insert("type".into(), "object".into());
        }
        Some(_) => return Err(ApiError::invalid(at, "the schema of a function's parameters must have type `object`")),
    }
    Ok(schema)
}

fn read_choice(value: Option<&Value>, tools: Vec<Tool>) -> Result<Option<(Choice, Vec<Tool>)>, ApiError> {
    let at = "tool_choice";
    let wrong = || {
        ApiError::invalid(
            at,
            "expected `none`, `auto`, `required`, or {\"type\": \"function\", \"function\": {\"name\": …}}",
        )
    };
    let (choice, names) = match value {
        None | Some(Value::Null) => (Choice::Auto, None),
        Some(Value::String(text)) => match text.as_str() {
            "none" => return Ok(None),
            "auto" => (Choice::Auto, None),
            "required" => (Choice::Required, None),
            _ => return Err(wrong()),
        },
        Some(Value::Object(object)) => match object.get("type").and_then(Value::as_str) {
            Some("function") => {
                let name =
                    object.get("function").and_then(|f| f.get("name")).and_then(Value::as_str).ok_or_else(wrong)?;
                (Choice::Required, Some(vec![name]))
            }
            Some("allowed_tools") => {
                let allowed = object.get("allowed_tools").ok_or_else(wrong)?;
                let choice = match allowed.get("mode").and_then(Value::as_str) {
                    Some("auto") => Choice::Auto,
                    Some("required") => Choice::Required,
                    _ => return Err(wrong()),
                };
                let list = allowed.get("tools").and_then(Value::as_array).ok_or_else(wrong)?;
                let name = |tool: &'_ Value| tool.get("function")?.get("name")?.as_str().map(str::to_owned);
                let names: Option<Vec<String>> = list.iter().map(name).collect();
                return select(choice, tools, Some(&names.ok_or_else(wrong)?));
            }
            _ => return Err(wrong()),
        },
        Some(_) => return Err(wrong()),
    };
    let names: Option<Vec<String>> = names.map(|names| names.into_iter().map(str::to_owned).collect());
    if value.is_some_and(|v| !v.is_null()) && tools.is_empty() {
        return Err(ApiError::invalid(at, "`tool_choice` is only allowed when `tools` are given"));
    }
    select(choice, tools, names.as_deref())
}

fn select(choice: Choice, tools: Vec<Tool>, names: Option<&[String]>) -> Result<Option<(Choice, Vec<Tool>)>, ApiError> {
    let tools = match names {
        None => tools,
        Some(names) => {
            if let Some(unknown) = names.iter().find(|name| !tools.iter().any(|tool| &tool.name == *name)) {
                return Err(ApiError::invalid("tool_choice", format!("no tool is named `{unknown}`")));
            }
            tools.into_iter().filter(|tool| names.contains(&tool.name)).collect()
        }
    };
    Ok((!tools.is_empty()).then_some((choice, tools)))
}
