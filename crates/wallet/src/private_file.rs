//! Files that only their owner may read, that appear whole or not at all, and that are never written over by accident.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {source}")]
pub struct FileError {
    /// Which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Adds the path to what the system says.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> FileError + '_ {
    |source| FileError { path: path.to_owned(), source }
}

impl FileError {
    pub(crate) fn is(&self, kind: ErrorKind) -> bool {
        self.source.kind() == kind
    }
}

/// Makes a folder that only its owner may enter.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(at(path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(at(path))?;
    }
    Ok(())
}

/// Options for a file that only its owner may read.
pub(crate) fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "elsewhere the folder's access list decides"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Writes a file that must not exist yet; `AlreadyExists` where it does.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let draft = draft(path, bytes)?;
    // A hard link appears whole or not at all, and never replaces a file. Where there are none, a check must do.
    let published = match fs::hard_link(&draft, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Err(_) if path.exists() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(&draft, path),
    };
    let kept = published.and_then(|()| sync_folder(path));
    drop(fs::remove_file(&draft));
    kept.map_err(at(path))
}

/// Puts new content in the place of old in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let draft = draft(path, bytes)?;
    fs::rename(&draft, path).and_then(|()| sync_folder(path)).map_err(|error| {
        drop(fs::remove_file(&draft));
        at(path)(error)
    })
}

/// A file's text, at most `limit` bytes of it; `InvalidData` where there are more, or no text.
pub(crate) fn read(path: &Path, limit: usize) -> Result<String, FileError> {
    let file = File::open(path).map_err(at(path))?;
    let mut text = String::new();
    file.take(limit as u64 + 1).read_to_string(&mut text).map_err(at(path))?;
    if text.len() > limit {
        let long = io::Error::new(ErrorKind::InvalidData, format!("it has more than {limit} bytes"));
        return Err(at(path)(long));
    }
    Ok(text)
}

/// The content, whole and on the disk, beside where it will go. Two processes never share a draft.
fn draft(path: &Path, bytes: &[u8]) -> Result<PathBuf, FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    let draft = path.with_file_name(format!(".{name}.{}-{thread}.draft", std::process::id()));
    // Left behind by a process of the same number that did not get to the end.
    drop(fs::remove_file(&draft));
    let mut file = private().write(true).create_new(true).open(&draft).map_err(at(&draft))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| {
        drop(fs::remove_file(&draft));
        at(&draft)(error)
    })?;
    Ok(draft)
}

/// A name is on the disk when its folder is.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Folders cannot be synchronised here; the file system's own journal keeps names.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_created_once_and_drafts_do_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wallet.json");
        create(&path, b"first").unwrap();
        assert!(create(&path, b"second").unwrap_err().is(ErrorKind::AlreadyExists));
        assert_eq!(read(&path, 10).unwrap(), "first");
        replace(&path, b"third").unwrap();
        assert_eq!(read(&path, 10).unwrap(), "third");
        assert_eq!(names(folder.path()), ["wallet.json"]);
        assert!(read(&path, 4).unwrap_err().is(ErrorKind::InvalidData));
    }

    #[test]
    fn of_many_who_create_at_once_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wallet.json");
        let wins: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8u8)
                .map(|n| {
                    let path = &path;
                    scope.spawn(move || create(path, &[b'a' + n]))
                })
                .collect();
            tries.into_iter().map(|t| usize::from(t.join().unwrap().is_ok())).sum()
        });
        assert_eq!(wins, 1);
        assert_eq!(names(folder.path()), ["wallet.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("wallets");
        make_folder(&inner).unwrap();
        let path = inner.join("wallet.json");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        create(&path, b"first").unwrap();
        assert_eq!((mode(&inner), mode(&path)), (0o700, 0o600));
        replace(&path, b"second").unwrap();
        assert_eq!(mode(&path), 0o600);
    }
}
