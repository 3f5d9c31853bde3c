//! What a scenario ends with: figures, and a message where a bound was missed.

use std::fmt;

/// `key=value` pairs, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures(Vec<(String, String)>);

impl Figures {
    /// One more figure. Keys start with a lower-case letter, which the RESULT line asks for.
    pub(crate) fn add(&mut self, key: impl Into<String>, value: impl fmt::Display) {
        // One word each: the line is split at spaces by whoever reads it.
        let value = value.to_string().replace(char::is_whitespace, "_");
        self.0.push((key.into(), value));
    }

    /// The figures of another part, after these.
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

/// Why something could not be done at all, for people.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// A failure with this message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Turns any error into a failure that says what was attempted.
    pub(crate) fn of<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// What a scenario found: figures, and the bounds it missed, in words.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What was measured.
    pub(crate) figures: Figures,
    /// What should not have been so.
    pub(crate) missed: Vec<String>,
}

impl Findings {
    /// Remembers `what` as missed unless it `holds`.
    pub(crate) fn expect(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.missed.push(what.into());
        }
    }

    /// What another scenario found, after this.
    pub(crate) fn extend(&mut self, other: Findings) {
        self.figures.extend(other.figures);
        self.missed.extend(other.missed);
    }
}

/// What a scenario returns.
pub(crate) type Outcome = Result<Findings, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_single_words_whatever_their_values_say() {
        let mut figures = Figures::default();
        figures.add("nat", "cone and symmetric");
        figures.add("count", 3);
        assert_eq!(figures.to_string(), "nat=cone_and_symmetric count=3");
    }

    #[test]
    fn what_holds_is_not_a_miss() {
        let mut findings = Findings::default();
        findings.expect(true, "fine");
        findings.expect(false, "not fine");
        assert_eq!(findings.missed, ["not fine"]);
    }
}
