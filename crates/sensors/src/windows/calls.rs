//! Every call of the Windows API that the senses make, and nothing else: what the answers mean is said in `meaning`.
#![expect(
    unsafe_code,
    reason = "the Windows API is a C one; each call stands alone here, behind a function that is safe"
)]

mod cost;
mod processes;
mod screen;

use windows::Win32::Foundation::{E_ACCESSDENIED, ERROR_INVALID_DATA, HANDLE};
use windows::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};
use windows::Win32::System::RemoteDesktop::{
    WTS_CURRENT_SESSION, WTSFreeMemory, WTSINFOEXW, WTSQuerySessionInformationW, WTSSessionInfoEx,
};
use windows::Win32::System::StationsAndDesktops::{
    DESKTOP_CONTROL_FLAGS, DESKTOP_READOBJECTS, GetUserObjectInformationW, OpenInputDesktop, UOI_NAME,
};
use windows::Win32::System::SystemInformation::GetTickCount;
use windows::Win32::UI::Input::KeyboardAndMouse::{GetLastInputInfo, LASTINPUTINFO};
use windows::core::{Error, Owned, PWSTR, Result};

pub(super) use cost::connection_cost;
pub(super) use processes::{image_of, processes, session_of};
pub(super) use screen::{notification_state, window_in_use};

use super::meaning::Supply;

/// The size of a structure, as Windows wants it written into some.
const fn size_of_u32<T>() -> u32 {
    size_of::<T>() as u32
}

/// Text up to the zero that ends it.
fn text(letters: &[u16]) -> String {
    let end = letters.iter().position(|letter| *letter == 0).unwrap_or(letters.len());
    String::from_utf16_lossy(&letters[..end])
}

/// When this session's last input was, and now, by the same clock.
pub(super) fn last_input() -> Result<(u32, u32)> {
    let mut info = LASTINPUTINFO { cbSize: size_of_u32::<LASTINPUTINFO>(), dwTime: 0 };
    // SAFETY: `info` is ours, of the size that it says.
    unsafe { GetLastInputInfo(&raw mut info).ok()? };
    // SAFETY: takes nothing.
    Ok((info.dwTime, unsafe { GetTickCount() }))
}

/// What this session says of its lock.
pub(super) fn session_flags() -> Result<u32> {
    let (mut buffer, mut bytes) = (PWSTR::null(), 0);
    // SAFETY: both are ours; Windows points the first at memory that is given back below.
    unsafe {
        WTSQuerySessionInformationW(None, WTS_CURRENT_SESSION, WTSSessionInfoEx, &raw mut buffer, &raw mut bytes)?;
    }
    let whole = bytes as usize >= size_of::<WTSINFOEXW>();
    // SAFETY: it was filled with as many bytes as this structure has, and copied from wherever it lies.
    let info = whole.then(|| unsafe { buffer.0.cast::<WTSINFOEXW>().read_unaligned() });
    // SAFETY: the memory is Windows's own, and not looked at again.
    unsafe { WTSFreeMemory(buffer.0.cast()) };
    let info = info.filter(|info| info.Level == 1).ok_or_else(|| Error::from(ERROR_INVALID_DATA))?;
    // SAFETY: of level 1, this is what the union holds.
    Ok(unsafe { info.Data.WTSInfoExLevel1.SessionFlags } as u32)
}

/// The name of the desktop that takes input now; nothing where this process may not open it.
pub(super) fn input_desktop() -> Result<Option<String>> {
    // SAFETY: takes numbers alone.
    let desktop = match unsafe { OpenInputDesktop(DESKTOP_CONTROL_FLAGS(0), false, DESKTOP_READOBJECTS) } {
        // SAFETY: nobody else closes what was just opened here.
        Ok(desktop) => unsafe { Owned::new(desktop) },
        Err(error) if error.code() == E_ACCESSDENIED => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut letters = [0u16; 64];
    let place = Some((&raw mut letters).cast());
    // SAFETY: the desktop is open, and `letters` is ours, of the size that is said.
    unsafe { GetUserObjectInformationW(HANDLE(desktop.0), UOI_NAME, place, size_of_u32::<[u16; 64]>(), None)? };
    Ok(Some(text(&letters)))
}

/// Where the current comes from.
pub(super) fn power() -> Result<Supply> {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: `status` is ours.
    unsafe { GetSystemPowerStatus(&raw mut status)? };
    Ok(Supply { line: status.ACLineStatus, battery: status.BatteryFlag, percent: status.BatteryLifePercent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_answers() {
        let me = std::process::id();
        assert!(session_of(me).is_some());
        let image = image_of(me).unwrap();
        let listed = processes().unwrap().into_iter().find(|(pid, _)| *pid == me).unwrap().1;
        assert!(image.ends_with(&*listed), "{image} is listed as {listed}");
        assert_eq!(image_of(u32::MAX), None);
        power().unwrap();
        // Machines that only build have no screen, nobody who types, and sometimes no network.
        println!("input {:?}, session {:?}, desktop {:?}", last_input(), session_flags(), input_desktop());
        println!("state {:?}, in use {:?}, cost {:?}", notification_state(), window_in_use(), connection_cost());
    }
}
