//! The key file: created once, whole, and readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use computepool_core::{Fault, FaultCode};
use libp2p::identity::{Keypair, ed25519};

/// A key file is 68 bytes; anything much longer is something else.
const MAX_KEY_FILE: u64 = 1024;

/// Why the key file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file or its folder could not be read or written.
    #[error("the identity file {path} cannot be used: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} is not an ed25519 identity: {reason}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<IdentityError> for Fault {
    fn from(error: IdentityError) -> Self {
        let hint = match &error {
            IdentityError::Io { .. } => "check that the folder exists and may be written",
            IdentityError::Malformed { .. } => "move the file away to get a new identity, or restore it from a backup",
        };
        Fault::new(FaultCode::Io, error.to_string()).hint(hint)
    }
}

pub(super) fn load_or_create(path: &Path) -> Result<ed25519::Keypair, IdentityError> {
    let io = |source| IdentityError::Io { path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => load(path, file),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder).map_err(io)?;
            }
            create(path)?;
            load(path, File::open(path).map_err(io)?)
        }
        Err(error) => Err(io(error)),
    }
}

fn load(path: &Path, file: File) -> Result<ed25519::Keypair, IdentityError> {
    let malformed = |reason: String| IdentityError::Malformed { path: path.to_owned(), reason };
    let io = |source| IdentityError::Io { path: path.to_owned(), source };
    owner_only(path, &file).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_KEY_FILE {
        return Err(malformed(format!("it has more than {MAX_KEY_FILE} bytes")));
    }
    let keys = Keypair::from_protobuf_encoding(&bytes).map_err(|error| malformed(error.to_string()))?;
    keys.try_into_ed25519().map_err(|error| malformed(error.to_string()))
}

/// Writes a new key beside `path` and publishes it there in one step, unless somebody else was quicker.
fn create(path: &Path) -> Result<(), IdentityError> {
    let io = |source| IdentityError::Io { path: path.to_owned(), source };
    let keys = Keypair::from(ed25519::Keypair::generate());
    let bytes = keys
        .to_protobuf_encoding()
        .map_err(|error| IdentityError::Malformed { path: path.to_owned(), reason: error.to_string() })?;
    // Named after the key itself, so that two processes never write the same draft.
    let name = format!(".{}.draft", keys.public().to_peer_id());
    let draft = path.with_file_name(name);
    let published = write_draft(&draft, &bytes).and_then(|()| publish(&draft, path));
    // After a rename there is nothing left to remove.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(%error, "a draft identity file stays behind")
        }
        _ => {}
    }
    published.map_err(io)
}

fn write_draft(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    // A hard link appears whole or not at all, and never replaces a file. Some file systems have none: rename then.
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(_) => fs::rename(draft, path),
    }
}

#[cfg(unix)]
fn owner_only(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read the identity file; tightened to its owner");
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

/// Elsewhere the folder's access list decides, which a profile folder keeps to its user.
#[cfg(not(unix))]
fn owner_only(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::Identity;
    use computepool_core::FaultCode;

    #[test]
    fn the_second_start_finds_the_first_ones_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("identity.key");
        let first = Identity::load_or_create(&path).unwrap();
        let second = Identity::load_or_create(&path).unwrap();
        assert_eq!(first.id(), second.id());
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "drafts stay behind: {left:?}");
    }

    #[test]
    fn processes_that_start_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Identity::load_or_create(&path).unwrap().id().clone())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        for bytes in [b"hello".to_vec(), Vec::new(), vec![0x08; 100_000]] {
            std::fs::write(&path, &bytes).unwrap();
            let fault = Identity::load_or_create(&path).unwrap_err();
            assert_eq!(fault.code, FaultCode::Io);
            assert!(fault.message.contains("is not an ed25519 identity"), "{fault}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        Identity::load_or_create(&path).unwrap();
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        Identity::load_or_create(&path).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
