//! The window in use, and what the shell thinks of disturbing the person.

use windows::Win32::Foundation::{HWND, RECT};
use windows::Win32::Graphics::Gdi::{GetMonitorInfoW, MONITOR_DEFAULTTONEAREST, MONITORINFO, MonitorFromWindow};
use windows::Win32::UI::HiDpi::{DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2, SetThreadDpiAwarenessContext};
use windows::Win32::UI::Shell::SHQueryUserNotificationState;
use windows::Win32::UI::WindowsAndMessaging::{
    FindWindowExW, GWL_STYLE, GetClassNameW, GetForegroundWindow, GetWindowLongW, GetWindowRect,
    GetWindowThreadProcessId, IsZoomed, WS_CAPTION,
};
use windows::core::{Result, w};

use super::size_of_u32;
use crate::windows::app_of;
use crate::windows::meaning::{Area, Window};

/// What the shell thinks of showing a notification now.
pub(in crate::windows) fn notification_state() -> Result<i32> {
    // SAFETY: takes nothing.
    unsafe { SHQueryUserNotificationState() }.map(|state| state.0)
}

/// The window that the person uses; nothing where there is none, or where it goes away while it is looked at.
pub(in crate::windows) fn window_in_use() -> Option<Window> {
    // SAFETY: concerns this thread alone, which is a sense's own; without it, sizes would be of another scale than pixels.
    unsafe { SetThreadDpiAwarenessContext(DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2) };
    // SAFETY: takes nothing.
    let window = unsafe { GetForegroundWindow() };
    if window.is_invalid() {
        return None;
    }
    let mut letters = [0u16; 256];
    // SAFETY: a window that is gone makes this and the calls below fail; `letters` is ours.
    let length = unsafe { GetClassNameW(window, &mut letters) };
    let class = String::from_utf16_lossy(letters.get(..usize::try_from(length).ok()?)?);
    let mut place = RECT::default();
    // SAFETY: `place` is ours.
    unsafe { GetWindowRect(window, &raw mut place).ok()? };
    let mut monitor = MONITORINFO { cbSize: size_of_u32::<MONITORINFO>(), ..Default::default() };
    // SAFETY: `monitor` is ours, of the size that it says.
    unsafe { GetMonitorInfoW(MonitorFromWindow(window, MONITOR_DEFAULTTONEAREST), &raw mut monitor).ok().ok()? };
    // SAFETY: two questions with plain answers.
    let (style, zoomed) = unsafe { (GetWindowLongW(window, GWL_STYLE) as u32, IsZoomed(window).as_bool()) };
    let titled = style & WS_CAPTION.0 == WS_CAPTION.0;
    let app = process_of(window, &class).and_then(app_of);
    Some(Window { class, app, place: area(place), monitor: area(monitor.rcMonitor), maximised: zoomed && titled })
}

/// Whose window it is. Applications from the store are framed by a process of Windows; the window within is their own.
fn process_of(window: HWND, class: &str) -> Option<u32> {
    let framed = class == "ApplicationFrameWindow";
    // SAFETY: both names are constants that end in a zero; a window that is gone has none within.
    let within = framed.then(|| unsafe { FindWindowExW(Some(window), None, w!("Windows.UI.Core.CoreWindow"), None) });
    let window = within.and_then(Result::ok).unwrap_or(window);
    let mut pid = 0;
    // SAFETY: `pid` is ours.
    let thread = unsafe { GetWindowThreadProcessId(window, Some(&raw mut pid)) };
    (thread != 0).then_some(pid)
}

fn area(place: RECT) -> Area {
    Area { left: place.left, top: place.top, right: place.right, bottom: place.bottom }
}
