//! JSON as Python's `json.dumps` writes it.

use std::fmt::Write;

use serde_json::{Number, Value};

/// The options of `json.dumps` that templates use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// `ensure_ascii`.
    pub(super) ascii: bool,
    /// `sort_keys`.
    pub(super) sorted: bool,
    /// Between items, and between key and value.
    pub(super) separators: (String, String),
    /// What one level is set in by; without it all stands on one line.
    pub(super) indent: Option<String>,
}

impl Default for Style {
    fn default() -> Self {
        Self { ascii: false, sorted: false, separators: (", ".to_owned(), ": ".to_owned()), indent: None }
    }
}

impl Style {
    pub(super) fn write(&self, value: &Value) -> String {
        let mut out = String::new();
        self.value(&mut out, value, 0);
        out
    }

    fn value(&self, out: &mut String, value: &Value, depth: usize) {
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => out.push_str(&python_number(number)),
            Value::String(text) => self.string(out, text),
            Value::Array(items) => {
                self.items(out, ('[', ']'), items.iter(), depth, |out, item| self.value(out, item, depth + 1));
            }
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                if self.sorted {
                    fields.sort_by_key(|(name, _)| *name);
                }
                self.items(out, ('{', '}'), fields.into_iter(), depth, |out, (name, value)| {
                    self.string(out, name);
                    out.push_str(&self.separators.1);
                    self.value(out, value, depth + 1);
                });
            }
        }
    }

    fn items<T>(
        &self,
        out: &mut String,
        (open, close): (char, char),
        items: impl ExactSizeIterator<Item = T>,
        depth: usize,
        mut write: impl FnMut(&mut String, T),
    ) {
        out.push(open);
        let filled = items.len() > 0;
        for (at, item) in items.enumerate() {
            if at > 0 {
                out.push_str(&self.separators.0);
            }
            self.line(out, depth + 1);
            write(out, item);
        }
        if filled {
            self.line(out, depth);
        }
        out.push(close);
    }

    fn line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a string cannot fail.
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// A number as Python's `repr` gives it: integers plainly, floats with the fewest digits that read back the same, and an
/// exponent below 1e-4 and from 1e16 on.
fn python_number(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_python_does() {
        let value: Value = serde_json::from_str(
            r#"{"b":[1,-2,1.0,1e16,1e-5,0.1,123456789.125,1e22,-0.0],"a":{"x":"é\u0001\"\\\n/<>&'","e":[],"o":{}},"n":null,"t":true}"#,
        )
        .unwrap();
        let plain = Style::default();
        assert_eq!(
            plain.write(&value),
            r#"{"b": [1, -2, 1.0, 1e+16, 1e-05, 0.1, 123456789.125, 1e+22, -0.0], "a": {"x": "é\u0001\"\\\n/<>&'", "e": [], "o": {}}, "n": null, "t": true}"#
        );
        let tight = Style { ascii: true, sorted: true, separators: (",".into(), ":".into()), ..plain };
        assert_eq!(tight.write(&serde_json::json!({"b": "é🦀", "a": 1})), r#"{"a":1,"b":"\u00e9\ud83e\udd80"}"#);
        let set_in = Style { indent: Some("  ".into()), separators: (",".into(), ": ".into()), ..Style::default() };
        assert_eq!(
            set_in.write(&serde_json::json!({"a": [1, {}], "b": []})),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
        );
    }
}
