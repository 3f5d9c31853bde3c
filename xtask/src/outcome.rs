//! What a chore ends with: figures, and a message where it failed.

use std::fmt;

/// `key=value` pairs, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures(Vec<(String, String)>);

impl Figures {
    pub(crate) fn add(&mut self, key: &str, value: impl fmt::Display) {
        // One word each: the line is split at spaces by whoever reads it.
        let value = value.to_string().replace(char::is_whitespace, "_");
        self.0.push((key.to_owned(), value));
    }

    pub(crate) fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.add(key, value);
        self
    }

    pub(crate) fn extend(&mut self, other: Figures) {
        self.0.extend(other.0);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Why a chore failed, and what it had counted by then.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) figures: Figures,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), figures: Figures::default() }
    }

    pub(crate) fn with(mut self, figures: Figures) -> Self {
        self.figures = figures;
        self
    }
}

pub(crate) type Outcome = Result<Figures, Failure>;

/// A failure that lists what is wrong, one per line; fine when nothing is.
pub(crate) fn none_wrong(what: &str, wrong: &[String], figures: Figures) -> Outcome {
    if wrong.is_empty() {
        return Ok(figures);
    }
    let figures = figures.with("violations", wrong.len());
    Err(Failure::new(format!("{} {what}:\n  {}", wrong.len(), wrong.join("\n  "))).with(figures))
}
