//! What a machine says of itself and its owner: input, screens, power, network, GPUs. Nothing is decided here.
//!
//! Each sense has a thread of its own and writes what it sees onto one board: a service that hangs holds nobody up but
//! itself, and what it told last is believed for some seconds only. What cannot be told here is said as such ([`Blind`]), with the reason, because a rule that depends on it must not
//! silently never hold.
//!
//! | sense | X11 | Wayland | Windows |
//! |---|---|---|---|
//! | input | screen saver extension | Mutter, then the screen saver service, then logind | `GetLastInputInfo` |
//! | lock | logind | logind | the session's flags, then the desktop shown |
//! | full screen | window manager hints, or geometry | cannot be told | the shell, and the window in use |
//! | apps | `/proc` | `/proc` | the processes of this session |
//! | power | `/sys` | `/sys` | `GetSystemPowerStatus` |
//! | network | NetworkManager | NetworkManager | the network list manager |
//! | GPUs | NVML, `/sys` | NVML, `/sys` | NVML |
//!
//! On other systems only NVML is asked yet, and everything else is [`Blind`]: what a careful owner's rules make of that is
//! to serve nobody.

mod board;
#[cfg(target_os = "linux")]
mod linux;
mod nvidia;
mod observation;
#[cfg(any(windows, test))]
mod windows;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use board::Board;
pub use observation::{AppName, Blind, GpuReading, GpuUse, NetworkCost, Observation, Power, Sense};

/// Where a machine is looked at. The defaults are those of the session that this process runs in.
#[derive(Clone)]
pub struct SensorOptions {
    /// Our own processes: what they use of a GPU is not others' use.
    pub own: Arc<dyn Fn() -> Vec<u32> + Send + Sync>,
    /// The kernel's view of devices.
    pub sysfs: PathBuf,
    /// The kernel's view of processes.
    pub proc: PathBuf,
    /// The X display.
    pub display: Option<String>,
    /// The session is a Wayland one: what XWayland says of input is not the whole of it.
    pub wayland: bool,
    /// The address of the session's bus.
    pub session_bus: Option<String>,
    /// The address of the system's bus.
    pub system_bus: Option<String>,
}

impl Default for SensorOptions {
    fn default() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let system_bus = || "unix:path=/run/dbus/system_bus_socket".to_owned();
        Self {
            own: Arc::new(Vec::new),
            sysfs: PathBuf::from("/sys"),
            proc: PathBuf::from("/proc"),
            display: set("DISPLAY"),
            wayland: set("WAYLAND_DISPLAY").is_some(),
            session_bus: set("DBUS_SESSION_BUS_ADDRESS"),
            system_bus: Some(set("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(system_bus)),
        }
    }
}

/// Looks at the machine until it is dropped.
pub struct Sensors {
    board: Board,
}

impl Sensors {
    /// Begins to look.
    pub fn start(options: SensorOptions) -> Self {
        let board = Board::default();
        board.watch_over();
        nvidia::start(&board, options.own.clone());
        #[cfg(target_os = "linux")]
        linux::start(&board, &options);
        #[cfg(windows)]
        windows::start(&board);
        #[cfg(not(any(target_os = "linux", windows)))]
        for sense in [Sense::Input, Sense::Lock, Sense::Fullscreen, Sense::Apps, Sense::Power, Sense::Network] {
            board.blind(sense, "this version does not know how to ask this system");
        }
        Self { board }
    }

    /// What is seen, always up to date.
    pub fn watch(&self) -> watch::Receiver<Observation> {
        self.board.watch()
    }
}

impl Drop for Sensors {
    fn drop(&mut self) {
        self.board.close();
    }
}
