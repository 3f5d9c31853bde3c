//! Whether this desktop shows a tray at all. Linux desktops need not: without a StatusNotifier host an icon is put nowhere,
//! and nobody says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of it.
#[derive(Clone)]
pub(crate) struct Watcher(Arc<AtomicBool>);

impl Default for Watcher {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(!cfg!(target_os = "linux"))))
    }
}

impl Watcher {
    /// A tray is shown.
    pub(crate) fn shows(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Looks now and then: panels come after the programs that they show.
#[cfg(target_os = "linux")]
pub(crate) fn start(watcher: &Watcher) {
    use std::time::Duration;

    const EVERY: Duration = Duration::from_secs(2);
    let shown = watcher.0.clone();
    let looking = move || {
        let mut bus = None;
        loop {
            if bus.is_none() {
                bus = zbus::blocking::Connection::session().ok();
            }
            let shows = bus.as_ref().and_then(shows);
            if shows.is_none() {
                bus = None;
            }
            shown.store(shows.unwrap_or(false), Ordering::Relaxed);
            std::thread::sleep(EVERY);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("tray-watcher".to_owned()).spawn(looking) {
        tracing::warn!(%error, "nobody looks whether there is a tray");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn start(_: &Watcher) {}

/// Whether somebody shows what is put into the tray; nothing where the bus is gone.
#[cfg(target_os = "linux")]
fn shows(bus: &zbus::blocking::Connection) -> Option<bool> {
    let name = "org.kde.StatusNotifierWatcher";
    let asked = zbus::blocking::fdo::DBusProxy::new(bus).ok()?.name_has_owner(name.try_into().ok()?);
    if !asked.ok()? {
        return Some(false);
    }
    let watcher = zbus::blocking::Proxy::new(bus, name, "/StatusNotifierWatcher", name).ok()?;
    // Some watchers show icons themselves and know no host beside them.
    Some(watcher.get_property("IsStatusNotifierHostRegistered").unwrap_or(true))
}
