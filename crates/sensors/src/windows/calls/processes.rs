//! Processes: all of them, their sessions and their executables.

use windows::Win32::Foundation::{ERROR_NO_MORE_FILES, HANDLE};
use windows::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows::Win32::System::RemoteDesktop::ProcessIdToSessionId;
use windows::Win32::System::Threading::{
    OpenProcess, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION, QueryFullProcessImageNameW,
};
use windows::core::{Owned, PWSTR, Result};

use super::{size_of_u32, text};

/// As long as a path may be.
const LONGEST: usize = 32_768;

/// Every process of the machine: its number, and the name of its executable.
pub(in crate::windows) fn processes() -> Result<Vec<(u32, String)>> {
    // SAFETY: takes numbers alone; nobody else closes what is opened here.
    let snapshot = unsafe { Owned::new(CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0)?) };
    let mut entry = PROCESSENTRY32W { dwSize: size_of_u32::<PROCESSENTRY32W>(), ..Default::default() };
    let mut all = Vec::new();
    let mut step: unsafe fn(HANDLE, *mut PROCESSENTRY32W) -> Result<()> = Process32FirstW;
    loop {
        // SAFETY: the snapshot is open, and `entry` is ours, of the size that it says.
        match unsafe { step(*snapshot, &raw mut entry) } {
            Ok(()) => all.push((entry.th32ProcessID, text(&entry.szExeFile))),
            Err(error) if error.code() == ERROR_NO_MORE_FILES.to_hresult() => return Ok(all),
            Err(error) => return Err(error),
        }
        step = Process32NextW;
    }
}

/// The session that a process runs in; nothing where this process may not know.
pub(in crate::windows) fn session_of(pid: u32) -> Option<u32> {
    let mut session = 0;
    // SAFETY: `session` is ours.
    unsafe { ProcessIdToSessionId(pid, &raw mut session).ok()? };
    Some(session)
}

/// Where the executable of a process lies; nothing where this process may not know.
pub(in crate::windows) fn image_of(pid: u32) -> Option<String> {
    // SAFETY: takes numbers alone; nobody else closes what is opened here.
    let process = unsafe { Owned::new(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, false, pid).ok()?) };
    let mut letters = vec![0u16; LONGEST];
    let mut length = u32::try_from(letters.len()).ok()?;
    let place = PWSTR(letters.as_mut_ptr());
    // SAFETY: the process is open, and `place` has room for as many letters as are said.
    unsafe { QueryFullProcessImageNameW(*process, PROCESS_NAME_WIN32, place, &raw mut length).ok()? };
    letters.get(..length as usize).map(text)
}
