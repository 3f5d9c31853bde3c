//! What the scripted model does with one request.

use std::time::Duration;

use computepool_core::ports::ToolDialect;
use computepool_core::{Constraint, Fault, FaultCode, Generate};
use serde_json::{Map, Value, json};

/// What happens to one generation.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The tokens it says, before the one that ends the text.
    pub tokens: Vec<u32>,
    /// Say the tokens over and over, until a limit or the client ends it.
    pub endless: bool,
    /// Wait this long before each token.
    pub pause: Duration,
    /// Refuse the call.
    pub refuse: Option<Fault>,
    /// Fail before it is admitted.
    pub reject: Option<Fault>,
    /// Fail after this many tokens.
    pub fail: Option<(usize, Fault)>,
}

impl Script {
    /// Says a text and ends.
    pub fn say(text: &str) -> Self {
        Self { tokens: text.bytes().map(u32::from).collect(), ..Self::default() }
    }

    /// Waits before each token.
    pub fn paced(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Never ends by itself.
    pub fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    /// Refuses the call.
    pub fn refused(fault: Fault) -> Self {
        Self { refuse: Some(fault), ..Self::default() }
    }

    /// Fails before it is admitted.
    pub fn rejected(fault: Fault) -> Self {
        Self { reject: Some(fault), ..Self::default() }
    }

    /// Fails after so many tokens.
    pub fn failing_after(mut self, tokens: usize, fault: Fault) -> Self {
        self.fail = Some((tokens, fault));
        self
    }

    /// What a model that answers questions would do: keeps to constraints, calls a tool where it must or where the
    /// prompt speaks of weather, and takes its time where the prompt says `slowly`.
    pub fn answer(request: &Generate, prompt: &str, dialect: ToolDialect) -> Self {
        // What the user said last; tools and earlier turns stand before it.
        let question = prompt.rsplit("user\n").next().unwrap_or(prompt).to_lowercase();
        match &request.constraint {
            Some(Constraint::JsonObject) => Self::say("{\"answer\": \"yes\"}"),
            Some(Constraint::JsonSchema(schema)) => match serde_json::from_str::<Value>(schema).map(|s| example(&s)) {
                Ok(Some(value)) => Self::say(&value.to_string()),
                _ => Self::rejected(Fault::new(FaultCode::BadGrammar, "this schema cannot be used")),
            },
            Some(Constraint::Lark(grammar)) => {
                if grammar.starts_with("start: TEXT") && !question.contains("weather") {
                    return Self::say("No tool is needed for that.");
                }
                match forced_call(grammar, dialect) {
                    Some(call) => Self::say(&call),
                    None => Self::rejected(Fault::new(FaultCode::BadGrammar, "this grammar cannot be used")),
                }
            }
            None if question.contains("slowly") => {
                Self::say("one two three four five ").endless().paced(Duration::from_millis(10))
            }
            None => Self::say("Hello there, friend!"),
        }
    }
}

/// A call that the first tool of a grammar allows.
fn forced_call(grammar: &str, dialect: ToolDialect) -> Option<String> {
    let line = grammar.lines().find_map(|line| line.strip_prefix("call_0: %json "))?;
    let call = example(&serde_json::from_str(line).ok()?)?;
    Some(match dialect {
        ToolDialect::Llama3 => call.to_string(),
        ToolDialect::Mistral => format!("[TOOL_CALLS][{call}]"),
        ToolDialect::Hermes | ToolDialect::Described => format!("<tool_call>\n{call}\n</tool_call>"),
    })
}

/// A value that a simple schema accepts; `None` where it is not so simple.
pub fn example(schema: &Value) -> Option<Value> {
    if let Some(value) = schema.get("const") {
        return Some(value.clone());
    }
    if let Some(values) = schema.get("enum") {
        return values.get(0).cloned();
    }
    if let Some(any) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        return example(any.get(0)?);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first()?.as_str()?,
        Some(kind) => kind.as_str()?,
        None => "object",
    };
    Some(match kind {
        "object" => {
            let none = Map::new();
            let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
            let required: Vec<&str> = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let mut object = Map::new();
            for (name, property) in properties.iter().filter(|(name, _)| required.contains(&name.as_str())) {
                object.insert(name.clone(), example(property)?);
            }
            Value::Object(object)
        }
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(16);
            let item = schema.get("items").map_or(Some(Value::Null), example)?;
            Value::Array(vec![item; least as usize])
        }
        "string" => "Paris".into(),
        "integer" => schema.get("minimum").and_then(Value::as_i64).unwrap_or(7).into(),
        "number" => json!(1.5),
        "boolean" => true.into(),
        "null" => Value::Null,
        _ => return None,
    })
}
