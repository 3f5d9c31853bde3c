//! Reads one call object, `{"name": …, "arguments": {…}}`, as its characters arrive.

use serde_json::Value;

/// A name longer than this is no name.
const MAX_NAME_BYTES: usize = 1024;
/// Arguments that come before the name are kept until it is known, up to this size.
const MAX_HELD_BYTES: usize = 256 * 1024;

/// What a call object tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Name(String),
    /// More of the arguments' JSON text.
    Arguments(String),
    /// The object is complete.
    End,
}

/// Where the scanner is in the object.
#[derive(Debug, PartialEq, Eq)]
enum At {
    /// Before the `{`.
    Start,
    /// Before a key or the `}`.
    Key,
    InKey,
    Colon,
    /// Before a value.
    Value,
    /// In a value; the number of brackets that are open, and whether it is a string or something bare.
    InValue {
        depth: usize,
        bare: bool,
    },
    /// Behind a value.
    Comma,
    Done,
}

/// Why the text is no call.
pub(crate) struct NoCall;

/// The scanner of one object.
pub(crate) struct CallScanner {
    arguments_key: &'static str,
    at: At,
    in_string: bool,
    escaped: bool,
    key: String,
    name: String,
    named: bool,
    argued: bool,
    /// Arguments seen and not told yet.
    pending: String,
}

impl CallScanner {
    pub(crate) fn new(arguments_key: &'static str) -> Self {
        Self {
            arguments_key,
            at: At::Start,
            in_string: false,
            escaped: false,
            key: String::new(),
            name: String::new(),
            named: false,
            argued: false,
            pending: String::new(),
        }
    }

    /// Takes characters up to the end of the object, and gives back how many bytes were taken.
    pub(crate) fn push(&mut self, text: &str, told: &mut Vec<Told>) -> Result<usize, NoCall> {
        for (offset, c) in text.char_indices() {
            self.step(c, told)?;
            if self.at == At::Done {
                if !self.argued {
                    self.pending.push_str("{}");
                }
                self.tell_arguments(told);
                told.push(Told::End);
                return Ok(offset + c.len_utf8());
            }
        }
        self.tell_arguments(told);
        Ok(text.len())
    }

    fn tell_arguments(&mut self, told: &mut Vec<Told>) {
        if self.named && !self.pending.is_empty() {
            told.push(Told::Arguments(std::mem::take(&mut self.pending)));
        }
    }

    fn step(&mut self, c: char, told: &mut Vec<Told>) -> Result<(), NoCall> {
        let space = c.is_ascii_whitespace();
        match self.at {
            At::Start if c == '{' => self.at = At::Key,
            At::Key if c == '"' => {
                self.key.clear();
                self.key.push(c);
                self.at = At::InKey;
            }
            At::Key | At::Comma if c == '}' => {
                if !self.named {
                    return Err(NoCall);
                }
                self.at = At::Done;
            }
            At::InKey => {
                push_bounded(&mut self.key, c, MAX_NAME_BYTES)?;
                if self.string_ends(c) {
                    self.key = string_value(&self.key).ok_or(NoCall)?;
                    self.at = At::Colon;
                }
            }
            At::Colon if c == ':' => self.at = At::Value,
            At::Value if !space => {
                let arguments = self.key == self.arguments_key;
                if arguments && (self.argued || c != '{') {
                    return Err(NoCall);
                }
                self.argued |= arguments;
                self.in_string = c == '"';
                let depth = usize::from(matches!(c, '{' | '['));
                self.at = At::InValue { depth, bare: depth == 0 && !self.in_string };
                self.keep(c)?;
            }
            At::InValue { depth, bare } => self.value(c, depth, bare, told)?,
            At::Comma if c == ',' => self.at = At::Key,
            At::Start | At::Key | At::Colon | At::Value | At::Comma if space => {}
            _ => return Err(NoCall),
        }
        Ok(())
    }

    fn value(&mut self, c: char, depth: usize, bare: bool, told: &mut Vec<Told>) -> Result<(), NoCall> {
        if bare && (c == ',' || c == '}' || c.is_ascii_whitespace()) {
            self.value_ends(told)?;
            return if c.is_ascii_whitespace() { Ok(()) } else { self.step(c, told) };
        }
        self.keep(c)?;
        if self.in_string {
            if self.string_ends(c) {
                self.in_string = false;
                if depth == 0 {
                    self.value_ends(told)?;
                }
            }
            return Ok(());
        }
        let depth = match c {
            '"' if !bare => {
                self.in_string = true;
                depth
            }
            '{' | '[' => depth + 1,
            '}' | ']' => depth.checked_sub(1).ok_or(NoCall)?,
            _ => depth,
        };
        self.at = At::InValue { depth, bare };
        if depth == 0 && !bare {
            self.value_ends(told)?;
        }
        Ok(())
    }

    fn value_ends(&mut self, told: &mut Vec<Told>) -> Result<(), NoCall> {
        self.at = At::Comma;
        if self.key == "name" && !self.named {
            let name = string_value(&self.name).ok_or(NoCall)?;
            self.named = true;
            told.push(Told::Name(name));
        }
        Ok(())
    }

    /// Whether `c` closes the string it stands in; follows escapes.
    fn string_ends(&mut self, c: char) -> bool {
        let escaped = self.escaped;
        self.escaped = !escaped && c == '\\';
        c == '"' && !escaped
    }

    fn keep(&mut self, c: char) -> Result<(), NoCall> {
        if self.key == self.arguments_key {
            push_bounded(&mut self.pending, c, MAX_HELD_BYTES)?;
        } else if self.key == "name" && !self.named {
            push_bounded(&mut self.name, c, MAX_NAME_BYTES)?;
        }
        Ok(())
    }
}

fn push_bounded(text: &mut String, c: char, limit: usize) -> Result<(), NoCall> {
    if text.len() >= limit {
        return Err(NoCall);
    }
    text.push(c);
    Ok(())
}

fn string_value(json: &str) -> Option<String> {
    match serde_json::from_str(json).ok()? {
        Value::String(text) => Some(text),
        _ => None,
    }
}
