//! What the suites need and the workspace does not have: virtual environments, sources, our own examples.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::outcome::{Failure, Figures, Outcome};
use crate::process::{cargo, root, run, run_reading, target_dir};

/// The release of llama-cpp-python, and with it of llama.cpp, that ours is held against.
pub(crate) const LLAMA: &str = "llama-cpp-python==0.3.36";

/// The folder that survives `make clean`.
pub(crate) fn cache() -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME says where to keep things"))?;
    Ok(base.join("computepool"))
}

/// The sample model, as `make` fetches it.
pub(crate) fn sample_model() -> Result<PathBuf, Failure> {
    match std::env::var_os("COMPUTEPOOL_SAMPLE_MODEL") {
        Some(path) => Ok(PathBuf::from(path)),
        None => Ok(cache()?.join("models/SmolLM2-135M-Instruct.Q4_1.gguf")),
    }
}

/// A file below the repository's `conformance` folder.
pub(crate) fn conformance(path: &str) -> PathBuf {
    root().join("conformance").join(path)
}

/// Makes a folder with everything above it.
pub(crate) fn folder(path: PathBuf) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(path)
}

/// Asks a virtual environment whether it has `NAME==VERSION` for each of its arguments.
const HAS: &str = "import importlib.metadata as m, sys
sys.exit(any(m.version(n) != v for n, v in (p.split('==') for p in sys.argv[1:])))";

/// The Python of a virtual environment that has `packages`; made when missing. `source` names one that must be compiled
/// here, for this machine's processor.
pub(crate) fn python(name: &str, packages: &[&str], source: Option<&str>) -> Result<PathBuf, Failure> {
    let place = cache()?.join("venvs").join(name);
    let python = place.join("bin/python");
    let mut probe = Command::new(&python);
    probe.args(["-c", HAS]).args(packages).stdout(Stdio::null()).stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) {
        return Ok(python);
    }
    eprintln!(
        "making a virtual environment with {}{}",
        packages.join(", "),
        match source {
            Some(source) => format!(" ({source} is compiled: some minutes, once)"),
            None => String::new(),
        }
    );
    run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    if let Some(source) = source {
        install.args(["--no-binary", source]);
    }
    run(install.args(packages))?;
    Ok(python)
}

/// A Python with llama.cpp in it.
pub(crate) fn llama() -> Result<PathBuf, Failure> {
    python("llama", &[LLAMA, "jinja2==3.1.6"], Some("llama-cpp-python"))
}

/// The folder `models` of llama.cpp's sources: vocabularies and chat templates. Fetched when missing.
pub(crate) fn llama_models() -> Result<PathBuf, Failure> {
    let downloads = folder(cache()?.join("dl"))?;
    let unpacked = downloads.join(LLAMA.replace('-', "_").replace("==", "-"));
    let models = unpacked.join("vendor/llama.cpp/models");
    if !models.is_dir() {
        let python = llama()?;
        let archive = unpacked.with_file_name(format!("{}.tar.gz", LLAMA.replace('-', "_").replace("==", "-")));
        run(Command::new(&python)
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-binary", "llama-cpp-python", LLAMA, "-d"])
            .arg(&downloads))?;
        run(Command::new(&python).args(["-m", "tarfile", "-e"]).arg(&archive).arg(&downloads))?;
    }
    Ok(models)
}

/// One of our examples, built.
pub(crate) fn example(name: &str) -> Result<PathBuf, Failure> {
    run(cargo().args(["build", "--quiet", "--workspace", "--examples"]))?;
    Ok(target_dir().join("debug/examples").join(name))
}

/// Runs a command whose last line of `key=value` words are its figures.
pub(crate) fn figures_of(command: &mut Command) -> Outcome {
    let mut figures = Figures::default();
    let well = run_reading(command, false, |line| {
        let pairs: Option<Vec<_>> = line.split_whitespace().map(|word| word.split_once('=')).collect();
        if let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) {
            figures = Figures::default();
            pairs.into_iter().for_each(|(key, value)| figures.add(key, value));
        }
    })?;
    if well { Ok(figures) } else { Err(Failure::new("see above").with(figures)) }
}
