//! Files in which what was never written takes no room.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the file have `bytes` bytes, all of them a hole where it is new.
pub(super) fn stretch(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() == bytes {
        return Ok(());
    }
    // What a file of another length holds is of no known use.
    file.set_len(0)?;
    mark_sparse(path);
    file.set_len(bytes)
}

/// Elsewhere than on Windows every file may have holes.
#[cfg(not(windows))]
fn mark_sparse(_: &Path) {}

/// NTFS fills what is skipped with zeros unless the file is said to be sparse. A file system that has no such files
/// costs only room.
#[cfg(windows)]
fn mark_sparse(path: &Path) {
    use std::os::windows::process::CommandExt as _;
    /// `CREATE_NO_WINDOW`: no console flashes up on the desktop.
    const NO_WINDOW: u32 = 0x0800_0000;
    let mut command = std::process::Command::new("fsutil");
    let said = command.args(["sparse", "setflag"]).arg(path).creation_flags(NO_WINDOW).output();
    if !said.is_ok_and(|output| output.status.success()) {
        tracing::debug!(path = %path.display(), "the file could not be made sparse");
    }
}
