//! Questions to a person.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use computepool_app::accounts::{Passphrase, Secret};
use computepool_core::{Fault, FaultCode};

use super::unattended;

/// Nothing that is read in is longer, in bytes.
const MOST: u64 = 16 * 1024;

/// Asks, unless told not to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) yes: bool,
}

impl Asker {
    /// Whether the person agrees.
    pub(super) fn agreed(self, question: &str) -> Result<bool, Fault> {
        if self.yes {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Fault::new(FaultCode::InvalidRequest, "this wants an answer, and nobody is there to give one")
                .hint("say --yes to have it done without asking"));
        }
        let answer = line(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Whether a person can be asked.
    pub(super) fn attended(self) -> bool {
        !self.yes && std::io::stdin().is_terminal()
    }
}

/// A line that is shown as it is typed.
pub(super) fn line(question: &str) -> Result<String, Fault> {
    let mut out = std::io::stdout();
    let mut answer = String::new();
    let asked = write!(out, "{question}").and_then(|()| out.flush());
    asked.and_then(|()| std::io::stdin().lock().take(MOST).read_line(&mut answer)).map_err(no_terminal)?;
    Ok(answer)
}

/// Something that is not shown as it is typed.
pub(super) fn hidden(question: &str) -> Result<Passphrase, Fault> {
    rpassword::prompt_password(question).map(Secret::new).map_err(no_terminal)
}

/// A new passphrase, typed twice.
pub(super) fn twice(what: &str) -> Result<Passphrase, Fault> {
    let first = hidden(&format!("{what}: "))?;
    let second = hidden("The same again: ")?;
    if first.expose() != second.expose() {
        return Err(Fault::new(FaultCode::InvalidRequest, "these were two different passphrases").hint("try again"));
    }
    Ok(first)
}

/// A secret from standard input where something else writes to it, else from the person.
pub(super) fn piped_or_hidden(question: &str) -> Result<Secret<String>, Fault> {
    if std::io::stdin().is_terminal() {
        return hidden(question);
    }
    // With room enough from the start: a string that grows leaves copies of itself behind.
    let mut text = String::with_capacity(MOST as usize);
    std::io::stdin().lock().take(MOST).read_to_string(&mut text).map_err(no_terminal)?;
    Ok(Secret::new(text))
}

fn no_terminal(error: std::io::Error) -> Fault {
    Fault::new(FaultCode::Io, format!("nothing can be asked here: {error}")).hint(unattended())
}
