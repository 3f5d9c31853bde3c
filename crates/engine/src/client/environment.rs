//! The surroundings of an engine process: no secrets, no window, no share in the terminal's Ctrl-C.

use std::ffi::OsStr;
use std::path::Path;

use tokio::process::Command;

/// Variables that a process inherits. It parses strangers' tensors: what else is in the host's environment (keys,
/// addresses of databases) is not its business.
const INHERITED: &[&str] = &[
    "APPDATA",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "LOCALAPPDATA",
    "MISTRALRS_FORCE_AVX2",
    "PATH",
    "PROGRAMDATA",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USERPROFILE",
    "WINDIR",
];

/// Families of variables that a process inherits: the CUDA driver's own settings, and the engine's.
const INHERITED_FAMILIES: &[&str] = &["CUDA_", "NVIDIA_", "COMPUTEPOOL_ENGINE_"];

fn is_inherited(name: &OsStr) -> bool {
    // Windows does not distinguish case in names.
    name.to_str().is_some_and(|name| {
        let name = name.to_ascii_uppercase();
        INHERITED.contains(&name.as_str()) || INHERITED_FAMILIES.iter().any(|family| name.starts_with(family))
    })
}

/// A command for an engine executable, to be killed when it is dropped.
pub(super) fn command(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_inherited(name))).kill_on_drop(true);
    apart(&mut command);
    command
}

/// A Ctrl-C in the terminal is for the host, which then ends the engine in order.
#[cfg(unix)]
fn apart(command: &mut Command) {
    command.process_group(0);
}

/// A Ctrl-C in the terminal is for the host, which then ends the engine in order; and no console window appears.
#[cfg(windows)]
fn apart(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
}

#[cfg(not(any(unix, windows)))]
fn apart(_: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_outside() {
        for name in ["PATH", "SystemRoot", "CUDA_VISIBLE_DEVICES", "COMPUTEPOOL_ENGINE_KERNELS", "RUST_LOG"] {
            assert!(is_inherited(name.as_ref()), "{name}");
        }
        for name in ["AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "COMPUTEPOOL_API_KEY", "LD_PRELOAD", "PATHS"] {
            assert!(!is_inherited(name.as_ref()), "{name}");
        }
    }
}
