//! Log lines go to standard error; standard output belongs to what a command answers.

use tracing_subscriber::EnvFilter;

/// Starts logging, filtered by `RUST_LOG` where it is set and by `default` otherwise.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // A second call in one process (tests) keeps the first.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).try_init().ok();
}
