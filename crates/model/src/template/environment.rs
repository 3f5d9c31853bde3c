//! Jinja as Hugging Face sets it up for chat templates.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use computepool_core::ports::Clock;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};

use super::{json, moment};

/// `trim_blocks`, `lstrip_blocks`, loop controls, Python's methods on strings and dicts, `raise_exception`,
/// `strftime_now`, and `tojson` as transformers has it.
pub(super) fn new(clock: Arc<dyn Clock>) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.unwrap_or_default());
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
    });
    environment.add_function("strftime_now", move |format: String| {
        moment::Moment::at(clock.now_ms())
            .format(&format)
            .map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))
    });
    environment.add_filter("tojson", to_json);
    // Python's None is not iterable; templates ask this of `tools`.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment
}

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`: keys in order, no HTML escapes.
fn to_json(
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    arguments: Kwargs,
) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "an undefined value cannot be written as JSON"));
    }
    let named_indent = arguments.get::<Option<Value>>("indent")?.filter(|indent| !indent.is_none());
    let indent = match indent.filter(|indent| !indent.is_none()).or(named_indent) {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(width) => Some(" ".repeat(usize::try_from(width)?.min(64))),
    };
    let separators = match arguments.get::<Option<Value>>("separators")?.filter(|pair| !pair.is_none()) {
        None => None,
        Some(pair) => {
            let pair: Vec<String> = pair.try_iter()?.map(|item| item.to_string()).collect();
            let pair: Result<[String; 2], _> = pair.try_into();
            let bad = |_| Error::new(ErrorKind::InvalidOperation, "tojson: separators are two strings");
            Some(pair.map(Into::into).map_err(bad)?)
        }
    };
    let style = json::Style {
        ascii: arguments.get::<Option<bool>>("ensure_ascii")?.or(ensure_ascii).unwrap_or(false),
        sorted: arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        // Python puts no space behind the comma where it breaks the line.
        separators: separators
            .unwrap_or_else(|| (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned())),
        indent,
    };
    arguments.assert_all_used()?;
    let value = serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, format!("this cannot be written as JSON: {error}")))?;
    Ok(style.write(&value))
}

/// What a template said by `raise_exception`.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// The template's own words, if it refused.
pub(super) fn raised(error: &Error) -> Option<String> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(Raised(message)) = inner.downcast_ref::<Raised>() {
            return Some(message.clone());
        }
        source = inner.source();
    }
    None
}

/// `{% generation %}` marks what a model is trained on and shows nothing. An `if` that always holds treats the white
/// space around it in the same way.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut rest = source;
    let mut replaced = String::with_capacity(source.len());
    while let Some(open) = rest.find("{%") {
        let (before, tag) = rest.split_at(open);
        replaced.push_str(before);
        let Some(close) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(close + 2);
        let word = tag[2..close].trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        match word {
            "generation" => replaced.push_str(&tag.replacen("generation", "if true", 1)),
            "endgeneration" => replaced.push_str(&tag.replacen("endgeneration", "endif", 1)),
            _ => replaced.push_str(tag),
        }
        rest = after;
    }
    replaced + rest
}
