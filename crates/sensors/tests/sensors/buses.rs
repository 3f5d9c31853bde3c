//! Services on a bus, as a desktop has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use computepool_sensors::{NetworkCost, Sense, SensorOptions, Sensors};
use zbus::zvariant::OwnedObjectPath;

use crate::support::{bus, nowhere, until};

struct Mutter(Arc<AtomicU64>);

#[zbus::interface(name = "org.gnome.Mutter.IdleMonitor")]
impl Mutter {
    #[zbus(name = "GetIdletime")]
    fn idle_time(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Takes calls, and answers none.
struct Dead;

#[zbus::interface(name = "org.gnome.Mutter.IdleMonitor")]
impl Dead {
    #[zbus(name = "GetIdletime")]
    async fn idle_time(&self) -> u64 {
        std::future::pending().await
    }
}

struct ScreenSaver;

#[zbus::interface(name = "org.freedesktop.ScreenSaver")]
impl ScreenSaver {
    #[zbus(name = "GetSessionIdleTime")]
    fn idle_time(&self) -> u32 {
        77
    }
}

struct Manager(Arc<AtomicU32>);

#[zbus::interface(name = "org.freedesktop.NetworkManager")]
impl Manager {
    #[zbus(property(emits_changed_signal = "false"), name = "Metered")]
    fn metered(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Logind;

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    #[zbus(name = "GetSessionByPID")]
    fn session(&self, pid: u32) -> OwnedObjectPath {
        assert_eq!(pid, std::process::id());
        OwnedObjectPath::try_from("/org/freedesktop/login1/session/_31").unwrap()
    }
}

struct Session;

#[zbus::interface(name = "org.freedesktop.login1.Session")]
impl Session {
    #[zbus(property, name = "LockedHint")]
    fn locked(&self) -> bool {
        true
    }
    #[zbus(property, name = "IdleHint")]
    fn idle(&self) -> bool {
        false
    }
}

fn at(address: &str) -> zbus::blocking::connection::Builder<'static> {
    let address: zbus::Address = address.parse().unwrap();
    zbus::blocking::connection::Builder::address(address).unwrap()
}

#[test]
fn gnome_says_when_it_was_used_last_and_logind_whether_it_is_locked() {
    let (_daemon, address) = bus();
    let idle = Arc::new(AtomicU64::new(5_000));
    let (path, logind) = ("/org/gnome/Mutter/IdleMonitor/Core", "/org/freedesktop/login1");
    let service = at(&address).name("org.gnome.Mutter.IdleMonitor").unwrap();
    let _mutter = service.serve_at(path, Mutter(idle.clone())).unwrap().build().unwrap();
    let service = at(&address).name("org.freedesktop.login1").unwrap().serve_at(logind, Logind).unwrap();
    let _logind = service.serve_at(format!("{logind}/session/_31"), Session).unwrap().build().unwrap();
    let buses = SensorOptions { session_bus: Some(address.clone()), system_bus: Some(address), ..nowhere() };
    // A Wayland session: what XWayland would say is not asked.
    let sensors = Sensors::start(SensorOptions { wayland: true, display: Some(":4711".into()), ..buses });
    until(&sensors, "idleness", |seen| seen.idle == Some(Duration::from_secs(5)));
    until(&sensors, "the lock", |seen| seen.locked == Some(true));
    idle.store(10, Ordering::SeqCst);
    until(&sensors, "input", |seen| seen.idle == Some(Duration::from_millis(10)));
    assert!(sensors.watch().borrow().cannot_tell.iter().any(|blind| blind.what == Sense::Fullscreen));
}

#[test]
fn a_service_that_never_answers_is_passed_over() {
    let (_daemon, address) = bus();
    let service = at(&address).name("org.gnome.Mutter.IdleMonitor").unwrap();
    let _dead = service.serve_at("/org/gnome/Mutter/IdleMonitor/Core", Dead).unwrap().build().unwrap();
    let service = at(&address).name("org.freedesktop.ScreenSaver").unwrap();
    let _saver = service.serve_at("/org/freedesktop/ScreenSaver", ScreenSaver).unwrap().build().unwrap();
    let sensors = Sensors::start(SensorOptions { session_bus: Some(address), ..nowhere() });
    until(&sensors, "idleness by the next best", |seen| seen.idle == Some(Duration::from_secs(77)));
}

#[test]
fn what_the_connection_costs_is_asked_again_and_again() {
    let (_daemon, address) = bus();
    let metered = Arc::new(AtomicU32::new(4));
    let service = at(&address).name("org.freedesktop.NetworkManager").unwrap();
    let service = service.serve_at("/org/freedesktop/NetworkManager", Manager(metered.clone())).unwrap();
    let _manager = service.build().unwrap();
    let sensors = Sensors::start(SensorOptions { system_bus: Some(address), ..nowhere() });
    until(&sensors, "a free connection", |seen| seen.network == Some(NetworkCost::Unmetered));
    for (said, cost) in [(1, Some(NetworkCost::Metered)), (0, None), (3, Some(NetworkCost::Metered))] {
        metered.store(said, Ordering::SeqCst);
        until(&sensors, "another cost", |seen| seen.network == cost);
    }
}

#[test]
fn where_there_is_no_bus_it_is_said_what_cannot_be_told() {
    let sensors = Sensors::start(nowhere());
    until(&sensors, "blindness", |seen| {
        let blind: Vec<Sense> = seen.cannot_tell.iter().map(|blind| blind.what).collect();
        blind == [Sense::Input, Sense::Lock, Sense::Fullscreen, Sense::Apps, Sense::Network]
    });
}

#[test]
fn a_bus_that_goes_away_takes_along_what_it_told() {
    let (daemon, address) = bus();
    let logind = "/org/freedesktop/login1";
    let service = at(&address).name("org.freedesktop.login1").unwrap().serve_at(logind, Logind).unwrap();
    let _logind = service.serve_at(format!("{logind}/session/_31"), Session).unwrap().build().unwrap();
    let sensors = Sensors::start(SensorOptions { system_bus: Some(address), ..nowhere() });
    until(&sensors, "a locked screen", |seen| seen.locked == Some(true));
    drop(daemon);
    let blind = |what| move |blind: &computepool_sensors::Blind| blind.what == what;
    until(&sensors, "nothing", |seen| seen.locked.is_none() && seen.cannot_tell.iter().any(blind(Sense::Lock)));
}
