//! `response_format`: what an answer must look like.

use computepool_core::Constraint;
use serde_json::{Value, json};

use crate::RequestLimits;
use crate::error::ApiError;
use crate::tools::spacing;

/// Brackets within brackets of a schema, at most.
const MAX_SCHEMA_DEPTH: usize = 48;

/// What an answer must look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    Text,
    Object,
    Schema(Value),
}

impl Format {
    /// As a constraint of the whole answer.
    pub(crate) fn constraint(&self) -> Option<Constraint> {
        match self {
            Self::Text => None,
            Self::Object => Some(Constraint::JsonObject),
            Self::Schema(schema) => Some(Constraint::JsonSchema(schema.to_string())),
        }
    }

    /// As a schema, where it is JSON.
    pub(crate) fn schema(&self) -> Option<Value> {
        match self {
            Self::Text => None,
            Self::Object => Some(json!({"type": "object", "x-guidance": spacing(false)})),
            Self::Schema(schema) => Some(schema.clone()),
        }
    }
}

/// Reads the field.
pub(crate) fn read_format(field: Option<&Value>, limits: &RequestLimits) -> Result<Format, ApiError> {
    let at = "response_format";
    let Some(field) = field.filter(|field| !field.is_null()) else { return Ok(Format::Text) };
    match field.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Object),
        Some("json_schema") => read_schema(field.get("json_schema"), limits),
        _ => Err(ApiError::invalid(format!("{at}.type"), "expected `text`, `json_object` or `json_schema`")),
    }
}

fn read_schema(field: Option<&Value>, limits: &RequestLimits) -> Result<Format, ApiError> {
    let at = "response_format.json_schema";
    let Some(field) = field.and_then(Value::as_object) else {
        return Err(ApiError::invalid(at, "expected an object with `name` and `schema`"));
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match field.get("name").and_then(Value::as_str) {
        Some(name) if (1..=64).contains(&name.len()) && name.chars().all(good) => {}
        _ => {
            return Err(ApiError::invalid(
                format!("{at}.name"),
                "a schema's name has 1 to 64 letters, digits, underscores and dashes",
            ));
        }
    }
    let strict = match field.get("strict") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(strict)) => *strict,
        Some(_) => return Err(ApiError::invalid(format!("{at}.strict"), "expected a boolean")),
    };
    let at = format!("{at}.schema");
    let Some(schema) = field.get("schema").filter(|schema| !schema.is_null()) else {
        return Err(ApiError::invalid(at, "the schema is missing"));
    };
    check_schema(schema, &at, limits)?;
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.insert("x-guidance".into(), spacing(!strict));
    }
    Ok(Format::Schema(schema))
}

/// A schema is an object of bounded size and depth.
pub(crate) fn check_schema(schema: &Value, at: &str, limits: &RequestLimits) -> Result<(), ApiError> {
    if !schema.is_object() {
        return Err(ApiError::invalid(at, "expected a JSON schema object"));
    }
    let size = schema.to_string().len();
    if size > limits.schema_bytes {
        let message = format!("the schema has {size} bytes, at most {} are accepted", limits.schema_bytes);
        return Err(ApiError::invalid(at, message));
    }
    if depth(schema) > MAX_SCHEMA_DEPTH {
        return Err(ApiError::invalid(at, format!("the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels")));
    }
    Ok(())
}

/// JSON is parsed with a limit of its own, so that this recursion is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
