//! Tokenizers against llama.cpp, chat templates against jinja2.

use std::fs;
use std::process::Command;

use super::environment::{cache, conformance, folder, llama, llama_models, sample_model};
use crate::outcome::{Failure, Figures, Outcome};
use crate::process::{cargo, run};
use crate::suite::libtest;

/// Ids of every text of the corpus, for every vocabulary that llama.cpp ships and for the sample model.
pub(crate) fn tokenizers() -> Outcome {
    let (python, models) = (llama()?, llama_models()?);
    let oracle = folder(cache()?.join("oracle"))?;
    run(Command::new(python).arg(conformance("llama/oracle.py")).arg(models).arg(&oracle).arg(sample_model()?))?;
    let count = files(&oracle, "json")?;
    ignored_test("ids_are_those_of_llama_cpp_for_whole_vocabularies", "COMPUTEPOOL_TOKENIZER_ORACLE", &oracle)?;
    Ok(Figures::default().with("vocabularies", count))
}

/// Every chat template that llama.cpp ships, with every chat of `chats.json`.
pub(crate) fn templates() -> Outcome {
    let (python, models) = (llama()?, llama_models()?);
    let oracle = folder(cache()?.join("templates"))?;
    let shipped = models.join("templates");
    let unreadable = |error| Failure::new(format!("{}: {error}", shipped.display()));
    for entry in fs::read_dir(&shipped).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|kind| kind == "jinja")) {
            fs::copy(&path, oracle.join(name)).map_err(unreadable)?;
        }
    }
    run(Command::new(python).arg(conformance("templates/render.py")).arg(&oracle))?;
    let count = files(&oracle, "jinja")?;
    ignored_test("other_templates_render_as_transformers_renders_them", "COMPUTEPOOL_TEMPLATE_ORACLE", &oracle)?;
    Ok(Figures::default().with("templates", count))
}

fn files(folder: &std::path::Path, kind: &str) -> Result<usize, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    Ok(entries.flatten().filter(|entry| entry.path().extension().is_some_and(|found| found == kind)).count())
}

/// Runs one ignored test of the model crate, which finds what it is held against by `variable`.
fn ignored_test(name: &str, variable: &str, folder: &std::path::Path) -> Result<(), Failure> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--workspace", "--test", "text", "--", "--ignored", name]).env(variable, folder);
    let (tally, well) = libtest(&mut command)?;
    match (well, tally.passed) {
        (true, 1) => Ok(()),
        (true, passed) => Err(Failure::new(format!("{passed} tests are called {name}"))),
        (false, _) => Err(Failure::new(format!("{name} failed"))),
    }
}
