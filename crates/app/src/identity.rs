//! Who this process is on the network, and that nobody else is.

use std::fs::{File, TryLockError};
use std::path::Path;

use computepool_core::{Fault, FaultCode};
use computepool_transport::Identity;

/// Held while an identity is in use; two processes with one identity would keep ending each other's links.
pub(crate) struct IdentityLock(#[expect(dead_code, reason = "what is held is the lock")] Option<File>);

/// An identity from a file, made when absent and locked, or a fresh one.
pub(crate) fn identity(path: Option<&Path>) -> Result<(Identity, IdentityLock), Fault> {
    let Some(path) = path else { return Ok((Identity::generate()?, IdentityLock(None))) };
    if let Some(folder) = path.parent() {
        crate::paths::make_folder(folder)?;
    }
    let lock_path = path.with_extension("lock");
    let failed =
        |error: std::io::Error| Fault::new(FaultCode::Io, format!("{} cannot be locked: {error}", lock_path.display()));
    let lock = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok((Identity::load_or_create(path)?, IdentityLock(Some(lock)))),
        Err(TryLockError::WouldBlock) => {
            Err(Fault::new(FaultCode::Io, format!("another process is running with the identity {}", path.display()))
                .hint("name another file with --identity, or take a fresh identity with --ephemeral"))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_lasts_and_is_used_by_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("node.key");
        let (first, lock) = identity(Some(&path)).unwrap();
        let refused = identity(Some(&path)).err().unwrap();
        assert!(refused.hint.unwrap().contains("--identity"));
        drop(lock);
        let (again, _lock) = identity(Some(&path)).unwrap();
        assert_eq!(first.id(), again.id());
        assert_ne!(first.id(), identity(None).unwrap().0.id());
    }
}
