//! Logits and speed against llama.cpp, in the same run on the same machine.

use std::process::Command;

use super::environment::{conformance, example, figures_of, llama, sample_model};
use crate::outcome::{Failure, Outcome};

/// Teacher-forced logits of the sample model, then of tiny models of every architecture.
pub(crate) fn logits() -> Outcome {
    let (python, logits, tiny) = (llama()?, example("logits")?, example("tiny")?);
    let script = conformance("llama/logits.py");
    let sample = figures_of(Command::new(&python).arg(&script).arg("sample").arg(&logits).arg(sample_model()?));
    let tiny = figures_of(Command::new(&python).arg(&script).arg("tiny").arg(&logits).arg(tiny));
    let well = sample.is_ok() && tiny.is_ok();
    let mut figures = sample.unwrap_or_else(|failure| failure.figures);
    figures.extend(tiny.unwrap_or_else(|failure| failure.figures));
    if well { Ok(figures) } else { Err(Failure::new("our logits are not llama.cpp's").with(figures)) }
}

/// Tokens per second on one thread, ours and llama.cpp's in turn.
pub(crate) fn speed() -> Outcome {
    let (python, logits) = (llama()?, example("logits")?);
    let mut command = Command::new(python);
    figures_of(command.arg(conformance("llama/speed.py")).arg(logits).arg(sample_model()?))
}
