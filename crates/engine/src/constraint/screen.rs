//! What is checked of a grammar before it is parsed, and what is told of a parser's complaint.

use std::fmt::Display;

use serde_json::Value;

use super::{ConstraintError, MAX_GRAMMAR_BYTES};

/// Brackets in a Lark grammar may nest this deep: its parser calls itself for each.
pub(super) const MAX_NESTING: usize = 64;

/// The first line of an error, shortened: llguidance adds state dumps and backtraces, which are no use to a caller.
pub(super) fn first_line(error: &impl Display) -> String {
    let text = error.to_string();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim();
    line.chars().take(300).collect()
}

/// Parses a schema: an object, or `true` for anything. (serde_json itself stops at a depth of 128.)
pub(super) fn schema(text: &str) -> Result<Value, ConstraintError> {
    check_length(text)?;
    match serde_json::from_str(text) {
        Ok(Value::Bool(true)) => Ok(Value::Object(serde_json::Map::new())),
        Ok(schema @ Value::Object(_)) => Ok(schema),
        Ok(_) => Err(ConstraintError::Refused("a JSON schema is an object".to_owned())),
        Err(error) => Err(ConstraintError::Refused(format!("the schema is not JSON: {error}"))),
    }
}

/// Checks length and nesting of a Lark grammar.
pub(super) fn lark(text: &str) -> Result<(), ConstraintError> {
    check_length(text)?;
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > MAX_NESTING {
        return Err(ConstraintError::TooDeep { got: deepest, allowed: MAX_NESTING });
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), ConstraintError> {
    if text.len() > MAX_GRAMMAR_BYTES {
        return Err(ConstraintError::TooLong { got: text.len() });
    }
    Ok(())
}
