//! What the answers of Windows mean. Plain numbers go in, so that all of it is tested on any system.

use std::time::Duration;

use crate::{AppName, NetworkCost, Power};

/// The time of an input may be noted a moment after the clock was read.
const AHEAD: u32 = 60_000;

/// Time since the last input, from two readings of a clock in milliseconds that begins again after 49 days. Who stays away
/// for longer than that seems to have come back: the error is on the owner's side.
pub(super) fn idle(last: u32, now: u32) -> Duration {
    let since = now.wrapping_sub(last);
    let ahead = since > u32::MAX - AHEAD;
    Duration::from_millis(if ahead { 0 } else { u64::from(since) })
}

/// `SessionFlags` of `WTSINFOEX_LEVEL1`; nothing where the session does not know.
pub(super) fn locked(flags: u32) -> Option<bool> {
    match flags {
        0 => Some(true),
        1 => Some(false),
        _ => None,
    }
}

/// Whether the desktop that takes input is another than the one where windows are; it has no name for who may not open it.
pub(super) fn hidden(name: Option<&str>) -> bool {
    !name.is_some_and(|name| name.eq_ignore_ascii_case("Default"))
}

/// What `GetSystemPowerStatus` tells.
#[derive(Clone, Copy)]
pub(super) struct Supply {
    /// 0 is from the battery, 1 is from the wall.
    pub(super) line: u8,
    /// 128 is for no battery, 255 for not known.
    pub(super) battery: u8,
    /// 255 for not known.
    pub(super) percent: u8,
}

/// A machine without a battery runs on mains, whatever else is said of it.
pub(super) fn power(supply: Supply) -> Option<Power> {
    let none = supply.battery != 255 && supply.battery & 128 != 0;
    match supply.line {
        _ if none => Some(Power::Mains),
        0 => Some(Power::Battery { percent: Some(supply.percent).filter(|percent| *percent <= 100) }),
        1 => Some(Power::Mains),
        _ => None,
    }
}

const UNRESTRICTED: u32 = 0x1;
const FIXED: u32 = 0x2;
const VARIABLE: u32 = 0x4;
const OVER_THE_LIMIT: u32 = 0x1_0000;
const ROAMING: u32 = 0x4_0000;

/// `NLM_CONNECTION_COST`; nothing where the connection does not know.
pub(super) fn cost(flags: u32) -> Option<NetworkCost> {
    if flags & (FIXED | VARIABLE | OVER_THE_LIMIT | ROAMING) != 0 {
        return Some(NetworkCost::Metered);
    }
    (flags & UNRESTRICTED != 0).then_some(NetworkCost::Unmetered)
}

/// Executables, sorted, each once.
pub(super) fn apps(names: impl Iterator<Item = String>) -> Vec<AppName> {
    let mut apps: Vec<AppName> = names.map(|name| AppName::from(&*name)).collect();
    apps.retain(|app| !app.as_str().is_empty());
    apps.sort();
    apps.dedup();
    apps
}

/// A rectangle of the screen, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Area {
    fn contains(self, other: Self) -> bool {
        self.left <= other.left && self.top <= other.top && self.right >= other.right && self.bottom >= other.bottom
    }
}

/// The window that the person uses now.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// What kind of window it is, to the program that made it.
    pub(super) class: String,
    /// Its executable.
    pub(super) app: Option<AppName>,
    pub(super) place: Area,
    /// The monitor that most of it is on.
    pub(super) monitor: Area,
    /// Maximised, with a title bar: where the task bar hides itself, such a window reaches from edge to edge.
    pub(super) maximised: bool,
}

/// What lies behind all windows, the desktop, the task bars and the overview of windows.
const SHELL: [&str; 8] = [
    "#32769",
    "Progman",
    "WorkerW",
    "Shell_TrayWnd",
    "Shell_SecondaryTrayWnd",
    "MultitaskingViewFrame",
    "XamlExplorerHostIslandWindow",
    "ForegroundStaging",
];
/// The start menu, search, notifications and the picture before the lock.
const SHELL_APPS: [&str; 5] = ["startmenuexperiencehost", "shellexperiencehost", "searchhost", "searchapp", "lockapp"];

impl Window {
    fn is_the_shells(&self) -> bool {
        let app = self.app.as_ref().map_or("", AppName::as_str);
        SHELL.contains(&&*self.class) || SHELL_APPS.contains(&app)
    }

    fn covers(&self) -> bool {
        !self.maximised && !self.is_the_shells() && self.place.contains(self.monitor)
    }

    fn app(&self) -> AppName {
        self.app.clone().unwrap_or_else(unnamed)
    }
}

fn unnamed() -> AppName {
    AppName::from("an application")
}

/// A screen saver, the lock, or somebody else's session is shown.
const NOT_PRESENT: i32 = 1;
/// An application covers the screen.
const BUSY: i32 = 2;
/// One that owns the screen, as games do.
const OWNED: i32 = 3;
/// The person said that this is a presentation.
const PRESENTATION: i32 = 4;

/// The application that covers a screen: by the window in use, or by what the shell thinks of notifications now
/// (`QUERY_USER_NOTIFICATION_STATE`), which also knows of one on another screen, but not its name.
pub(super) fn covering(state: i32, window: Option<&Window>) -> Option<AppName> {
    let window = window.filter(|window| !window.is_the_shells());
    match (state, window) {
        (NOT_PRESENT, _) => None,
        (OWNED, Some(window)) => Some(window.app()),
        (_, Some(window)) if window.covers() => Some(window.app()),
        (BUSY | OWNED | PRESENTATION, _) => Some(unnamed()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
