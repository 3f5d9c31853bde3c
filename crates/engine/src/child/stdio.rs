//! Keeps standard output for the pipe alone: whatever any library prints there goes to standard error instead.

use std::fs::File;
use std::io;

/// The pipe to the host. From here on, what is printed to standard output appears on standard error.
#[cfg(unix)]
pub(super) fn claim_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    let pipe = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(File::from(pipe))
}

/// The pipe to the host. From here on, what is printed to standard output appears on standard error.
#[cfg(windows)]
#[expect(unsafe_code, reason = "two calls of the Windows API that take and give plain handles")]
pub(super) fn claim_stdout() -> io::Result<File> {
    use std::os::windows::io::{AsHandle, AsRawHandle, RawHandle};
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn SetStdHandle(which: u32, handle: RawHandle) -> i32;
    }
    const STD_OUTPUT_HANDLE: u32 = -11i32 as u32;
    let pipe = io::stdout().as_handle().try_clone_to_owned()?;
    // SAFETY: standard error's handle is open for as long as the process lives.
    if unsafe { SetStdHandle(STD_OUTPUT_HANDLE, io::stderr().as_raw_handle()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(File::from(pipe))
}
