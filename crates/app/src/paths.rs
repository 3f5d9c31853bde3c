//! Where things are kept on this machine.

use std::path::PathBuf;

use computepool_core::{Fault, FaultCode};

fn no_home() -> Fault {
    Fault::new(FaultCode::Io, "this system does not say where a user's files go")
        .hint("set HOME (or on Windows APPDATA)")
}

/// What must last: identities and settings.
pub fn data_folder() -> Result<PathBuf, Fault> {
    let folders = directories::ProjectDirs::from("network", "ComputePool", "computepool").ok_or_else(no_home)?;
    Ok(folders.data_local_dir().to_owned())
}

/// What can be made again: models, hashes.
pub fn cache_folder() -> Result<PathBuf, Fault> {
    let folders = directories::BaseDirs::new().ok_or_else(no_home)?;
    Ok(folders.cache_dir().join("computepool"))
}

/// What to do where something could not be written.
pub(crate) fn write_hint(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "the disk is full: make room, then try again"
        }
        _ => "nothing was changed; look at the rights of the folder, then try again",
    }
}

/// Makes a folder with everything above it.
pub fn make_folder(path: &std::path::Path) -> Result<(), Fault> {
    std::fs::create_dir_all(path)
        .map_err(|error| Fault::new(FaultCode::Io, format!("{} cannot be made: {error}", path.display())))
}
