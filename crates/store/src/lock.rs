//! One process at a time has an orchestrator's records in a SQLite file open.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use computepool_core::NodeId;

use crate::StoreError;

/// A locked file beside the database. The system lets go of it however the process ends; the file itself stays, since
/// taking it away could pull it from under somebody who waits for it.
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Locks the records of `orchestrator` in the database at `path`.
    pub(crate) fn take(path: &Path, orchestrator: &NodeId) -> Result<Self, StoreError> {
        let database = path.display().to_string();
        let unwritable =
            |error: io::Error| StoreError::Unwritable { database: database.clone(), why: error.to_string() };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(path, orchestrator).map_err(unwritable)?)
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::InUse { database: database.clone(), orchestrator: orchestrator.to_string() })
            }
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }
}

/// `DATABASE.ORCHESTRATOR.lock`, whichever way the database was named.
fn beside(path: &Path, orchestrator: &NodeId) -> io::Result<std::path::PathBuf> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "this is not the path of a file");
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = fs::canonicalize(path.parent().ok_or_else(invalid)?)?;
            folder.join(path.file_name().ok_or_else(invalid)?)
        }
        Err(error) => return Err(error),
    };
    // A peer id has nothing but letters and digits.
    let id: String = orchestrator.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut name = real.file_name().ok_or_else(invalid)?.to_owned();
    name.push(format!(".{id}.lock"));
    Ok(real.with_file_name(name))
}
