//! What services of the desktop say over D-Bus: input where the display cannot tell, the lock, the cost of the network.

use std::time::{Duration, Instant};

use zbus::blocking::{Connection, Proxy, connection};
use zbus::zvariant::OwnedObjectPath;

use crate::board::Board;
use crate::{NetworkCost, Sense, SensorOptions};

const EVERY: Duration = Duration::from_millis(500);
/// A bus that is not there may come.
const AGAIN: Duration = Duration::from_secs(5);
/// A service that hangs is asked again after this long.
const LONG: Duration = Duration::from_secs(30);
/// A service that does not answer in this time is passed over this time.
const PATIENCE: Duration = Duration::from_millis(800);

const NO_LOCK: &str = "this system does not say whether the screen is locked";
const NO_COST: &str = "this system does not say whether the connection is metered";

const LOGIND: (&str, &str) = ("org.freedesktop.login1", "/org/freedesktop/login1");
const NETWORK_MANAGER: (&str, &str) = ("org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager");

pub(super) fn start(board: &Board, options: &SensorOptions) {
    let x11 = options.display.is_some() && !options.wayland;
    if !x11 {
        let (session, system) = (options.session_bus.clone(), options.system_bus.clone());
        board.spawn("input", move |board| input(board, session.as_deref(), system.as_deref()));
    }
    let system = options.system_bus.clone();
    board.spawn("lock", move |board| on_bus(board, system.as_deref(), &[(Sense::Lock, NO_LOCK)], lock));
    let system = options.system_bus.clone();
    board.spawn("network", move |board| on_bus(board, system.as_deref(), &[(Sense::Network, NO_COST)], network));
}

fn connect(address: Option<&str>) -> zbus::Result<Connection> {
    let address = address.ok_or_else(|| zbus::Error::Address("this session has none".to_owned()))?;
    connection::Builder::address(address)?.method_timeout(PATIENCE).build()
}

/// Looks again and again over one connection, and makes another where it breaks.
fn on_bus(board: &Board, address: Option<&str>, senses: &[(Sense, &str)], mut look: impl FnMut(&Board, &Connection)) {
    loop {
        match connect(address) {
            Ok(bus) => {
                while !bus_is_gone(&bus) {
                    look(board, &bus);
                    if !board.sleep(EVERY) {
                        return;
                    }
                }
                for (sense, why) in senses {
                    board.blind(*sense, *why);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "D-Bus cannot be reached");
                for (sense, why) in senses {
                    board.blind(*sense, *why);
                }
            }
        }
        if !board.sleep(AGAIN) {
            return;
        }
    }
}

fn bus_is_gone(bus: &Connection) -> bool {
    let daemon = Proxy::new(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus");
    match daemon.and_then(|daemon| daemon.call::<_, _, String>("GetId", &())) {
        Ok(_) => false,
        Err(error) => {
            tracing::debug!(%error, "D-Bus does not answer any more");
            true
        }
    }
}

/// Time since the last input: asked of whoever answers first, best first.
fn input(board: &Board, session: Option<&str>, system: Option<&str>) {
    let mut buses: [Option<Connection>; 2] = [None, None];
    let mut mutter_again = Instant::now();
    loop {
        for (bus, address) in buses.iter_mut().zip([session, system]) {
            if bus.as_ref().is_none_or(bus_is_gone) {
                *bus = connect(address).ok();
            }
        }
        let [session, system] = &buses;
        let began = Instant::now();
        let idle = session.as_ref().filter(|_| began >= mutter_again).and_then(mutter);
        // One that hangs would delay every look.
        if idle.is_none() && began.elapsed() >= PATIENCE {
            mutter_again = Instant::now() + LONG;
        }
        let idle = idle.or_else(|| session.as_ref().and_then(screen_saver));
        let idle = idle.or_else(|| system.as_ref().and_then(hint));
        board.set(|seen| &mut seen.idle, idle);
        match idle {
            Some(_) => board.sees(Sense::Input),
            None => board.blind(Sense::Input, "this system does not say when its keyboard or mouse was used last"),
        }
        let pause = if idle.is_some() { Duration::from_millis(250) } else { AGAIN };
        if !board.sleep(pause) {
            return;
        }
    }
}

fn mutter(bus: &Connection) -> Option<Duration> {
    let path = "/org/gnome/Mutter/IdleMonitor/Core";
    let monitor = Proxy::new(bus, "org.gnome.Mutter.IdleMonitor", path, "org.gnome.Mutter.IdleMonitor").ok()?;
    monitor.call::<_, _, u64>("GetIdletime", &()).ok().map(Duration::from_millis)
}

/// KDE answers in seconds, whatever the specification says.
fn screen_saver(bus: &Connection) -> Option<Duration> {
    let name = "org.freedesktop.ScreenSaver";
    let service = Proxy::new(bus, name, "/org/freedesktop/ScreenSaver", name).ok()?;
    service.call::<_, _, u32>("GetSessionIdleTime", &()).ok().map(|time| Duration::from_secs(u64::from(time)))
}

/// logind says only whether a session is idle, and since when.
fn hint(bus: &Connection) -> Option<Duration> {
    let session = own_session(bus)?;
    if !session.get_property::<bool>("IdleHint").ok()? {
        return Some(Duration::ZERO);
    }
    let since_us: u64 = session.get_property("IdleSinceHint").ok()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(Duration::from_micros(since_us)))
}

fn own_session(bus: &Connection) -> Option<Proxy<'static>> {
    let manager = Proxy::new(bus, LOGIND.0, LOGIND.1, "org.freedesktop.login1.Manager").ok()?;
    let path: OwnedObjectPath = manager.call("GetSessionByPID", &(std::process::id())).ok()?;
    Proxy::new(bus, LOGIND.0, path, "org.freedesktop.login1.Session").ok()
}

fn lock(board: &Board, bus: &Connection) {
    let locked = own_session(bus).and_then(|session| session.get_property::<bool>("LockedHint").ok());
    board.set(|seen| &mut seen.locked, locked);
    match locked {
        Some(_) => board.sees(Sense::Lock),
        None => board.blind(Sense::Lock, NO_LOCK),
    }
}

fn network(board: &Board, bus: &Connection) {
    let manager = Proxy::new(bus, NETWORK_MANAGER.0, NETWORK_MANAGER.1, NETWORK_MANAGER.0);
    // 1 is yes, 3 is a guess at yes, 2 and 4 are the same for no; 0 is not known.
    let cost = match manager.and_then(|manager| manager.get_property::<u32>("Metered")) {
        Ok(1 | 3) => Some(NetworkCost::Metered),
        Ok(2 | 4) => Some(NetworkCost::Unmetered),
        _ => None,
    };
    board.set(|seen| &mut seen.network, cost);
    match cost {
        Some(_) => board.sees(Sense::Network),
        None => board.blind(Sense::Network, NO_COST),
    }
}
